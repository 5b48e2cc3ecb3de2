//! System calls of a run, by strace: how many, in which order, and which of them are made to fail.
//!
//! The loader's calls are counted as well, so a cost per file is the difference between two runs. A test that
//! uses this fails where strace is missing.

use std::collections::BTreeMap;
use std::fs;

use super::fs::{Scratch, scratch};
use super::run::{Output, Pmove};

/// What strace shall do.
#[derive(Clone, Debug, Default)]
pub struct Strace {
    args: Vec<String>,
}

/// Numbers of system calls, all threads together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<String, u64>);

/// One system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread that made it.
    pub thread: u32,
    /// Its name.
    pub name: String,
    /// Arguments, result and error, as strace writes them after the name: `(3, "a", 0) = -1 ENOENT (…)`.
    pub text: String,
    /// How many calls of the record had begun when this one returned: it did so before those from this index on.
    pub ended: usize,
}

impl Call {
    /// Whether it succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.text.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with('-') && !result.starts_with('?'))
    }
}

impl Counts {
    /// All calls.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The calls of one name.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn add(&mut self, name: &str, count: u64) {
        *self.0.entry(name.to_owned()).or_default() += count;
    }
}

impl Strace {
    /// Every call, none of them touched.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these calls, separated by commas, as strace's `-e trace=` takes them.
    #[must_use]
    pub fn only(mut self, calls: &str) -> Self {
        self.args.push(format!("--trace={calls}"));
        self
    }

    /// Tampers with calls, as strace's `-e inject=` takes it: `fsync:error=EIO`, `renameat2:signal=KILL:when=2`.
    /// With `when`, strace counts each thread's calls on their own.
    #[must_use]
    pub fn inject(mut self, what: &str) -> Self {
        self.args.push(format!("--inject={what}"));
        self
    }

    /// Shows the path of every descriptor: `fsync(3</tmp/a>)`.
    #[must_use]
    pub fn with_paths(mut self) -> Self {
        self.args.push("--decode-fds=path".to_owned());
        self
    }

    /// Runs it and only counts: quick, whatever the number of calls.
    #[track_caller]
    pub fn count(&self, pmove: Pmove) -> (Output, Counts) {
        let (output, log) = self.run(pmove, &["--summary-only", "--summary-columns=calls,name"]);
        let mut counts = Counts::default();
        for line in log.lines() {
            // Between two lines of dashes: "  12 openat". Outside of them a heading and the total; and where a thread has
            // ended too quickly, its number and "???( <detached ...>".
            if let Some((calls, name)) = line.trim().split_once(char::is_whitespace)
                && let Ok(calls) = calls.parse()
                && is_call(name.trim())
                && name.trim() != "total"
            {
                counts.add(name.trim(), calls);
            }
        }
        assert!(!log.is_empty(), "strace has counted nothing\n{}", output.dump());
        (output, counts)
    }

    /// Runs it and records every call in the order in which they began.
    #[track_caller]
    pub fn record(&self, pmove: Pmove) -> (Output, Vec<Call>) {
        let (output, log) = self.run(pmove, &["-a", "1"]);
        let calls = parse(&log);
        assert!(!calls.is_empty(), "strace has recorded nothing\n{}", output.dump());
        (output, calls)
    }

    #[track_caller]
    fn run(&self, pmove: Pmove, extra: &[&str]) -> (Output, String) {
        super::fs::must(std::process::Command::new("strace").arg("-V"));
        let dir: Scratch = scratch();
        let log = dir.join("log");
        // The log is made here and is open to all, since strace may run as another user.
        fs::write(&log, "").expect("an empty log");
        open_to_all(&dir, &log);
        let mut strace = vec!["strace".into(), "--follow-forks".into(), "--quiet=all".into(), "--output".into()];
        strace.push(log.clone().into_os_string());
        strace.extend(extra.iter().map(Into::into));
        strace.extend(self.args.iter().map(Into::into));
        strace.push("--".into());
        let output = pmove.under(strace).run();
        let text = fs::read(&log).expect("the log");
        (output, String::from_utf8_lossy(&text).into_owned())
    }
}

fn open_to_all(dir: &std::path::Path, log: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).expect("chmod of our own directory");
    fs::set_permissions(log, fs::Permissions::from_mode(0o666)).expect("chmod of our own file");
}

/// Reads a log of `strace -f`. A call that another thread interrupts comes in two parts:
/// `12 fsync(3 <unfinished ...>` and `12 <... fsync resumed>) = 0`.
fn parse(log: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: BTreeMap<u32, usize> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Ok(thread) = thread.parse() else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            if let (Some(call), Some((_, text))) = (unfinished.remove(&thread), resumed.split_once(" resumed>")) {
                calls[call].text.push_str(text);
                calls[call].ended = calls.len();
            }
            continue;
        }
        // What else there is: signals (`---`) and exits (`+++`).
        let Some((name, _)) = rest.split_once('(') else { continue };
        if !is_call(name) {
            continue;
        }
        let mut text = &rest[name.len()..];
        let mut ended = calls.len() + 1;
        if let Some(begun) = text.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, calls.len());
            text = begun;
            // Unless it is resumed, it never returned.
            ended = usize::MAX;
        }
        calls.push(Call { thread, name: name.to_owned(), text: text.to_owned(), ended });
    }
    calls
}

/// Whether this is what system calls are named like.
fn is_call(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Numbers of the calls in a record.
#[must_use]
pub fn counts(calls: &[Call]) -> Counts {
    let mut counts = Counts::default();
    for call in calls {
        counts.add(&call.name, 1);
    }
    counts
}
