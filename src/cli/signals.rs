//! SIGINT, SIGTERM and SIGHUP: the first one ends the work in good order, a second one, half a second later or more,
//! ends the process at once. (timeout(1) sends its signal twice in one breath, to the process and to its group.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

/// The signals that end a run.
pub(super) struct Signals {
    came: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
    second: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to watch for them. A signal that the caller has set to be ignored (nohup) stays ignored.
    pub(super) fn watch() -> Self {
        let signals = Self { came: Arc::default(), which: Arc::default(), second: Arc::default() };
        // Past a file size limit, writing is to fail like any other, not to kill the process (setrlimit(2)).
        drop(signal_hook::flag::register(SIGXFSZ, Arc::default()));
        let ignored = ignored_signals();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if ignored & (1 << (signal - 1)) != 0 {
                continue;
            }
            let number = usize::try_from(signal).unwrap_or(0);
            // Where a handler cannot be set, the signal ends the process as it always would, and the next run finishes
            // the job.
            let set = signal_hook::flag::register_conditional_default(signal, Arc::clone(&signals.second))
                .and_then(|_| signal_hook::flag::register_usize(signal, Arc::clone(&signals.which), number))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&signals.came)));
            drop(set);
        }
        signals
    }

    /// Does not watch: what a test runs in its own process leaves the process's signals alone.
    #[cfg(debug_assertions)]
    pub(super) fn ignore() -> Self {
        Self { came: Arc::default(), which: Arc::default(), second: Arc::default() }
    }

    /// Set once a signal came.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.came)
    }

    /// To be set once a further signal is to end the process at once.
    pub(super) fn second(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.second)
    }

    /// If a signal came: ends the process as that signal would have.
    pub(super) fn die_of_it(&self) {
        if let Ok(signal @ 1..) = i32::try_from(self.which.load(Ordering::Relaxed)) {
            // It does not return for these signals; if it did, the exit code would tell.
            signal_hook::low_level::emulate_default_handler(signal).ok();
        }
    }
}

/// The signals that were ignored when the process began, as a bit mask (`proc_pid_status(5)`).
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
