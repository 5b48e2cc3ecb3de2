//! Counting: system calls by strace, instructions by callgrind, of the program as it is released.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::common::fs::must;
use crate::common::run::{Output, Pmove};
use crate::common::trace::{Counts, Strace};
use crate::forms::{Amount, Disks, Form};

/// System calls by which threads wait for each other, begin, end, and get memory. How many there are is a matter of who is
/// faster: a worker that finds nothing to do looks around 32 times before it sleeps. `syncfs` is among them, because one
/// serves all batches that have come together while the last one went on.
const BY_CHANCE: &[&str] = &[
    "brk",
    "clone3",
    "futex",
    "gettid",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "prctl",
    "restart_syscall",
    "rseq",
    "rt_sigprocmask",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "syncfs",
];

/// Built as a release is: a build for tests has the features that they want of some crates, and is a third larger.
static RELEASE: LazyLock<PathBuf> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is below target");
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--locked", "--release", "--target-dir"]);
    must(build.arg(target));
    target.join("release/pmove")
});

/// The system calls that a file costs; of one file, those of the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    /// Those that the work needs, by name.
    pub(crate) needed: BTreeMap<String, f64>,
    /// The others.
    pub(crate) by_chance: f64,
}

/// Counts system calls.
pub(crate) fn calls(form: Form, disks: &Disks) -> Cost {
    let count = |files| form.moved(&RELEASE, disks, files, |pmove| Strace::new().count(pmove));
    match form.amount() {
        Amount::One => grown(&Counts::default(), &count(1), 1),
        Amount::Between(few, many) => grown(&count(few), &count(many), many - few),
    }
}

/// How many more calls each of so many more files has made.
fn grown(less: &Counts, more: &Counts, files: u32) -> Cost {
    let mut cost = Cost::default();
    let names: BTreeSet<&String> = less.0.keys().chain(more.0.keys()).collect();
    for name in names {
        let calls = each(less.of(name), more.of(name), files);
        if BY_CHANCE.contains(&&**name) {
            cost.by_chance += calls;
        } else {
            cost.needed.insert(name.clone(), calls);
        }
    }
    cost
}

/// Counts the instructions that a file costs; of one file, those of the run.
pub(crate) fn instructions(form: Form, disks: &Disks) -> f64 {
    let profile = profile_of(form);
    let count = |files| form.moved(&RELEASE, disks, files, |pmove| profiled(pmove, &profile));
    match form.amount() {
        Amount::One => each(0, count(1), 1),
        // The larger one last: its profile is what is left to be looked at.
        Amount::Between(few, many) => each(count(few), count(many), many - few),
    }
}

/// Where callgrind leaves its profile of a form, for `callgrind_annotate`.
fn profile_of(form: Form) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("counts");
    fs::create_dir_all(&dir).expect("a directory below target");
    dir.join(form.to_string().replace(", ", ".").replace(' ', "-"))
}

/// Runs it under callgrind, and returns the number of instructions, of all threads together.
fn profiled(pmove: Pmove, profile: &Path) -> (Output, u64) {
    let log = profile.with_added_extension("log");
    let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
    // Fair: without it a thread that looks around for work may keep the one that has some waiting.
    let valgrind = ["valgrind".to_owned(), "--tool=callgrind".to_owned(), "--fair-sched=yes".to_owned()];
    let files = [option("callgrind-out-file", profile), option("log-file", &log)];
    let output = pmove.under(valgrind.into_iter().chain(files)).run();
    let text = fs::read_to_string(&log).unwrap_or_default();
    let collected = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    (output, collected.unwrap_or_else(|| panic!("callgrind has counted nothing\n{text}")))
}

/// The difference of two counts, for each of so many files.
#[expect(clippy::cast_precision_loss, reason = "no count comes near 2^53")]
fn each(less: u64, more: u64, files: u32) -> f64 {
    (more as f64 - less as f64) / f64::from(files)
}
