//! What the process as a whole is given: descriptors, creation mask, identity.

use rustix::process::{Resource, Rlimit};

/// Lets files be created with exactly the mode that is asked for. Called once, before any thread starts.
pub(crate) fn clear_umask() {
    rustix::process::umask(rustix::fs::Mode::empty());
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

/// The user whose rights count.
pub(crate) fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
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
