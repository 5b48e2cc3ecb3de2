//! P2: a target name shows nothing, or what was there before, or the whole new content.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use common::trace::Strace;
use common::tree::Tree;
use promises::{across, back, everywhere, injected, names, watched};

/// Large enough that copying it takes some hundred looks.
const BIG: usize = 48 << 20;

/// What is at `path`: all of one byte and of a length, or not there.
fn look(path: &Path) -> Option<(u8, usize)> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{error}"),
    };
    let first = *content.first().expect("never empty");
    assert!(content.iter().all(|&byte| byte == first), "torn: {} bytes that begin with {first}", content.len());
    Some((first, content.len()))
}

#[test]
fn p2_an_overwrite_shows_the_old_or_the_new_content() {
    for sides in [across(), back()] {
        Tree::new().file("f", vec![b'n'; BIG]).build(&sides.from);
        Tree::new().file("f", vec![b'o'; 10_000]).build(&sides.to);
        let target = sides.to.join("f");
        let whole = || match look(&target) {
            Some((b'o', 10_000) | (b'n', BIG)) => {}
            other => panic!("seen during the overwrite: {other:?}"),
        };
        let (output, looks) = watched(whole, || sides.pmove().arg("f").arg(&*sides.to).run());
        output.ok();
        assert!(looks > 5, "only {looks} looks");
        assert_eq!(look(&target), Some((b'n', BIG)));
    }
}

#[test]
fn p2_a_new_name_appears_whole() {
    for sides in [across(), back()] {
        Tree::new().file("f", vec![b'n'; BIG]).build(&sides.from);
        let target = sides.to.join("f");
        let whole = || assert!(matches!(look(&target), None | Some((b'n', BIG))));
        let (output, looks) = watched(whole, || sides.pmove().arg("f").arg(&*sides.to).run());
        output.ok();
        assert!(looks > 5, "only {looks} looks");
    }
}

#[test]
fn p2_a_target_is_never_away_while_it_is_replaced() {
    for sides in everywhere() {
        Tree::new().file("f", "old").build(&sides.to);
        let target = sides.to.join("f");
        let is_there = || assert!(target.symlink_metadata().is_ok(), "the target was away");
        let replace = || {
            for i in 0..20 {
                fs::write(sides.from.join("f"), format!("new {i}")).unwrap();
                sides.pmove().arg("f").arg(&*sides.to).run().ok();
            }
        };
        let ((), looks) = watched(is_there, replace);
        assert!(looks > 100, "only {looks} looks");
        assert_eq!(fs::read(&target).unwrap(), b"new 19");
    }
}

#[test]
fn p2_what_is_no_regular_file_is_replaced_in_one_step() {
    // By and of everything that can be replaced: a symlink itself, not what it leads to.
    for sides in [across(), back()] {
        Tree::new().symlink("a", "new").fifo("b").file("c", "new").file("d", "new").build(&sides.from);
        Tree::new().file("a", "old").file("b", "old").symlink("c", "elsewhere").fifo("d").build(&sides.to);
        let are_there = || {
            for name in ["a", "b", "c", "d"] {
                assert!(sides.to.join(name).symlink_metadata().is_ok(), "{name} was away");
            }
        };
        watched(are_there, || sides.pmove().args(["a", "b", "c", "d"]).arg(&*sides.to).run().ok().code);
        assert_eq!(fs::read_link(sides.to.join("a")).unwrap(), Path::new("new"));
        assert_eq!(fs::read(sides.to.join("c")).unwrap(), b"new");
        assert_eq!(fs::read(sides.to.join("d")).unwrap(), b"new");
        assert!(!sides.to.join("elsewhere").exists());
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs strace"]
fn h74_killed_at_any_system_call_of_an_overwrite_one_version_is_whole() {
    const CALLS: &str = "all";
    for sides in [across(), back()] {
        let (new, old) = (vec![b'n'; 300_000], vec![b'o'; 10_000]);
        let fill = || {
            fs::write(sides.from.join("f"), &new).unwrap();
            fs::write(sides.to.join("f"), &old).unwrap();
        };
        fill();
        let (output, counts) = Strace::new().count(sides.pmove().arg("f").arg(&*sides.to));
        output.ok();
        let total = counts.total();
        // The loader's calls come first and change nothing: the last two hundred are ours.
        for n in total.saturating_sub(200)..=total {
            fill();
            let kill = format!("{CALLS}:signal=KILL:when={n}");
            injected(sides.pmove().arg("f").arg(&*sides.to), &[&kill]).run();
            let at_source = sides.from.join("f").exists();
            match look(&sides.to.join("f")) {
                Some((b'o', 10_000)) => assert!(at_source, "lost at call {n}"),
                Some((b'n', 300_000)) => {}
                other => panic!("killed at call {n}: {other:?}"),
            }
            if at_source {
                assert_eq!(look(&sides.from.join("f")), Some((b'n', 300_000)));
                sides.pmove().arg("f").arg(&*sides.to).run().ok();
            } else {
                sides.pmove().args(["--allow-empty", "*"]).arg(&*sides.to).run().ok();
            }
            assert_eq!(look(&sides.to.join("f")), Some((b'n', 300_000)));
            assert!(names(&sides.from).is_empty());
            sides.assert_no_litter();
        }
    }
}

#[test]
fn h02_killed_at_random_every_name_is_whole_or_absent() {
    for sides in [across(), back()] {
        for round in 0..promises::rounds(12) {
            let content = |i: usize| format!("{i:04}").repeat(5000);
            Tree::new().files(60, |i| (format!("f{i}"), content(i))).build(&sides.from);
            let running = sides.pmove().args(["f*", "-j", "2"]).arg(&*sides.to).spawn();
            thread::sleep(Duration::from_micros(2000 + 1700 * (round as u64 % 24)));
            running.signal(Signal::KILL);
            running.wait();
            let (left, moved) = sides.files();
            for i in 0..60 {
                let (name, content) = (format!("f{i}"), content(i).into_bytes());
                assert!(left.get(&name).is_some_and(|l| *l == content) || moved.get(&name) == Some(&content), "f{i}");
                assert!(moved.get(&name).is_none_or(|moved| *moved == content), "f{i} is torn");
            }
            sides.pmove().args(["f*", "--allow-empty"]).arg(&*sides.to).run().ok();
            assert_eq!((names(&sides.from).len(), names(&sides.to).len()), (0, 60));
            sides.assert_no_litter();
            for entry in promises::entries(&sides.to) {
                fs::remove_file(entry).unwrap();
            }
        }
    }
}

#[test]
fn h54_a_running_program_is_replaced() {
    for sides in everywhere() {
        fs::copy("/bin/sleep", sides.to.join("program")).unwrap();
        Tree::new().file("program", "new").build(&sides.from);
        let running = common::run::Pmove::other(sides.to.join("program")).arg("30").spawn();
        sides.pmove().arg("program").arg(&*sides.to).run().ok();
        assert_eq!(fs::read(sides.to.join("program")).unwrap(), b"new");
        drop(running);
    }
}

#[test]
fn p2_a_reader_of_the_old_content_keeps_it() {
    for sides in everywhere() {
        Tree::new().file("f", "new").build(&sides.from);
        Tree::new().file("f", "old").build(&sides.to);
        let mut open = fs::File::open(sides.to.join("f")).unwrap();
        sides.pmove().arg("f").arg(&*sides.to).run().ok();
        let mut content = String::new();
        io::Read::read_to_string(&mut open, &mut content).unwrap();
        assert_eq!(content, "old");
    }
}
