//! What the process as a whole is given: descriptors, creation mask, identity.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit};

use super::Time;
use super::fault::{Op, call};

/// Lets files be created with exactly the mode that is asked for. Called once, before any thread starts. Returns the bits
/// that the user does not want new files to have.
pub(crate) fn clear_umask() -> u32 {
    rustix::process::umask(rustix::fs::Mode::empty()).as_raw_mode()
}

/// How many descriptors the process may hold, after the soft limit was raised to the hard one.
pub(crate) fn descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(1 << 20);
    let soft = limit.current.unwrap_or(hard);
    if soft < hard
        && rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: limit.maximum }).is_ok()
    {
        return usize::try_from(hard).unwrap_or(usize::MAX);
    }
    usize::try_from(soft).unwrap_or(usize::MAX)
}

/// The machine's memory. Bytes.
pub(crate) fn memory() -> u64 {
    // A test cannot fill a machine's memory.
    #[cfg(debug_assertions)]
    if let Some(bytes) = std::env::var("PMOVE_TEST_MEMORY").ok().and_then(|bytes| bytes.parse().ok()) {
        return bytes;
    }
    let info = rustix::system::sysinfo();
    u64::from(info.mem_unit) * info.totalram
}

/// The user whose rights count. Asked once: pmove never changes it.
pub(crate) fn effective_user() -> u32 {
    static USER: OnceLock<u32> = OnceLock::new();
    *USER.get_or_init(|| rustix::process::geteuid().as_raw())
}

/// A name for this run that no other run on this machine has, and, as far as chance goes, on any other.
pub(crate) fn run_token() -> String {
    use std::hash::{BuildHasher, RandomState};
    let pid = rustix::process::getpid().as_raw_nonzero();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    // RandomState is seeded by the system's random source.
    let random = RandomState::new().hash_one((pid, now.tv_sec, now.tv_nsec));
    format!("{pid}-{random:016x}")
}

/// The time that file systems stamp on what changes now.
pub(crate) fn file_system_time() -> Time {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    Time { sec: now.tv_sec, nsec: u32::try_from(now.tv_nsec).unwrap_or(0) }
}

/// The time to the nanosecond: never earlier than what a file system has stamped before.
pub(crate) fn exact_time() -> Time {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Time { sec: now.tv_sec, nsec: u32::try_from(now.tv_nsec).unwrap_or(0) }
}

/// How long this thread has computed.
pub(crate) fn thread_time() -> std::time::Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// What the clock that can be set and the one that cannot differ by. Nanoseconds.
pub(crate) fn clock_offset() -> i128 {
    let nanoseconds = |clock| {
        let now = rustix::time::clock_gettime(clock);
        i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
    };
    nanoseconds(rustix::time::ClockId::Realtime) - nanoseconds(rustix::time::ClockId::Monotonic)
}

/// Whether open files can be named by their descriptors.
pub(crate) fn has_proc() -> bool {
    let access = || rustix::fs::access("/proc/self/fd", rustix::fs::Access::EXEC_OK);
    call(Op::Access, b"/proc/self/fd", access).is_ok()
}
