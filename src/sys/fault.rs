//! The seam for faults: every function of this room that makes a system call makes it through here, under the name of
//! its kind, so that a test can make any call fail, fall short, take its time or be the last one, and can do something
//! of its own between two calls.
//!
//! All of that is in `fault/plan.rs`, which a release build does not contain: there, `call` and `sized` are the
//! calls themselves.

#![allow(
    unreachable_pub,
    reason = "reached by tests only, through `pmove::fault`, which a release build does not have"
)]

use rustix::io::Errno;

#[cfg(debug_assertions)]
mod plan;

#[cfg(debug_assertions)]
pub use plan::{Call, Fault, Plan, Running, When, calls};

/// The kinds of system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `statx`.
    Stat,
    /// `statfs`.
    StatFs,
    /// The ioctl that reads a file's flags.
    Flags,
    /// `faccessat`.
    Access,
    /// Opening a directory.
    OpenDir,
    /// Opening a regular file for reading.
    OpenFile,
    /// A second descriptor of what is open.
    Dup,
    /// `getdents64`.
    List,
    /// `readlinkat`.
    ReadLink,
    /// `flock`.
    Lock,
    /// Making a regular file under a name.
    Create,
    /// Making one without a name (`O_TMPFILE`).
    CreateUnnamed,
    /// `mkdirat`.
    MakeDir,
    /// `symlinkat`.
    MakeLink,
    /// `mknodat`.
    MakeNode,
    /// `linkat` from a name.
    Link,
    /// `linkat` of a file without a name.
    Publish,
    /// `renameat`.
    Rename,
    /// `renameat2` with `RENAME_NOREPLACE`.
    RenameNoReplace,
    /// `renameat2` with `RENAME_EXCHANGE`.
    Exchange,
    /// `unlinkat` of what is no directory.
    Unlink,
    /// `unlinkat` of a directory.
    RemoveDir,
    /// The ioctl that shares blocks.
    Clone,
    /// `copy_file_range`.
    CopyRange,
    /// `pipe2`.
    MakePipe,
    /// `splice` from a file.
    FillPipe,
    /// `splice` to a file.
    DrainPipe,
    /// `fallocate`.
    Reserve,
    /// `lseek`.
    Seek,
    /// `pread`.
    Read,
    /// `write` and `pwrite`.
    Write,
    /// `ftruncate`.
    Truncate,
    /// `close` of what was written.
    Close,
    /// `fsync`.
    Sync,
    /// `syncfs`.
    SyncAll,
    /// `fchown`, `fchownat`.
    GiveOwner,
    /// `fchmod`, `fchmodat`.
    GiveMode,
    /// `futimens`, `utimensat`.
    GiveTimes,
    /// `flistxattr`, `llistxattr`.
    ListAttributes,
    /// `fgetxattr`, `lgetxattr`.
    GetAttribute,
    /// `fsetxattr`, `lsetxattr`.
    SetAttribute,
    /// `fremovexattr`.
    RemoveAttribute,
}

/// Makes a system call. `name` is what it is about, where that has a name.
#[cfg(not(debug_assertions))]
#[inline]
pub(super) fn call<T>(_: Op, _: &[u8], call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    call()
}

/// Makes a system call that gives what is called `name` the name `new`.
#[cfg(not(debug_assertions))]
#[inline]
pub(super) fn renaming<T>(_: Op, _: &[u8], _: &[u8], call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    call()
}

/// Makes a system call about `len` bytes, which may be about fewer.
#[cfg(not(debug_assertions))]
#[inline]
pub(super) fn sized<T>(_: Op, len: usize, call: impl FnOnce(usize) -> Result<T, Errno>) -> Result<T, Errno> {
    call(len)
}

/// Makes a system call, unless the plan of a test wants something else. `name` is what it is about, where that has a
/// name.
#[cfg(debug_assertions)]
pub(super) fn call<T>(op: Op, name: &[u8], call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    plan::pass(op, name, usize::MAX, |_| call())
}

/// Makes a system call that gives what is called `name` the name `new`, unless the plan of a test wants something else.
#[cfg(debug_assertions)]
pub(super) fn renaming<T>(
    op: Op,
    name: &[u8],
    new: &[u8],
    call: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    plan::pass(op, &[name, b" -> ", new].concat(), usize::MAX, |_| call())
}

/// Makes a system call about `len` bytes, which may be about fewer, unless the plan of a test wants something else.
#[cfg(debug_assertions)]
pub(super) fn sized<T>(op: Op, len: usize, call: impl FnOnce(usize) -> Result<T, Errno>) -> Result<T, Errno> {
    plan::pass(op, b"", len, call)
}
