//! What is moved in the sweeps, from where to where, and how it is run.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use pmove::cli::{Rehearsed, rehearse};
use pmove::fault::{Call, Op, Plan, calls};
use rustix::io::Errno;

use crate::common::fs::{is_root, other};
use crate::common::snapshot::Snapshot;
use crate::common::tree::Tree;
use crate::promises::{Sides, across, back, wait_until};

/// How a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each source is an operand.
    Operands,
    /// A pattern finds them.
    Pattern,
    /// One directory that holds all of them, onto an empty one of the same name.
    Tree,
    /// The same, to a new name.
    NewName,
}

/// What the file systems can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All that they can.
    Best,
    /// Nothing but reading and writing.
    ByHand,
    /// No files without names.
    NamedStages,
    /// No renames that replace nothing.
    PlainRenames,
    /// They are one, but for what is moved: that has to be copied, within the file system.
    Within,
}

/// A kind of run.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// How it is called in reports.
    pub name: &'static str,
    sides: fn() -> Sides,
    pub shape: Shape,
    /// `-n`, `-f`, or nothing.
    pub policy: &'static str,
    pub way: Way,
}

/// Within one file system, where nothing waits for a disk.
fn in_memory() -> Sides {
    Sides { from: other(), to: other() }
}

/// Every way between file systems, for every shape.
pub fn cases(shapes: &[Shape], policies: &[&'static str]) -> Vec<Case> {
    type Make = fn() -> Sides;
    let sides: [(&'static str, Make); 3] = [("one device", in_memory), ("to memory", across), ("to disk", back)];
    let mut cases = Vec::new();
    for (name, sides) in sides {
        for &shape in shapes {
            cases.extend(policies.iter().map(|&policy| Case { name, sides, shape, policy, way: Way::Best }));
        }
    }
    cases
}

/// Between file systems that cannot do everything.
pub fn hard_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, sides) in [("to memory", across as fn() -> Sides), ("to disk", back)] {
        for way in [Way::ByHand, Way::NamedStages, Way::PlainRenames] {
            for shape in [Shape::Pattern, Shape::Tree] {
                cases.push(Case { name, sides, shape, policy: "-n", way });
            }
        }
    }
    for shape in [Shape::Pattern, Shape::Tree] {
        for policy in ["", "-n"] {
            cases.push(Case { name: "one device", sides: in_memory, shape, policy, way: Way::Within });
        }
    }
    cases
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shape, policy, way, .. } = self;
        write!(f, "{name}, {shape:?} {way:?} {policy}")
    }
}

/// The places of one case, used for run after run.
pub struct World {
    pub case: Case,
    pub sides: Sides,
    /// What there is to move.
    pub whole: Snapshot,
    /// What was at the target before.
    pub before: Snapshot,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub is_done: bool,
    pub messages: String,
    pub calls: Vec<Call>,
    /// At how many calls something of the plan happened.
    pub hits: usize,
}

impl World {
    pub fn new(case: Case) -> Self {
        let sides = (case.sides)();
        build(case, &sides);
        let (whole, before) = (Snapshot::of(&*sides.from).without_root(), Snapshot::of(&*sides.to).without_root());
        Self { case, sides, whole, before }
    }

    /// As it was in the beginning.
    pub fn reset(&self) {
        empty(&self.sides.from);
        empty(&self.sides.to);
        build(self.case, &self.sides);
    }

    /// The command line.
    pub fn args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = ["pmove", "-j", "1"].map(OsString::from).into();
        if !self.case.policy.is_empty() {
            args.push(self.case.policy.into());
        }
        let source = |name: &str| self.sides.from.join(name).into_os_string();
        let target = self.sides.to.to_path_buf();
        match self.case.shape {
            Shape::Operands => {
                args.extend(NAMES.iter().map(|name| source(name)));
                args.push(target.into());
            }
            Shape::Pattern => {
                args.extend(["--allow-empty".into(), source("*"), target.into()]);
            }
            Shape::Tree => args.extend([source("tree"), target.into()]),
            Shape::NewName => args.extend([source("tree"), target.join("new").into()]),
        }
        args
    }

    /// A plan by which nothing happens that the file systems would not do.
    pub fn plan(&self) -> Plan {
        let plan = Plan::new();
        match self.case.way {
            Way::Best => plan,
            Way::ByHand => plan.without(Op::CopyRange, Errno::NOSYS).without(Op::FillPipe, Errno::INVAL),
            Way::NamedStages => plan.without(Op::CreateUnnamed, Errno::OPNOTSUPP),
            Way::PlainRenames => plan.without(Op::RenameNoReplace, Errno::INVAL),
            // Only a source keeps its name: publishing and hiding give another.
            Way::Within => plan.refusing(Op::RenameNoReplace, keeps_name, Errno::XDEV),
        }
    }

    /// Runs the command as `plan` wants it.
    pub fn run(&self, plan: Plan) -> Ran {
        run(self.args(), plan)
    }

    /// The name that something with this path has at the target.
    pub fn at_target(&self, path: &Path) -> std::path::PathBuf {
        match (self.case.shape, path.strip_prefix("tree")) {
            (Shape::NewName, Ok(below)) if below.as_os_str().is_empty() => "new".into(),
            (Shape::NewName, Ok(below)) => Path::new("new").join(below),
            _ => path.to_owned(),
        }
    }

    /// Whether the policy leaves this source where it is.
    pub fn is_skipped(&self, path: &Path) -> bool {
        self.case.policy == "-n" && self.before.get(self.at_target(path)).is_some()
    }
}

