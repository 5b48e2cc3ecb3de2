//! The plain way: each thread makes one system call after the other.

use std::ffi::CString;

use anyhow::Result;
use rustix::fs::{AtFlags, Mode, StatxFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::Fsync;
use crate::jobs::{BUFFER, CREATE, Job, Look, Plan, READ, Sides, shrunk};

pub(crate) fn work(sides: &Sides, plan: &Plan, fsync: Fsync) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    plan.follow(|phase| {
        while let Some(job) = phase.take() {
            match job {
                Job::Rename(path) => rustix::fs::renameat(&sides.source, path, &sides.target, path)?,
                Job::MakeDir(path) => rustix::fs::mkdirat(&sides.target, path, Mode::from_raw_mode(0o755))?,
                Job::Copy(path) => copy(sides, path, &mut buffer, fsync)?,
                Job::RemoveDir(path) => rustix::fs::unlinkat(&sides.source, path, AtFlags::REMOVEDIR)?,
            }
        }
        Ok(())
    })
}

fn copy(sides: &Sides, path: &CString, buffer: &mut [u8], fsync: Fsync) -> Result<()> {
    let source = rustix::fs::openat(&sides.source, path, READ, Mode::empty())?;
    let look = look(&source)?;
    let target = rustix::fs::openat(&sides.target, path, CREATE, look.mode)?;
    let mut done = 0;
    while done < look.size {
        let read = rustix::io::pread(&source, &mut *buffer, done)?;
        if read == 0 {
            return Err(shrunk(path));
        }
        let mut written = 0;
        while written < read {
            written += rustix::io::pwrite(&target, &buffer[written..read], done + written as u64)?;
        }
        done += read as u64;
    }
    rustix::fs::futimens(&target, &look.times)?;
    if fsync == Fsync::Each {
        rustix::fs::fsync(&target)?;
    }
    drop((source, target));
    Ok(rustix::fs::unlinkat(&sides.source, path, AtFlags::empty())?)
}

/// `statx`, and not `fstat`, because a ring has no other.
pub(crate) fn look(file: &impl std::os::fd::AsFd) -> Result<Look, Errno> {
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    let time = |time: rustix::fs::StatxTimestamp| Timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_nsec.into() };
    Ok(Look {
        size: stat.stx_size,
        mode: Mode::from_raw_mode(stat.stx_mode.into()),
        times: Timestamps { last_access: time(stat.stx_atime), last_modification: time(stat.stx_mtime) },
    })
}
