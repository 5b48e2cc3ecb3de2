//! Policies, where something else happens in the worst moment: a kill before the same command, a second run, a target that
//! comes and goes. Each of these has lost a file once.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pmove::fault::{Fault, Op, Plan, When};

use crate::common::tree::Tree;
use crate::promises::{Sides, across, back, litter, names};

use super::sweep::sampled;
use super::world::{Ran, empty, run};

fn everywhere() -> [Sides; 3] {
    [Sides { from: crate::common::fs::other(), to: crate::common::fs::other() }, across(), back()]
}

/// `pmove` with these options and sources to the target directory.
fn pmove(sides: &Sides, words: &[&str], plan: Plan) -> Ran {
    let is_option = |word: &&&str| word.starts_with('-');
    let mut args: Vec<OsString> = ["pmove", "-j", "1"].map(OsString::from).into();
    args.extend(words.iter().filter(is_option).map(OsString::from));
    args.extend(words.iter().filter(|word| !is_option(word)).map(|name| sides.from.join(name).into_os_string()));
    args.push(sides.to.as_os_str().to_owned());
    run(args, plan)
}

fn read(path: PathBuf) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The calls of a quiet run, and for each of them a fresh scene and a plan in which the process is killed there.
fn at_every_call(sides: &Sides, build: impl Fn(), words: &[&str], check: impl Fn(usize, Fault)) {
    let prepare = || {
        empty(&sides.from);
        empty(&sides.to);
        build();
    };
    prepare();
    let calls = pmove(sides, words, Plan::new()).calls.len();
    for (nth, is_behind) in sampled((1..=calls).flat_map(|nth| [(nth, false), (nth, true)]).collect(), 6) {
        prepare();
        check(nth, if is_behind { Fault::KillBehind } else { Fault::Kill });
    }
}

#[test]
fn p1_h08_killed_and_run_again_no_source_replaces_another() {
    for sides in everywhere() {
        for policy in ["-f", "-u", "-b", "--backup=simple"] {
            let build = || {
                Tree::new().file("x/f", "X").mtime(20, 0).file("y/f", "Y").mtime(30, 0).build(&sides.from);
                Tree::new().file("f", "old").mtime(10, 0).build(&sides.to);
            };
            let words = [policy, "x/f", "y/f"];
            at_every_call(&sides, build, &words, |nth, fault| {
                pmove(&sides, &words, Plan::new().at(When::Call(nth), fault));
                // What had moved by then is gone from its source, and not looked for: the rest is another command's.
                let had_moved = !sides.from.join("x/f").exists();
                let ran = pmove(&sides, &words, Plan::new());
                if had_moved {
                    return;
                }
                let places = ["f", "f~", "f.~1~"].map(|name| read(sides.to.join(name)));
                let x = places.iter().flatten().any(|content| content == "X");
                assert!(x || read(sides.from.join("x/f")).is_some(), "{policy} at {nth}: {places:?} {ran:?}");
                assert!(sides.from.join("y/f").exists(), "{policy} at {nth}: y replaced x: {ran:?}");
            });
        }
    }
}

#[test]
fn p1_h08_killed_while_merging_and_run_again_no_source_replaces_another() {
    for sides in everywhere() {
        let build = || {
            Tree::new().file("p/x/f", "P").file("q/x/f", "Q").build(&sides.from);
            Tree::new().file("x/f", "old").build(&sides.to);
        };
        let words = ["--merge", "--on-conflict=overwrite", "p/x", "q/x"];
        at_every_call(&sides, build, &words, |nth, fault| {
            pmove(&sides, &words, Plan::new().at(When::Call(nth), fault));
            let had_moved = !sides.from.join("p/x/f").exists();
            let ran = pmove(&sides, &words, Plan::new());
            if !had_moved {
                assert_eq!(read(sides.to.join("x/f")).as_deref(), Some("P"), "at {nth}: {ran:?}");
                assert_eq!(read(sides.from.join("q/x/f")).as_deref(), Some("Q"), "at {nth}: {ran:?}");
            }
        });
    }
}

