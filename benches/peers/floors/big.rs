//! One big file across devices, cut into slices that threads take one after the other. A copy that is durable is
//! synced with one `fsync`; writing back may be begun earlier, so that it finds little to do.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use rustix::fs::{Advice, Mode, OFlags, SeekFrom};

use super::files::{Carrier, on_threads, open_dir, times};
use super::{Big, Staging, Through, What, WriteBack};

pub(super) fn run(args: &Big) -> Result<()> {
    let source = rustix::fs::open(&args.sides.source, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let stat = rustix::fs::fstat(&source)?;
    let size = u64::try_from(stat.st_size)?;
    let path = args.sides.target.join(args.sides.source.file_name().context("SOURCE has no name")?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let target = rustix::fs::open(&path, flags, Mode::from_raw_mode(stat.st_mode))?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| sync_meanwhile(args, &target, &over));
        let copying = slices(args, &source, &path, size);
        over.store(true, Ordering::Relaxed);
        copying.and(syncing.join().unwrap_or_else(|_| Err(anyhow::anyhow!("syncing panicked"))))
    })?;
    rustix::fs::futimens(&target, &times(&stat))?;
    if args.durable == What::Everything {
        rustix::fs::fsync(&target)?;
        rustix::fs::fsync(open_dir(&args.sides.target)?)?;
    }
    Ok(rustix::fs::unlink(&args.sides.source)?)
}

/// Lets the threads copy slices until none is left. Each has descriptors, and so positions, of its own.
fn slices(args: &Big, cloned: &OwnedFd, path: &Path, size: u64) -> Result<()> {
    let next = AtomicU64::new(0);
    let slice = if args.means.through == Through::Clone { size.max(1) } else { args.slice << 20 };
    on_threads(args.means.threads, &|| {
        let mut carrier = Carrier::new(&args.means, Staging::Named);
        let source = rustix::fs::open(&args.sides.source, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let target = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC | carrier.direct(size), Mode::empty())?;
        loop {
            let begin = next.fetch_add(slice, Ordering::Relaxed);
            if begin >= size {
                return Ok(());
            }
            let length = slice.min(size - begin);
            if args.means.through == Through::Clone {
                rustix::fs::ioctl_ficlone(&target, cloned)?;
                continue;
            }
            rustix::fs::seek(&source, SeekFrom::Start(begin))?;
            rustix::fs::seek(&target, SeekFrom::Start(begin))?;
            carrier.content(&source, &target, length)?;
            if args.write_back == WriteBack::Advised {
                rustix::fs::fadvise(&target, begin, length.try_into().ok(), Advice::DontNeed)?;
            }
        }
    })
}

/// Writes back again and again while copying goes on.
fn sync_meanwhile(args: &Big, target: &OwnedFd, over: &AtomicBool) -> Result<()> {
    while args.write_back == WriteBack::Synced && !over.load(Ordering::Relaxed) {
        rustix::fs::fdatasync(target)?;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Ok(())
}
