//! What the floors have in common: listing a directory, and carrying one file over.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Result, ensure};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat, Timespec, Timestamps};
use rustix::process::Resource;

use super::{Means, Staging, Through};

/// The largest piece that is read at once: small enough to stay in a core's cache.
const BUFFER: usize = 256 << 10;

/// The same where each piece is a request to the disk. 4 MiB is what fewer and larger ones gain nothing over.
const DIRECT: usize = 4 << 20;

/// Below this, a write past the page cache costs more than it saves.
const DIRECT_FROM: u64 = 256 << 10;

/// Addresses and lengths past the page cache are multiples of this.
const ALIGNED: usize = 4096;

/// Names that one `getdents64` can bring: larger is not faster.
const LISTING: usize = 256 << 10;

/// An entry of a directory, as listing tells it: no call is made to learn its kind.
pub(super) enum Entry {
    File(CString),
    Dir(CString),
}

/// Lets files be made with the mode that they are to have, and as many be open as may be.
pub(super) fn prepare() -> Result<()> {
    rustix::process::umask(Mode::empty());
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(rustix::process::setrlimit(Resource::Nofile, limit)?)
}

/// Opens a directory that the command line names.
pub(super) fn open_dir(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens a directory below one that is open.
pub(super) fn open_dir_at(dir: &OwnedFd, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

/// Gives each entry to `each`, while listing goes on.
pub(super) fn list(dir: &OwnedFd, mut each: impl FnMut(&CStr, FileType) -> Result<()>) -> Result<()> {
    let mut buffer = Vec::with_capacity(LISTING);
    let mut entries = RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            each(name, entry.file_type())?;
        }
    }
    Ok(())
}

/// All entries of a directory, which must be files and directories.
pub(super) fn entries(dir: &OwnedFd) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    list(dir, |name, kind| {
        ensure!(matches!(kind, FileType::RegularFile | FileType::Directory), "neither file nor directory");
        found.push(if kind == FileType::Directory { Entry::Dir(name.into()) } else { Entry::File(name.into()) });
        Ok(())
    })?;
    Ok(found)
}

/// The names in a directory that holds nothing but files.
pub(super) fn names(dir: &OwnedFd) -> Result<Vec<CString>> {
    let mut found = Vec::new();
    list(dir, |name, kind| {
        ensure!(kind == FileType::RegularFile, "not a file");
        found.push(name.into());
        Ok(())
    })?;
    Ok(found)
}

/// The times that a copy is to have.
pub(super) fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec.cast_signed() },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.cast_signed() },
    }
}

/// Gives an unnamed file its name. `AT_EMPTY_PATH` saves the way through /proc; before Linux 6.10 it needed a capability.
pub(super) fn link(file: &OwnedFd, target: &OwnedFd, name: &CStr) -> Result<()> {
    Ok(rustix::fs::linkat(file, c"", target, name, AtFlags::EMPTY_PATH)?)
}

/// Removes the name of a file.
pub(super) fn unlink(dir: &OwnedFd, name: &CStr) -> Result<()> {
    Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
}

/// Carries files over, one at a time.
pub(super) struct Carrier {
    buffer: Vec<u8>,
    /// Where in the buffer the part begins that is used.
    shift: usize,
    means: Means,
    staging: Staging,
}

impl Carrier {
    pub(super) fn new(means: &Means, staging: Staging) -> Self {
        let size = match means.through {
            Through::ReadWrite => BUFFER,
            Through::Direct => DIRECT,
            Through::SendFile | Through::Range | Through::Clone => 0,
        };
        let buffer = vec![0; size + ALIGNED];
        let shift = buffer.as_ptr().align_offset(ALIGNED);
        Self { buffer, shift, means: means.clone(), staging }
    }

    /// Copies one file with its mode and times. The copy has its name already, unless it is staged without one.
    pub(super) fn carry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<OwnedFd> {
        self.look(from, name)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let source = rustix::fs::openat(from, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&source)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let size = u64::try_from(stat.st_size)?;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | self.direct(size);
        let target = match self.staging {
            Staging::Unnamed => rustix::fs::openat(to, c".", flags | OFlags::TMPFILE, mode)?,
            Staging::Named => rustix::fs::openat(to, name, flags | OFlags::CREATE | OFlags::EXCL, mode)?,
        };
        self.content(&source, &target, size)?;
        if self.means.xattrs {
            rustix::fs::flistxattr_query(&source)?;
        }
        rustix::fs::futimens(&target, &times(&stat))?;
        Ok(target)
    }

    /// Looks at a source, if that was asked for.
    pub(super) fn look(&self, from: &OwnedFd, name: &CStr) -> Result<()> {
        if self.means.looks {
            rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    /// How a target of this size is opened besides: past the page cache, if that was asked for and is worth it.
    pub(super) fn direct(&self, size: u64) -> OFlags {
        if self.means.through == Through::Direct && size >= DIRECT_FROM { OFlags::DIRECT } else { OFlags::empty() }
    }

    /// Copies `size` bytes from where the two files stand; no call is made only to meet the end.
    pub(super) fn content(&mut self, source: &OwnedFd, target: &OwnedFd, size: u64) -> Result<()> {
        if self.means.through == Through::Clone {
            return Ok(rustix::fs::ioctl_ficlone(target, source)?);
        }
        let mut left = size;
        while left > 0 {
            let piece = usize::try_from(left)?;
            let done = match self.means.through {
                Through::SendFile => rustix::fs::sendfile(target, source, None, piece)?,
                Through::Range => rustix::fs::copy_file_range(source, None, target, None, piece)?,
                Through::ReadWrite | Through::Direct | Through::Clone => self.through_buffer(source, target, piece)?,
            };
            ensure!(done > 0, "a file has shrunk");
            left -= done as u64;
        }
        Ok(())
    }

    /// Reads once, and writes what was read.
    fn through_buffer(&mut self, source: &OwnedFd, target: &OwnedFd, piece: usize) -> Result<usize> {
        let buffer = &mut self.buffer[self.shift..];
        let usable = buffer.len() / ALIGNED * ALIGNED;
        let read = rustix::io::read(source, &mut buffer[..piece.min(usable)])?;
        if !read.is_multiple_of(ALIGNED) && self.means.through == Through::Direct {
            // The end of a file goes the ordinary way.
            let flags = rustix::fs::fcntl_getfl(target)?;
            rustix::fs::fcntl_setfl(target, flags - OFlags::DIRECT)?;
        }
        write_all(target, &buffer[..read])?;
        Ok(read)
    }
}

/// Writes all of `bytes`.
fn write_all(target: &OwnedFd, bytes: &[u8]) -> Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        written += rustix::io::write(target, &bytes[written..])?;
    }
    Ok(())
}

/// Does `work` on so many threads, this one among them.
pub(super) fn on_threads(threads: usize, work: &(impl Fn() -> Result<()> + Sync)) -> Result<()> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for other in others {
            result = result.and(other.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))));
        }
        result
    })
}