/// Whether both sides of an arrow are the same.
fn keeps_name(names: &[u8]) -> bool {
    let arrow = names.windows(4).position(|part| part == b" -> ");
    arrow.is_some_and(|at| names[..at] == names[at + 4..])
}

/// Runs a command in this process, as `plan` wants it.
pub fn run(args: Vec<OsString>, plan: Plan) -> Ran {
    const TOO_LONG: Duration = Duration::from_mins(2);
    let (ended, end) = mpsc::channel();
    let shown = format!("{args:?}");
    let thread = std::thread::spawn(move || {
        let running = plan.start();
        let Rehearsed { is_done, messages } = rehearse(args).expect("a command line that can be followed");
        let (calls, hits) = calls();
        // A killed process has no threads any more. Here, one of them may be letting go of its locks only now.
        wait_until("its workers have ended", || !has_workers());
        wait_until("nobody else has its locks", || !has_forks());
        drop(running);
        ended.send(Ran { is_done, messages, calls, hits }).ok();
    });
    match end.recv_timeout(TOO_LONG) {
        Ok(ran) => {
            thread.join().expect("it has ended well");
            ran
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("it sends before it ends"),
        },
        // The thread cannot be ended, and every other test waits for its plan.
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let last: Vec<String> = calls().0.iter().rev().take(8).map(ToString::to_string).collect();
            eprintln!("hangs: {shown}; the last calls, latest first: {last:?}");
            std::process::abort();
        }
    }
}

/// Whether a worker of some run is alive.
fn has_workers() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of this process's threads");
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names
        .into_iter()
        .any(|name| name.strip_prefix("pmove-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
}

/// Whether another test is about to start a program: until that is executed, the child has all our descriptors, and with them
/// the locks of a run that has ended.
fn has_forks() -> bool {
    let us = std::env::current_exe().expect("this program");
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of this process's threads");
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    children.into_iter().any(|children| {
        let mut pids = children.split_whitespace();
        pids.any(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == us))
    })
}

/// The sources of a flat move.
pub const NAMES: &[&str] =
    &["small", "large", "h1", "empty", "holes", "link", "fifo", "h2", "over", "read-only", "dir", "locked"];

fn build(case: Case, sides: &Sides) {
    let tree = match case.shape {
        Shape::Operands | Shape::Pattern => {
            Tree::new().file("over", "old content").mtime(33, 3).build(&sides.to);
            corpus("")
        }
        Shape::Tree => {
            if case.policy != "-n" {
                Tree::new().dir("tree").mtime(44, 4).build(&sides.to);
            }
            corpus("tree/").dir("tree").mode(0o750).mtime(77, 7)
        }
        Shape::NewName => corpus("tree/").dir("tree").mode(0o750).mtime(77, 7),
    };
    tree.build(&sides.from);
}

/// Something of everything that any user can make.
fn corpus(prefix: &str) -> Tree {
    let path = |name: &str| format!("{prefix}{name}");
    // Renaming a directory into another one writes to it (its `..`), which takes root where its mode does not allow it.
    let locked = if prefix.is_empty() && !is_root() { 0o755 } else { 0o555 };
    Tree::new()
        .file(path("small"), "small")
        .mode(0o640)
        .mtime(11, 1)
        .xattr("user.k", "v")
        .file(path("large"), vec![b'L'; 140_000])
        .mtime(12, 2)
        .file(path("empty"), "")
        .mtime(13, 3)
        .sparse(path("holes"), 300_000, &[(8192, b"data"), (200_000, b"more")])
        .mtime(14, 4)
        .symlink(path("link"), "small")
        .mtime(15, 5)
        .fifo(path("fifo"))
        .mode(0o620)
        .mtime(16, 6)
        .file(path("h1"), "linked")
        .mtime(17, 7)
        .hard_link(path("h2"), path("h1"))
        .hard_link(path("dir/h3"), path("h1"))
        .file(path("over"), "new content")
        .mtime(18, 8)
        .file(path("read-only"), "r")
        .mtime(19, 9)
        .xattr("user.r", "o")
        .mode(0o444)
        .file(path("dir/f"), "f")
        .mtime(20, 1)
        .file(path("dir/deep/large"), vec![b'D'; 66_000])
        .mtime(21, 1)
        .symlink(path("dir/deep/l"), "large")
        .mtime(22, 1)
        .file(path("dir/i1"), "inside")
        .mtime(23, 1)
        .hard_link(path("dir/deep/i2"), path("dir/i1"))
        .dir(path("dir/deep"))
        .mtime(24, 1)
        .dir(path("dir/none"))
        .mode(0o700)
        .mtime(25, 1)
        .dir(path("dir"))
        .xattr("user.d", "d")
        .mtime(26, 1)
        .file(path("locked/f"), "locked")
        .mtime(27, 1)
        .dir(path("locked"))
        .mode(locked)
        .mtime(28, 1)
}

/// Removes everything in a directory.
pub fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            empty(&path);
            fs::remove_dir(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
    }
}
