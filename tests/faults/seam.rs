//! The seam itself: a plan is followed, to the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pmove::fault::{Fault, Op, Plan, When};
use rustix::io::Errno;

use crate::common::tree::Tree;
use crate::promises::{Sides, across, names, wait_until};

use super::world::{Ran, run};

/// Two files to another file system.
fn two_files(plan: Plan) -> (Sides, Ran) {
    let sides = across();
    Tree::new().file("a", "a").file("b", "b").build(&sides.from);
    let words = ["pmove".into(), sides.from.join("a"), sides.from.join("b"), sides.to.to_path_buf()];
    let ran = run(words.map(std::path::PathBuf::into_os_string).into(), plan);
    (sides, ran)
}

#[test]
fn a_failure_is_met_once_and_where_it_was_wanted() {
    let (sides, ran) = two_files(Plan::new().at(When::Nth(Op::Publish, 2), Fault::Fail(Errno::IO)));
    assert!(!ran.is_done && ran.hits == 1 && ran.messages.contains("/b': Input/output error"), "{ran:?}");
    assert_eq!((names(&sides.from), names(&sides.to)), (vec!["b".to_owned()], vec!["a".to_owned()]));
}

#[test]
fn h55_what_was_done_and_is_said_to_have_failed_is_lost_by_no_one() {
    let (sides, ran) = two_files(Plan::new().at(When::Nth(Op::Publish, 2), Fault::FailDone(Errno::IO)));
    assert!(!ran.is_done, "{ran:?}");
    assert_eq!((names(&sides.from), names(&sides.to)), (vec!["b".to_owned()], vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn nothing_is_changed_once_the_process_is_killed() {
    let quiet = two_files(Plan::new()).1;
    let number = |op| quiet.calls.iter().position(|call| call.op == op).unwrap() + 1;
    // Before the first name at the target is made, and behind that.
    let (sides, ran) = two_files(Plan::new().at(When::Call(number(Op::Publish)), Fault::Kill));
    assert_eq!((names(&sides.from).len(), ran.calls.len()), (2, number(Op::Publish)));
    assert!(names(&sides.to).iter().all(|name| name.starts_with(".pmove-")));
    let (sides, ran) = two_files(Plan::new().at(When::Call(number(Op::Publish)), Fault::KillBehind));
    assert_eq!((names(&sides.from).len(), ran.calls.len()), (2, number(Op::Publish)));
    assert_eq!(names(&sides.to).iter().filter(|name| !name.starts_with(".pmove-")).count(), 1);
}

#[test]
fn somebody_else_acts_once_and_before_the_call() {
    let acted = Arc::new(AtomicUsize::new(0));
    let note = Arc::clone(&acted);
    let act = Fault::Run(Box::new(move || {
        note.fetch_add(1, Ordering::SeqCst);
    }));
    let (sides, ran) = two_files(Plan::new().at(When::Each(Op::Unlink), act));
    assert!(ran.is_done && acted.load(Ordering::SeqCst) == 1, "{ran:?}");
    assert!(names(&sides.from).is_empty());
}

#[test]
fn what_falls_short_is_still_done() {
    let (sides, ran) = two_files(Plan::new().at(When::Each(Op::Write), Fault::Shorten(1)));
    let quiet = two_files(Plan::new()).1;
    assert!(ran.is_done && ran.calls.len() > quiet.calls.len() + 10, "{ran:?}");
    assert_eq!(std::fs::read(sides.to.join("b")).unwrap(), b"b");
}

#[test]
fn no_thread_outlives_its_run_by_much() {
    for _ in 0..30 {
        two_files(Plan::new());
    }
    let watching = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "pmove-signals").count()
    };
    // Other tests have theirs at the same time.
    wait_until("the threads that time signals have ended", || watching() < 6);
}

/// All kinds of calls but the flags of a file, which are asked for where several source directories meet in one target, and
/// room that is taken beforehand, which only ext4 is asked for.
const ALL: &[Op] = &[
    Op::Stat,
    Op::StatFs,
    Op::Access,
    Op::OpenDir,
    Op::OpenFile,
    Op::Dup,
    Op::List,
    Op::ReadLink,
    Op::Lock,
    Op::Create,
    Op::CreateUnnamed,
    Op::MakeDir,
    Op::MakeLink,
    Op::MakeNode,
    Op::Link,
    Op::Publish,
    Op::Rename,
    Op::RenameNoReplace,
    Op::Exchange,
    Op::Unlink,
    Op::RemoveDir,
    Op::Clone,
    Op::CopyRange,
    Op::MakePipe,
    Op::FillPipe,
    Op::DrainPipe,
    Op::Seek,
    Op::Read,
    Op::Write,
    Op::Truncate,
    Op::Sync,
    Op::SyncAll,
    Op::GiveMode,
    Op::GiveTimes,
    Op::GiveOwner,
    Op::ListAttributes,
    Op::GetAttribute,
    Op::SetAttribute,
    Op::RemoveAttribute,
];

#[test]
fn every_kind_of_call_is_met_somewhere() {
    use std::collections::BTreeSet;

    use super::world::{Shape, World, cases, hard_cases};

    let mut met = BTreeSet::new();
    for case in cases(&[Shape::Pattern, Shape::Tree], &["", "-n"]).into_iter().chain(hard_cases()) {
        let world = World::new(case);
        met.extend(world.run(world.plan()).calls.into_iter().map(|call| call.op));
    }
    // What is judged changes places with what replaces it.
    let sides = across();
    Tree::new().file("f", "new").mtime(20, 0).build(&sides.from);
    Tree::new().file("f", "old").mtime(10, 0).build(&sides.to);
    let update = ["pmove".into(), "-u".into(), sides.from.join("f").into_os_string(), sides.to.as_os_str().to_owned()];
    met.extend(run(update.into(), Plan::new()).calls.into_iter().map(|call| call.op));
    let missing: Vec<&Op> = ALL.iter().filter(|op| !met.contains(op)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
