//! Runs pmove under ptrace and does something to one of its system calls: lets it fail, cuts it short, or sends a
//! signal.
//!
//! What strace cannot do: calls are counted over all threads together, so that every call of a run can be met; and
//! a call that is cut short is really made, with a smaller length. Only calls that deal with files, or that make
//! threads, are counted, and only from when the program itself runs.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_long, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::calls::{self, Length};
use crate::common::run::{Output, Pmove};

/// What is done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// It is not made, and fails with the `n`-th of the errors that fit it.
    Fail(usize),
    /// The same, and so does every later call of its kind.
    FailFromNowOn(usize),
    /// It is made, with a third of its length.
    Shorten,
    /// The process gets a signal when it is about to make the call.
    Signal(Signal),
    /// Nothing; the calls are only counted.
    Watch,
}

/// How a run under the tracer ended.
#[derive(Debug)]
pub(super) struct Traced {
    pub(super) output: Output,
    /// The calls that were counted, in the order in which they began.
    pub(super) calls: Vec<&'static calls::Call>,
    /// What was done, in words; none if the run was over before.
    pub(super) done: Option<String>,
    /// It did not end by itself.
    pub(super) hung: bool,
}

/// How long a run may take before it is said to hang.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs `pmove`; at its `at`-th call, counted from 0, `act` is done.
#[must_use]
pub(super) fn run(pmove: Pmove, at: usize, act: Act) -> Traced {
    // Stopped until it is traced, then it is what it was to be.
    let held = pmove.under(["/bin/sh", "-c", "kill -STOP $$; exec \"$@\"", "sh"]);
    let mut command = held.command();
    let line = format!("{command:?} ({act:?} at call {at})");
    let file = || tempfile::tempfile().expect("a temporary file");
    let (mut stdout, mut stderr) = (file(), file());
    let clone = |file: &fs::File| file.try_clone().expect("one more descriptor");
    command.stdin(Stdio::null()).stdout(clone(&stdout)).stderr(clone(&stderr));
    #[expect(clippy::zombie_processes, reason = "the tracer waits for it")]
    let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
    let root = Pid::from_raw(child.id().cast_signed());
    let mut tracer = Tracer::new(root, at, act);
    let status = tracer.follow(&line);
    let read = |file: &mut fs::File| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("what the run wrote");
        bytes
    };
    let (stdout, stderr) = (read(&mut stdout), read(&mut stderr));
    let output = Output::new(status, stdout, stderr, line);
    Traced { output, calls: tracer.calls, done: tracer.done, hung: tracer.hung }
}

struct Tracer {
    root: Pid,
    at: usize,
    act: Act,
    calls: Vec<&'static calls::Call>,
    /// What has to be done when a thread's call returns.
    under_way: HashMap<Pid, Pending>,
    /// This kind of call fails from now on, with this.
    lasting: Option<(c_long, Errno)>,
    done: Option<String>,
    traces: bool,
    hung: bool,
}

#[expect(clippy::large_enum_variant, reason = "there are a few at a time")]
enum Pending {
    /// The result is this error.
    Error(Errno),
    /// The registers are as they were before, but for the result.
    Restore(user_regs_struct),
}

impl Tracer {
    fn new(root: Pid, at: usize, act: Act) -> Self {
        let (calls, under_way) = (Vec::new(), HashMap::new());
        Self { root, at, act, calls, under_way, lasting: None, done: None, traces: false, hung: false }
    }