#[test]
fn p1_h22_killed_and_run_again_a_backup_replaces_no_source() {
    for sides in everywhere() {
        let build = || {
            Tree::new().file("a~", "A~").file("a", "A").build(&sides.from);
            Tree::new().file("a", "old").build(&sides.to);
        };
        at_every_call(&sides, build, &["-b", "a~", "a"], |nth, fault| {
            pmove(&sides, &["-b", "a~", "a"], Plan::new().at(When::Call(nth), fault));
            if !sides.from.join("a~").exists() {
                return;
            }
            let ran = pmove(&sides, &["-b", "a~", "a"], Plan::new());
            assert_eq!(read(sides.to.join("a~")).as_deref(), Some("A~"), "at {nth}: {ran:?}");
            assert_eq!(read(sides.to.join("a")).as_deref(), Some("old"), "at {nth}: {ran:?}");
        });
    }
}

/// Somebody else does something just before each call.
fn meanwhile(sides: &Sides, build: impl Fn(), words: &[&str], act: fn(&Path, &Path), check: impl Fn(usize, &Ran)) {
    let prepare = || {
        empty(&sides.from);
        empty(&sides.to);
        build();
    };
    prepare();
    let calls = pmove(sides, words, Plan::new()).calls.len();
    for nth in sampled((1..=calls).collect(), 20) {
        prepare();
        let (from, to) = (sides.from.to_path_buf(), sides.to.to_path_buf());
        let ran = pmove(sides, words, Plan::new().at(When::Call(nth), Fault::Run(Box::new(move || act(&from, &to)))));
        check(nth, &ran);
    }
}

/// The target goes just before a look at it, and another comes just before the next renaming: that one nobody has judged.
#[test]
fn p3_what_comes_after_the_judged_target_went_is_not_replaced() {
    for sides in everywhere() {
        for policy in ["--on-conflict=fail", "--on-conflict=keep-both", "-b", "-u", "--on-conflict=drop-identical"] {
            let prepare = || {
                empty(&sides.from);
                empty(&sides.to);
                Tree::new().file("f", "S").mtime(20, 0).build(&sides.from);
                Tree::new().file("f", "T1").mtime(10, 0).build(&sides.to);
            };
            prepare();
            let quiet = pmove(&sides, &[policy, "f"], Plan::new()).calls;
            let looks = (1..=quiet.len()).filter(|nth| quiet[nth - 1].op == Op::Stat);
            let pairs = looks.flat_map(|look| (look..=quiet.len() + 4).map(move |then| (look, then)));
            for (look, then) in sampled(pairs.collect(), 16) {
                prepare();
                let (target, theirs) = (sides.to.join("f"), sides.to.join("f"));
                let has_come = Arc::new(AtomicBool::new(false));
                let came = Arc::clone(&has_come);
                let go = move || drop(fs::remove_file(target));
                let come = move || {
                    if fs::File::create_new(&theirs).is_ok() {
                        fs::write(&theirs, "T2").unwrap();
                        came.store(true, Ordering::Relaxed);
                    }
                };
                let plan = Plan::new().at(When::Call(look), Fault::Run(Box::new(go)));
                let ran = pmove(&sides, &[policy, "f"], plan.at(When::Call(then), Fault::Run(Box::new(come))));
                let found = names(&sides.to).into_iter().filter_map(|name| read(sides.to.join(name)));
                let found: Vec<String> = found.collect();
                let is_there = found.iter().any(|content| content == "T2");
                assert!(is_there || !has_come.load(Ordering::Relaxed), "{policy} at {look}, {then}: {found:?} {ran:?}");
            }
        }
    }
}

