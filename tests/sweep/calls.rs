//! The system calls that are met one by one, and the errors with which each may fail.
//!
//! Errors that would be lies are left out: that a name is gone which is there (ENOENT, ESTALE), or that one is
//! there which is not (`mkdirat`: EEXIST). A program can only believe them.

use nix::errno::Errno::{self, *};
use nix::libc::{self, c_long};

/// A kind of system call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) number: c_long,
    pub(super) name: &'static str,
    pub(super) errors: &'static [Errno],
    pub(super) length: Length,
}

/// Which argument says how much is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    None,
    Third,
    Fifth,
}

const fn call(number: c_long, name: &'static str, errors: &'static [Errno]) -> Call {
    Call { number, name, errors, length: Length::None }
}

const fn sized(number: c_long, name: &'static str, length: Length, errors: &'static [Errno]) -> Call {
    Call { number, name, errors, length }
}

const CALLS: &[Call] = &[
    // Opening: who may, how many, whether it works at all.
    call(libc::SYS_openat, "openat", &[EACCES, EMFILE, EIO, ENOSPC, EOPNOTSUPP]),
    call(libc::SYS_openat2, "openat2", &[EACCES, EMFILE, EIO]),
    call(libc::SYS_close, "close", &[EIO, EDQUOT]),
    call(libc::SYS_statx, "statx", &[EIO, EACCES]),
    call(libc::SYS_newfstatat, "newfstatat", &[EIO, EACCES]),
    call(libc::SYS_fstatfs, "fstatfs", &[EIO, ENOSYS]),
    call(libc::SYS_getdents64, "getdents64", &[EIO, EINTR]),
    call(libc::SYS_readlinkat, "readlinkat", &[EIO, EACCES]),
    call(libc::SYS_lseek, "lseek", &[EINVAL, EIO]),
    // Content.
    sized(libc::SYS_read, "read", Length::Third, &[EIO, EINTR]),
    sized(libc::SYS_pread64, "pread64", Length::Third, &[EIO, EINTR, EISDIR]),
    sized(libc::SYS_write, "write", Length::Third, &[ENOSPC, EIO, EDQUOT, EINTR]),
    sized(libc::SYS_pwrite64, "pwrite64", Length::Third, &[ENOSPC, EIO, EDQUOT, EFBIG, EINTR]),
    sized(
        libc::SYS_copy_file_range,
        "copy_file_range",
        Length::Fifth,
        &[EXDEV, EINVAL, EIO, ENOSPC, EOPNOTSUPP, EPERM, ENOENT, EINTR, ETXTBSY],
    ),
    call(libc::SYS_pipe2, "pipe2", &[EMFILE, ENFILE]),
    sized(libc::SYS_splice, "splice", Length::Fifth, &[EINVAL, EIO, ENOSPC, EINTR, ENOSYS]),
    call(libc::SYS_ioctl, "ioctl", &[EOPNOTSUPP, EIO, ENOTTY, EPERM]),
    call(libc::SYS_ftruncate, "ftruncate", &[EFBIG, ENOSPC, EIO]),
    call(libc::SYS_fallocate, "fallocate", &[EOPNOTSUPP, ENOSPC]),
    call(libc::SYS_fadvise64, "fadvise64", &[EINVAL]),
    // Durability.
    call(libc::SYS_fsync, "fsync", &[EIO, ENOSPC, EDQUOT, EINVAL]),
    call(libc::SYS_fdatasync, "fdatasync", &[EIO, ENOSPC]),
    call(libc::SYS_syncfs, "syncfs", &[EIO, ENOSPC, EDQUOT]),
    // Names.
    call(libc::SYS_renameat, "renameat", &[EXDEV, EACCES, EIO, ENOSPC, EBUSY, EPERM, EDQUOT]),
    call(libc::SYS_renameat2, "renameat2", &[EXDEV, EINVAL, EACCES, EIO, ENOSYS, ENOSPC, EBUSY, EPERM]),
    call(libc::SYS_linkat, "linkat", &[EPERM, EMLINK, EIO, ENOSPC, EXDEV, EOPNOTSUPP]),
    call(libc::SYS_unlinkat, "unlinkat", &[EACCES, EPERM, EBUSY, EIO, EROFS]),
    call(libc::SYS_mkdirat, "mkdirat", &[EACCES, ENOSPC, EIO, EMLINK]),
    call(libc::SYS_symlinkat, "symlinkat", &[EPERM, ENOSPC, EIO]),
    call(libc::SYS_mknodat, "mknodat", &[EPERM, ENOSPC, EIO]),
    // Properties.
    call(libc::SYS_fchmod, "fchmod", &[EPERM, EIO]),
    call(libc::SYS_fchmodat, "fchmodat", &[EPERM, EIO]),
    call(libc::SYS_fchmodat2, "fchmodat2", &[EPERM, EIO, ENOSYS, EOPNOTSUPP]),
    call(libc::SYS_fchown, "fchown", &[EPERM, EIO, EINVAL]),
    call(libc::SYS_fchownat, "fchownat", &[EPERM, EIO, EINVAL]),
    call(libc::SYS_utimensat, "utimensat", &[EPERM, EIO, EACCES]),
    call(libc::SYS_flistxattr, "flistxattr", &[EIO, ERANGE]),
    call(libc::SYS_listxattr, "listxattr", &[EIO]),
    call(libc::SYS_llistxattr, "llistxattr", &[EIO]),
    call(libc::SYS_fgetxattr, "fgetxattr", &[EIO, ERANGE]),
    call(libc::SYS_lgetxattr, "lgetxattr", &[EIO]),
    call(libc::SYS_getxattr, "getxattr", &[EIO]),
    call(libc::SYS_fsetxattr, "fsetxattr", &[EOPNOTSUPP, ENOSPC, EPERM, EIO]),
    call(libc::SYS_lsetxattr, "lsetxattr", &[EOPNOTSUPP, ENOSPC, EPERM, EIO]),
    call(libc::SYS_setxattr, "setxattr", &[EOPNOTSUPP, ENOSPC, EPERM, EIO]),
    call(libc::SYS_fremovexattr, "fremovexattr", &[EIO, EPERM]),
    call(libc::SYS_fcntl, "fcntl", &[EMFILE]),
    call(libc::SYS_flock, "flock", &[EAGAIN, EINTR, ENOLCK]),
    // Threads that cannot be had.
    call(libc::SYS_clone3, "clone3", &[EAGAIN, ENOMEM]),
];

/// The call of this number, if it is one that counts.
pub(super) fn find(number: c_long) -> Option<&'static Call> {
    CALLS.iter().find(|call| call.number == number)
}
