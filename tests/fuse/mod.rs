//! A file system of our own, in memory and served by FUSE, that can be told to behave like the odd ones: network
//! file systems, FAT, object stores. Goes with `mod common; mod fuse; mod promises;` in each `tests/*.rs` that uses it.
//!
//! Every request is served by one of several threads, so a delay of each of them is no queue. Mounting needs root
//! and `/dev/fuse`, but no library and no helper program.

#![allow(dead_code, reason = "every test executable compiles all of this and uses its part")]
#![allow(unreachable_pub, reason = "`pub` marks what the tests use; an executable exports nothing anyway")]

pub mod odd;
mod serve;
mod server;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use rustix::io::Errno;

use crate::common::fs::require_root;
use crate::common::mount::Mount;

/// So many requests are served at once, unless more are asked for.
const THREADS: usize = 16;

/// So many are served at once on a mount like those to servers far away: more than anybody makes.
const MANY_THREADS: usize = 96;

/// What the file system is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Lookup,
    GetAttr,
    ReadLink,
    ReadDir,
    StatFs,
    /// To make anything: a file, a directory, a symlink, a special file.
    Make,
    Link,
    Rename,
    RenameDir,
    Unlink,
    RmDir,
    Open,
    Read,
    Write,
    Seek,
    Flush,
    Fsync,
    FsyncDir,
    Chown,
    Chmod,
    Times,
    SetSize,
    SetXattr,
    GetXattr,
    ListXattr,
    RemoveXattr,
}

/// An operation that fails.
#[derive(Clone, Debug)]
pub struct Fault {
    op: Op,
    /// Only for files whose name holds this.
    name: Option<&'static str>,
    error: Errno,
    /// It fails although it was done.
    done: bool,
    /// So many times from now on.
    times: u64,
}

impl Fault {
    /// `op` fails whenever it is asked for.
    #[must_use]
    pub fn on(op: Op, error: Errno) -> Self {
        Self { op, name: None, error, done: false, times: u64::MAX }
    }

    /// Only for files whose name holds `part`.
    #[must_use]
    pub fn of(self, part: &'static str) -> Self {
        Self { name: Some(part), ..self }
    }

    /// Only for the first `times` times.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    /// It is done, and said to have failed.
    #[must_use]
    pub fn but_done(self) -> Self {
        Self { done: true, ..self }
    }
}

/// What becomes of `RENAME_NOREPLACE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flags {
    /// It is heeded.
    Known,
    /// A rename with it is refused. (ENOSYS reaches the program as EINVAL: that is the kernel's doing.)
    Refused(Errno),
    /// Whatever is at the target is replaced all the same.
    Ignored,
}

/// What the file system says about holes, of which it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holes {
    /// Nothing: files have all their blocks, and seeking is not known.
    Unknown,
    /// That each file is one hole, and has one block.
    Everywhere,
}

/// How the file system differs from a good one.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a quirk that some file system has or has not")]
pub struct Quirks {
    /// Each operation takes so long.
    pub delay: Duration,
    /// Names and attributes are kept by the kernel for so long.
    pub remembered: Duration,
    pub faults: Vec<Fault>,
    pub flags: Flags,
    pub holes: Holes,
    /// Names with one of these bytes are refused with this error.
    pub refused_names: Option<(&'static [u8], Errno)>,
    /// Files are at most this long. Bytes.
    pub most_bytes: u64,
    /// All files together are at most this long; what is beyond is taken, and lost: fsync and close say so.
    pub room: u64,
    /// What fsync and close say about what was lost.
    pub full: Errno,
    /// Whether fsync knows of it, or only close.
    pub fsync_works: bool,
    /// Reads and writes are at most this long. Bytes.
    pub slice: usize,
    /// Times are kept in whole seconds.
    pub whole_seconds: bool,
    /// `a` and `A` are one name.
    pub folds_case: bool,
    /// Everything has this mode and owner, whatever is asked for: a change of the mode is ignored, one of the owner
    /// refused.
    pub all_alike: Option<(u32, u32, u32)>,
    /// A file that is removed while it is open gets a hidden name, as with NFS.
    pub silly_renames: bool,
    /// All files are said to be empty.
    pub sizeless: bool,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            remembered: Duration::ZERO,
            faults: Vec::new(),
            flags: Flags::Known,
            holes: Holes::Unknown,
            refused_names: None,
            most_bytes: u64::MAX,
            room: u64::MAX,
            full: Errno::NOSPC,
            fsync_works: true,
            slice: usize::MAX,
            whole_seconds: false,
            folds_case: false,
            all_alike: None,
            silly_renames: false,
            sizeless: false,
        }
    }
}

impl Quirks {
    /// A good file system, but for these faults.
    #[must_use]
    pub fn faults(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { faults: faults.into_iter().collect(), ..Self::default() }
    }

    /// With one more fault.
    #[must_use]
    pub fn and(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

/// What server and test share.
#[derive(Debug, Default)]
struct Shared {
    quirks: Mutex<Quirks>,
    counts: Mutex<BTreeMap<Op, u64>>,
}

/// A mounted file system of ours.
#[derive(Debug)]
pub struct Fuse {
    // Unmounted first: with that the session ends.
    mount: Mount,
    session: BackgroundSession,
    shared: Arc<Shared>,
}

impl Fuse {
    /// Mounts an empty one. Its root belongs to root and has mode 0755.
    #[must_use]
    #[track_caller]
    pub fn new(quirks: Quirks) -> Self {
        Self::served_by(THREADS, quirks)
    }

    /// Mounts one like those to a server far away, once [`Fuse::set_delay`] has said how far: all requests wait side by
    /// side. As with sshfs, lookups in one directory need not wait for each other (`FUSE_PARALLEL_DIROPS`), names and
    /// attributes are remembered for a second (libfuse's default), names that are not there are not, and at most 16
    /// requests are made in the background (reading ahead).
    #[must_use]
    #[track_caller]
    pub fn far_away() -> Self {
        Self::served_by(MANY_THREADS, Quirks { remembered: Duration::from_secs(1), ..Quirks::default() })
    }

    #[track_caller]
    fn served_by(threads: usize, quirks: Quirks) -> Self {
        require_root();
        let at = tempfile::Builder::new().prefix("pmove-mount-").tempdir_in("/tmp").expect("a directory in /tmp");
        let shared = Arc::new(Shared { quirks: Mutex::new(quirks), ..Shared::default() });
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName("pmove-test".into()), MountOption::DefaultPermissions, MountOption::Suid];
        config.acl = SessionACL::All;
        config.n_threads = Some(threads);
        let session = Session::new(serve::Server::new(Arc::clone(&shared)), at.path(), &config)
            .unwrap_or_else(|error| panic!("cannot mount by /dev/fuse: {error}"));
        let session = session.spawn().expect("threads that serve it");
        Self { mount: Mount::made_at(at.keep()), session, shared }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.mount.path()
    }

    /// Changes what is odd about it from now on.
    pub fn set(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.shared.quirks.lock().expect("no server thread has panicked"));
    }

    /// Everything takes so long from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.set(|quirks| quirks.delay = delay);
    }

    /// How often it has been asked for `op`.
    #[must_use]
    pub fn count(&self, op: Op) -> u64 {
        self.shared.counts.lock().expect("no server thread has panicked").get(&op).copied().unwrap_or_default()
    }
}