#[test]
fn p1_h25_an_update_beside_another_of_the_same_file_keeps_one_of_both() {
    for sides in everywhere() {
        let build = || {
            Tree::new().file("f", "S").mtime(20, 0).build(&sides.from);
            Tree::new().file("f", "T").mtime(10, 0).build(&sides.to);
        };
        // What another run does in one step.
        let act = |from: &Path, to: &Path| {
            let stat = |path: PathBuf| fs::metadata(path).map(|stat| (stat.dev(), stat.ino())).ok();
            let same = stat(from.join("f")) == stat(to.join("f"));
            if !same && read(to.join("f")).as_deref() == Some("T") {
                let staged = to.join("theirs");
                if fs::copy(from.join("f"), &staged).is_ok() {
                    fs::rename(staged, to.join("f")).unwrap();
                    fs::remove_file(from.join("f")).unwrap();
                }
            }
        };
        meanwhile(&sides, build, &["-u", "f"], act, |nth, ran| {
            let places = [read(sides.from.join("f")), read(sides.to.join("f"))];
            assert!(places.iter().flatten().any(|content| content == "S"), "at {nth}: {places:?} {ran:?}");
            assert_eq!(litter(&sides.to), Vec::<PathBuf>::new(), "at {nth}: {ran:?}");
        });
    }
}

#[test]
fn p1_h94_what_a_producer_puts_at_the_sources_name_stays() {
    for sides in everywhere() {
        let build = || {
            Tree::new().file("f", "S").mtime(20, 0).file("new", "N").mtime(40, 0).build(&sides.from);
            Tree::new().file("f", "T").mtime(10, 0).build(&sides.to);
        };
        let words = ["-u", "f"];
        let prepare = || {
            empty(&sides.from);
            empty(&sides.to);
            build();
        };
        prepare();
        let quiet = pmove(&sides, &words, Plan::new()).calls;
        for (nth, call) in quiet.iter().enumerate() {
            // The known window: between the last look at a source and the call that removes it.
            if call.op == Op::Unlink && call.name == b"f" {
                continue;
            }
            prepare();
            let from = sides.from.to_path_buf();
            let act = move || drop(fs::rename(from.join("new"), from.join("f")));
            let ran = pmove(&sides, &words, Plan::new().at(When::Call(nth + 1), Fault::Run(Box::new(act))));
            let places = [read(sides.from.join("f")), read(sides.to.join("f"))];
            assert!(places.iter().flatten().any(|content| content == "N"), "at {call}: {places:?} {ran:?}");
        }
    }
}

#[test]
fn h94_what_was_displaced_and_cannot_go_back_is_kept() {
    for sides in everywhere() {
        let prepare = || {
            empty(&sides.from);
            empty(&sides.to);
            Tree::new().file("f", "S").mtime(20, 0).build(&sides.from);
            Tree::new().file("f", "T1").mtime(10, 0).file("t2", "T2").mtime(30, 0).build(&sides.to);
        };
        prepare();
        let quiet = pmove(&sides, &["-u", "f"], Plan::new()).calls;
        let at = 1 + quiet.iter().position(|call| call.op == Op::Exchange).unwrap();
        for then in at + 1..at + 8 {
            prepare();
            let (t2, target, gone) = (sides.to.join("t2"), sides.to.join("f"), sides.to.join("f"));
            // A newer one comes just before the exchange, and just before some call behind it, whatever is there goes.
            let come = move || fs::rename(t2, target).unwrap();
            let was = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&was);
            let go = move || {
                seen.store(read(gone.clone()).as_deref() == Some("T2"), Ordering::Relaxed);
                fs::remove_file(gone).ok();
            };
            let plan = Plan::new().at(When::Call(at), Fault::Run(Box::new(come)));
            let ran = pmove(&sides, &["-u", "f"], plan.at(When::Call(then), Fault::Run(Box::new(go))));
            let found = names(&sides.to).into_iter().filter_map(|name| read(sides.to.join(name)));
            let found: Vec<String> = found.collect();
            let they_removed_it = was.load(Ordering::Relaxed);
            assert!(they_removed_it || found.iter().any(|content| content == "T2"), "at {then}: {found:?} {ran:?}");
            assert!(read(sides.from.join("f")).is_some() || found.iter().any(|content| content == "S"), "at {then}");
        }
    }
}