    /// Follows the process and all its threads to the end.
    fn follow(&mut self, line: &str) -> ExitStatus {
        let stopped = waitpid(self.root, Some(WaitPidFlag::WUNTRACED)).expect("waiting for our child");
        assert!(matches!(stopped, WaitStatus::Stopped(_, Signal::SIGSTOP)), "{line}: {stopped:?}");
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(self.root, options).unwrap_or_else(|error| panic!("{line}: ptrace: {error}"));
        kill(self.root, Signal::SIGCONT).expect("a signal to our child");
        let watchdog = Watchdog::over(self.root);
        // Only this thread's children: other tests have theirs.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(Pid::from_raw(-1), Some(flags)).expect("waiting for our child") {
                WaitStatus::Exited(pid, code) if pid == self.root => {
                    self.hung = watchdog.dismiss();
                    return ExitStatus::from_raw(code << 8);
                }
                WaitStatus::Signaled(pid, signal, _) if pid == self.root => {
                    self.hung = watchdog.dismiss();
                    return ExitStatus::from_raw(signal as i32);
                }
                WaitStatus::PtraceSyscall(pid) => {
                    self.syscall_stop(pid);
                    go_on(pid, None);
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    // The shell that was held has become what is to be watched.
                    self.traces |= event == libc::PTRACE_EVENT_EXEC;
                    go_on(pid, None);
                }
                WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal)),
                _ => {}
            }
        }
    }

    fn syscall_stop(&mut self, thread: Pid) {
        if !self.traces {
            return;
        }
        // Gone meanwhile, by a signal to the whole process.
        let Ok(info) = ptrace::syscall_info(thread) else { return };
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => self.entry(thread),
            libc::PTRACE_SYSCALL_INFO_EXIT => self.exit(thread),
            _ => {}
        }
    }

    fn entry(&mut self, thread: Pid) {
        let Ok(regs) = ptrace::getregs(thread) else { return };
        let number = regs.orig_rax.cast_signed();
        let Some(call) = calls::find(number) else { return };
        let turn = self.calls.len();
        self.calls.push(call);
        if let Some((_, error)) = self.lasting.filter(|lasting| lasting.0 == number) {
            self.fail(thread, regs, error);
        } else if turn == self.at {
            self.tamper(thread, regs, call);
        }
    }

    fn tamper(&mut self, thread: Pid, regs: user_regs_struct, call: &'static calls::Call) {
        let mut done = |what: String| self.done = Some(format!("{} {what}", call.name));
        match self.act {
            Act::Watch => {}
            Act::Signal(signal) => {
                done(format!("met {signal}"));
                kill(self.root, signal).expect("a signal to our child");
            }
            Act::Fail(n) | Act::FailFromNowOn(n) => {
                // The call here may be another than in the run by which the errors were counted.
                let Some(&error) = call.errors.get(n % call.errors.len().max(1)) else { return };
                let is_lasting = matches!(self.act, Act::FailFromNowOn(_));
                // No call is interrupted for ever.
                if is_lasting && error == Errno::EINTR {
                    return;
                }
                done(format!("failed with {error:?}{}", if is_lasting { " for good" } else { "" }));
                if is_lasting {
                    self.lasting = Some((call.number, error));
                }
                self.fail(thread, regs, error);
            }
            Act::Shorten => {
                let mut shorter = regs;
                let length = match call.length {
                    Length::None => return,
                    Length::Third => &mut shorter.rdx,
                    Length::Fifth => &mut shorter.r8,
                };
                if *length < 2 {
                    return;
                }
                *length = (*length / 3).max(1);
                done(format!("was cut short to {length}"));
                ptrace::setregs(thread, shorter).ok();
                self.under_way.insert(thread, Pending::Restore(regs));
            }
        }
    }

    /// The call is not made. (`close` is: a descriptor that it cannot close is closed all the same.)
    fn fail(&mut self, thread: Pid, mut regs: user_regs_struct, error: Errno) {
        if regs.orig_rax.cast_signed() != libc::SYS_close {
            regs.orig_rax = u64::MAX;
            // Gone meanwhile is fine.
            ptrace::setregs(thread, regs).ok();
        }
        self.under_way.insert(thread, Pending::Error(error));
    }

    fn exit(&mut self, thread: Pid) {
        let Some(pending) = self.under_way.remove(&thread) else { return };
        let Ok(mut regs) = ptrace::getregs(thread) else { return };
        match pending {
            Pending::Error(error) => regs.rax = i64::from(-(error as i32)).cast_unsigned(),
            Pending::Restore(before) => (regs.rdx, regs.r10, regs.r8) = (before.rdx, before.r10, before.r8),
        }
        ptrace::setregs(thread, regs).ok();
    }
}

/// Kills a run that takes too long.
struct Watchdog {
    over: Sender<()>,
    hung: JoinHandle<bool>,
}

impl Watchdog {
    fn over(root: Pid) -> Self {
        let (over, is_over) = channel();
        let watch = move || {
            let hung = is_over.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
            // Not reaped yet, or we had been told.
            hung && kill(root, Signal::SIGKILL).is_ok()
        };
        Self { over, hung: thread::spawn(watch) }
    }

    /// It has ended. Says whether it had to be killed.
    fn dismiss(self) -> bool {
        drop(self.over);
        self.hung.join().expect("a watchdog does not panic")
    }
}

/// Lets a thread run to its next call. It may be gone meanwhile.
fn go_on(thread: Pid, signal: Option<Signal>) {
    match ptrace::syscall(thread, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("ptrace: {error}"),
    }
}
