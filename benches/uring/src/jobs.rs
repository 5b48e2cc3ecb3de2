//! What is to be done, in phases: a directory is made before anything is put into it, and removed after
//! everything in it. Both ways of asking take the same jobs in the same order, one at a time.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, anyhow};
use rustix::fs::{Mode, OFlags, Stat, Timespec, Timestamps};

use crate::{Work, workers};

/// The largest piece that is read at once, as in the floors.
pub(crate) const BUFFER: usize = 256 << 10;

/// How a source is opened.
pub(crate) const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How a copy is made: under its final name, since no safe interface to `io_uring` has what links an unnamed file.
pub(crate) const CREATE: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::CLOEXEC);

/// One thing to do; paths are relative to both sides.
pub(crate) enum Job {
    Rename(CString),
    MakeDir(CString),
    Copy(CString),
    RemoveDir(CString),
}

/// The two directories.
pub(crate) struct Sides {
    pub(crate) source: OwnedFd,
    pub(crate) target: OwnedFd,
}

impl Sides {
    pub(crate) fn open(source: &Path, target: &Path) -> Result<Self> {
        let open = |path: &Path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty()).with_context(|| format!("{}", path.display()))
        };
        Ok(Self { source: open(source)?, target: open(target)? })
    }
}

/// Jobs that may be done in any order.
#[derive(Default)]
pub(crate) struct Phase {
    jobs: Vec<Job>,
    next: AtomicUsize,
}

impl Phase {
    /// The next job that nobody has taken.
    pub(crate) fn take(&self) -> Option<&Job> {
        self.jobs.get(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// All phases, for all workers.
pub(crate) struct Plan {
    phases: Vec<Phase>,
    barrier: Barrier,
}

impl Plan {
    pub(crate) fn new(work: Work, source: &Path, workers: usize) -> Result<Self> {
        let mut found = Found::default();
        found.list(source, Path::new(""), 0)?;
        let mut phases = Vec::new();
        if work == Work::Rename {
            let dirs = found.levels.into_iter().next().unwrap_or_default();
            let top = found.files.into_iter().filter(|path| path.components().count() == 1).chain(dirs);
            phases.push(phase(top, Job::Rename)?);
        } else {
            for level in &found.levels {
                phases.push(phase(level.clone(), Job::MakeDir)?);
            }
            phases.push(phase(found.files, Job::Copy)?);
            for level in found.levels.into_iter().rev() {
                phases.push(phase(level, Job::RemoveDir)?);
            }
        }
        Ok(Self { phases, barrier: Barrier::new(workers) })
    }

    /// Lets one worker do its part of every phase, `each` of them after all workers are done with the one before.
    pub(crate) fn follow(&self, mut each: impl FnMut(&Phase) -> Result<()>) -> Result<()> {
        let mut result = Ok(());
        for phase in &self.phases {
            // A worker that has failed takes no more jobs, but the others wait for it at each barrier.
            if result.is_ok() {
                result = each(phase);
            }
            self.barrier.wait();
        }
        // While all of the kernel's threads are still there.
        let told = if self.barrier.wait().is_leader() { workers::tell() } else { Ok(()) };
        self.barrier.wait();
        result.and(told)
    }
}

/// What there is in the source.
#[derive(Default)]
struct Found {
    files: Vec<PathBuf>,
    /// Directories, by their depth.
    levels: Vec<Vec<PathBuf>>,
}

impl Found {
    fn list(&mut self, root: &Path, below: &Path, depth: usize) -> Result<()> {
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if self.levels.len() == depth {
                    self.levels.push(Vec::new());
                }
                self.list(root, &path, depth + 1)?;
                self.levels[depth].push(path);
            } else {
                self.files.push(path);
            }
        }
        Ok(())
    }
}

fn phase(paths: impl IntoIterator<Item = PathBuf>, job: fn(CString) -> Job) -> Result<Phase> {
    let jobs = paths.into_iter().map(|path| Ok(job(CString::new(path.into_os_string().into_vec())?)));
    Ok(Phase { jobs: jobs.collect::<Result<_>>()?, next: AtomicUsize::new(0) })
}

/// What a copy is to be like.
pub(crate) struct Look {
    pub(crate) size: u64,
    pub(crate) mode: Mode,
    pub(crate) times: Timestamps,
}

impl From<Stat> for Look {
    fn from(stat: Stat) -> Self {
        let time = |seconds, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds.cast_signed() };
        Self {
            size: stat.st_size.cast_unsigned(),
            mode: Mode::from_raw_mode(stat.st_mode),
            times: Timestamps {
                last_access: time(stat.st_atime, stat.st_atime_nsec),
                last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
            },
        }
    }
}

/// A file that is shorter than it was.
pub(crate) fn shrunk(path: &CString) -> anyhow::Error {
    anyhow!("{} has shrunk", path.to_string_lossy())
}