#[test]
fn h94_what_was_displaced_when_the_run_was_killed_is_kept_and_told() {
    for sides in everywhere() {
        let prepare = || {
            empty(&sides.from);
            empty(&sides.to);
            Tree::new().file("f", "S").mtime(20, 0).build(&sides.from);
            Tree::new().file("f", "T1").mtime(10, 0).file("t2", "T2").mtime(30, 0).build(&sides.to);
        };
        prepare();
        let quiet = pmove(&sides, &["-u", "f"], Plan::new()).calls;
        let at = 1 + quiet.iter().position(|call| call.op == Op::Exchange).unwrap();
        prepare();
        let (t2, target) = (sides.to.join("t2"), sides.to.join("f"));
        let come = move || fs::rename(t2, target).unwrap();
        let plan = Plan::new().at(When::Call(at), Fault::Run(Box::new(come))).at(When::Call(at + 1), Fault::Kill);
        pmove(&sides, &["-u", "f"], plan);
        let ran = pmove(&sides, &["-u", "f"], Plan::new());
        let kept = find(&sides.to, "T2");
        assert!(kept.is_some(), "{ran:?}");
        assert!(ran.messages.contains("it is kept") || kept == Some(sides.to.join("f")), "{ran:?}");
    }
}

/// Where a file with this content is, hidden or not.
fn find(dir: &Path, content: &str) -> Option<PathBuf> {
    fs::read_dir(dir).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, content)
        } else {
            (read(path.clone()).as_deref() == Some(content)).then_some(path)
        }
    })
}

#[test]
fn p1_h88_duplicates_dropped_from_both_sides_leave_one() {
    for sides in everywhere() {
        let prepare = || {
            empty(&sides.from);
            empty(&sides.to);
            for dir in [&sides.from, &sides.to] {
                Tree::new().file("f", "the same").mtime(20, 0).build(dir);
            }
        };
        let words = ["--on-conflict=drop-identical", "f"];
        prepare();
        let calls = pmove(&sides, &words, Plan::new()).calls.len();
        for nth in sampled((1..=calls).collect(), 20) {
            prepare();
            // The other run is another process: it is the command itself.
            let (from, to) = (sides.from.to_path_buf(), sides.to.to_path_buf());
            let act = move || {
                let program = env!("CARGO_BIN_EXE_pmove");
                let mut other = std::process::Command::new(program);
                other.arg(words[0]).arg(to.join("f")).arg(&from).stderr(std::process::Stdio::null());
                other.status().unwrap();
            };
            let ran = pmove(&sides, &words, Plan::new().at(When::Call(nth), Fault::Run(Box::new(act))));
            let copies = [&sides.from, &sides.to].map(|dir| read(dir.join("f")));
            assert!(copies.iter().flatten().count() >= 1, "at {nth}: none is left: {ran:?}");
        }
    }
}

#[test]
fn p6_an_exchange_finishes_nobodys_move() {
    for sides in everywhere() {
        let build = || {
            Tree::new().file("f", "S").mtime(20, 0).build(&sides.from);
            Tree::new().file("f", "T").mtime(10, 0).build(&sides.to);
        };
        at_every_call(&sides, build, &["-u", "f"], |nth, fault| {
            pmove(&sides, &["-u", "f"], Plan::new().at(When::Call(nth), fault));
            let before = [read(sides.from.join("f")), read(sides.to.join("f"))];
            let ran = pmove(&sides, &["--exchange", "f"], Plan::new());
            let after = [read(sides.from.join("f")), read(sides.to.join("f"))];
            let exchanged = [before[1].clone(), before[0].clone()];
            assert!(
                after == if ran.is_done { exchanged } else { before.clone() },
                "at {nth}: {before:?} {after:?} {ran:?}"
            );
        });
    }
}
