// Moves all files below SOURCE to TARGET: a goroutine for each processor, os.Rename, and where that is not
// possible, a copy with mode and times.
package main

import (
	"errors"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
)

func move(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := os.Chtimes(to, info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	return os.Remove(from)
}

func main() {
	source, target := os.Args[1], os.Args[2]
	paths := make(chan string, 1024)
	var workers sync.WaitGroup
	for range make([]struct{}, runtime.NumCPU()) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for path := range paths {
				if err := move(filepath.Join(source, path), filepath.Join(target, path)); err != nil {
					log.Fatal(err)
				}
			}
		}()
	}
	var directories []string
	err := filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path != source {
				directories = append(directories, path)
			}
			return os.MkdirAll(filepath.Join(target, relative), 0o755)
		}
		paths <- relative
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	close(paths)
	workers.Wait()
	for last := len(directories) - 1; last >= 0; last-- {
		if err := os.Remove(directories[last]); err != nil {
			log.Fatal(err)
		}
	}
}
