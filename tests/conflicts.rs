//! Targets that exist: backups, updates, questions, keeping both, dropping duplicates; on one device and across, and with
//! somebody else at work at the same time. What mv does as well is in `mv_table`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use common::fs::{require_root, scratch};
use common::mount::Mount;
use common::tree::Tree;
use promises::{Sides, everywhere, files, names, rounds};

/// What is at the target: names and contents.
fn at_target(sides: &Sides) -> Vec<(String, String)> {
    let text = |(name, content): (String, Vec<u8>)| (name, String::from_utf8(content).unwrap());
    files(&sides.to).into_iter().map(text).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

#[test]
fn h22_backups_of_one_name_are_all_kept() {
    for sides in everywhere() {
        Tree::new().file("f", "0").build(&sides.to);
        for (content, control) in
            [("1", "simple"), ("2", "existing"), ("3", "numbered"), ("4", "existing"), ("5", "nil")]
        {
            Tree::new().file("f", content).build(&sides.from);
            sides.pmove().arg(format!("--backup={control}")).arg("f").arg(&*sides.to).run().ok();
        }
        // The second simple one takes the first one's place, as mv's does.
        let expected = pairs(&[("f", "5"), ("f.~1~", "2"), ("f.~2~", "3"), ("f.~3~", "4"), ("f~", "1")]);
        assert_eq!(at_target(&sides), expected);
        sides.assert_no_litter();
    }
}

#[test]
fn h22_a_backup_never_takes_the_place_of_what_this_run_has_moved() {
    for sides in everywhere() {
        Tree::new().file("f", "old").build(&sides.to);
        Tree::new().file("f", "f").file("f~", "f~").build(&sides.from);
        let ended = sides.pmove().args(["-b", "f~", "f"]).arg(&*sides.to).run();
        ended.fails_with(1).stderr_has("cannot backup ");
        assert_eq!(at_target(&sides), pairs(&[("f", "old"), ("f~", "f~")]));
        assert_eq!(names(&sides.from), ["f"]);
    }
}

#[test]
fn h22_numbered_backups_of_many_at_once_take_a_number_each() {
    for sides in everywhere() {
        for n in 0..24 {
            Tree::new().file(format!("{n}/f"), n.to_string()).build(&sides.from);
        }
        let sources = (0..24).map(|n| format!("{n}/f"));
        sides.pmove().args(["-j8", "--backup=t"]).args(sources).arg(&*sides.to).run().ok();
        let found = at_target(&sides);
        let numbers: Vec<String> = (1..24).map(|n| format!("f.~{n}~")).collect();
        // Each took the place of the one before it.
        assert_eq!(found.len(), 24);
        for (n, name) in numbers.iter().enumerate() {
            assert!(found.contains(&(name.clone(), n.to_string())), "{name} in {found:?}");
        }
        assert!(found.contains(&("f".to_owned(), "23".to_owned())));
    }
}

#[test]
fn h22_a_move_that_fails_puts_the_backup_back() {
    for sides in everywhere() {
        Tree::new().file("d/f", "f").build(&sides.from);
        Tree::new().file("d", "old").build(&sides.to);
        // Into itself: known only when everything else is done.
        let ended = sides.pmove().args(["-b", "-T"]).arg("d").arg("d/x/y").run();
        ended.fails_with(1);
        fs::create_dir(sides.from.join("d/x")).unwrap();
        Tree::new().file("d/x/d", "old").build(&sides.from);
        sides.pmove().args(["-b", "d", "d/x"]).run().fails_with(1);
        assert_eq!(fs::read(sides.from.join("d/x/d")).unwrap(), b"old");
        assert!(!sides.from.join("d/x/d~").exists());
    }
}

#[test]
fn keep_both_gives_the_first_free_name() {
    for sides in everywhere() {
        Tree::new()
            .file("a.txt", "old")
            .file("a (1).txt", "older")
            .file("dir/f", "old")
            .file(".rc", "old")
            .symlink("l", "nowhere")
            .build(&sides.to);
        Tree::new()
            .file("a.txt", "new")
            .file("dir/f", "new")
            .file("dir/g", "new")
            .file(".rc", "new")
            .file("l", "new")
            .file("b", "new")
            .build(&sides.from);
        let keep = || sides.pmove().arg("--on-conflict=keep-both");
        keep().args(["a.txt", "dir", ".rc", "l", "b"]).arg(&*sides.to).run().ok();
        assert!(names(&sides.from).is_empty());
        assert_eq!(
            names(&sides.to),
            [".rc", ".rc (1)", "a (1).txt", "a (2).txt", "a.txt", "b", "dir", "dir (1)", "l", "l (1)"]
        );
        assert_eq!(fs::read(sides.to.join("a (2).txt")).unwrap(), b"new");
        assert_eq!(names(&sides.to.join("dir (1)")), ["f", "g"]);
        assert_eq!(names(&sides.to.join("dir")), ["f"]);
        assert!(sides.to.join("l").is_symlink());
        sides.assert_no_litter();
    }
}

#[test]
fn p3_keep_both_keeps_all_of_many_sources_with_one_name() {
    for sides in everywhere() {
        for n in 0..40 {
            Tree::new().file(format!("{n}/f.csv"), n.to_string()).build(&sides.from);
        }
        let run =
            |jobs: &str| sides.pmove().args([jobs, "--on-conflict", "keep-both", "*/f.csv"]).arg(&*sides.to).run();
        run("-j8").ok();
        let mut contents: Vec<String> = at_target(&sides).into_iter().map(|(_, content)| content).collect();
        contents.sort_by_key(|content| content.parse::<u32>().unwrap());
        assert_eq!(contents, (0..40).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn p3_keep_both_wants_no_name_that_somebody_else_takes_meanwhile() {
    for sides in everywhere() {
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Takes one name after the other, for as long as it lasts.
            let taken = scope.spawn(|| {
                let mut taken = Vec::new();
                for n in 1.. {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    let path = sides.to.join(format!("f ({n})"));
                    if fs::File::create_new(&path).is_ok() {
                        taken.push(path);
                    }
                    std::thread::sleep(Duration::from_micros(500));
                }
                taken
            });
            for n in 0..rounds(20) {
                fs::write(sides.to.join("f"), "kept").unwrap();
                fs::write(sides.from.join("f"), format!("moved {n}")).unwrap();
                sides.pmove().args(["--on-conflict=keep-both", "f"]).arg(&*sides.to).run().ok();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            for path in taken.join().unwrap() {
                assert_eq!(fs::read(&path).unwrap(), b"", "{path:?} was somebody else's");
            }
        });
        let found = at_target(&sides);
        for n in 0..rounds(20) {
            assert!(found.iter().any(|(_, content)| *content == format!("moved {n}")), "{n}");
        }
    }
}

#[test]
fn drop_identical_drops_only_what_is() {
    for sides in everywhere() {
        Tree::new().file("same", "content").mtime(5, 5).file("other", "one").file("empty", "").build(&sides.from);
        Tree::new()
            .symlink("link", "there")
            .symlink("link2", "here")
            .file("dir/f", "f")
            .file("new", "new")
            .build(&sides.from);
        Tree::new()
            .file("same", "content")
            .mode(0o600)
            .mtime(7, 7)
            .file("other", "two")
            .file("empty", "")
            .build(&sides.to);
        Tree::new().symlink("link", "there").symlink("link2", "there").file("dir/f", "f").build(&sides.to);
        let sources = ["same", "other", "empty", "link", "link2", "dir", "new"];
        let ended = sides.pmove().arg("--on-conflict=drop-identical").args(sources).arg(&*sides.to).run();
        ended.fails_with(1);
        for name in ["other", "link2", "dir"] {
            ended.stderr_has(&format!("not replacing '{}'", sides.to.join(name).display()));
        }
        assert_eq!(names(&sides.from), ["dir", "link2", "other"]);
        assert_eq!(fs::read(sides.to.join("other")).unwrap(), b"two");
        // What was there stays as it was.
        let kept = fs::metadata(sides.to.join("same")).unwrap();
        assert_eq!((kept.permissions().mode() & 0o777, kept.mtime()), (0o600, 7));
        sides.assert_no_litter();
    }
}

#[test]
fn h88_hard_links_of_one_file_are_no_duplicates() {
    for sides in everywhere() {
        Tree::new().file("d/f", "f").hard_link("f", "d/f").build(&sides.from);
        sides
            .pmove()
            .args(["--on-conflict=drop-identical", "f", "d"])
            .run()
            .fails_with(1)
            .stderr_has("are the same file");
        assert_eq!(fs::metadata(sides.from.join("f")).unwrap().nlink(), 2);
    }
}

#[test]
#[ignore = "mounts"]
fn h88_two_views_of_one_file_are_no_duplicates() {
    require_root();
    let place = scratch();
    for dir in ["lower/x", "upper", "work", "bound"] {
        fs::create_dir_all(place.join(dir)).unwrap();
    }
    fs::write(place.join("lower/x/f"), "the only copy").unwrap();
    let overlay = Mount::overlay(&place.join("lower"), &place.join("upper"), &place.join("work"));
    let bound = Mount::bind(&place.join("lower"), &place.join("bound"));
    let views = [place.join("lower/x"), overlay.path().join("x"), bound.path().join("x")];
    for from in &views {
        for to in views.iter().filter(|to| *to != from) {
            let pmove = common::run::Pmove::new().arg("--on-conflict=drop-identical");
            pmove.arg(from.join("f")).arg(to).run().fails_with(1);
            assert_eq!(fs::read(place.join("lower/x/f")).unwrap(), b"the only copy", "{from:?} {to:?}");
            assert_eq!(fs::read(to.join("f")).unwrap(), b"the only copy", "{from:?} {to:?}");
        }
    }
}

#[test]
fn replace_older_replaces_what_is_older() {
    for sides in everywhere() {
        let sources = Tree::new().file("newer", "s").mtime(20, 1).file("same", "s").mtime(20, 1).file("older", "s");
        sources.mtime(20, 1).file("free", "s").build(&sides.from);
        let targets = Tree::new().file("newer", "t").mtime(20, 0).file("same", "t").mtime(20, 1).file("older", "t");
        targets.mtime(20, 2).build(&sides.to);
        let ended = sides.pmove().arg("--on-conflict=replace-older").args(names(&sides.from)).arg(&*sides.to).run();
        ended.ok().stderr_is("");
        assert_eq!(names(&sides.from), ["older", "same"]);
        assert_eq!(at_target(&sides), pairs(&[("free", "s"), ("newer", "s"), ("older", "t"), ("same", "t")]));
        sides.assert_no_litter();
    }
}

#[test]
fn h64_nobody_is_asked_where_nobody_can_answer() {
    for sides in everywhere() {
        Tree::new().file("f", "new").build(&sides.from);
        Tree::new().file("f", "old").mode(0o444).build(&sides.to);
        sides.pmove().args(["f"]).arg(&*sides.to).timeout(Duration::from_secs(20)).run().ok().stderr_is("");
        assert_eq!(at_target(&sides), pairs(&[("f", "new")]));
    }
}

#[test]
fn questions_come_one_at_a_time_and_what_follows_waits_for_the_answer() {
    for sides in everywhere() {
        let names_of: Vec<String> = (0..6).map(|n| format!("f{n}")).collect();
        for name in &names_of {
            Tree::new().file(name, "new").build(&sides.from);
        }
        Tree::new().file("f1", "old").file("f3", "old").file("f4", "old").build(&sides.to);
        let ended = sides.pmove().arg("-iv").args(&names_of).arg(&*sides.to).stdin("y\nno\n").run();
        let question = |name: &str| format!("pmove: overwrite '{}'? ", sides.to.join(name).display());
        let asked = [question("f1"), question("f3"), question("f4")].concat();
        assert!(ended.fails_with(1).stderr_text().starts_with(&asked), "{}", ended.dump());
        assert_eq!(names(&sides.from), ["f3", "f4"]);
        assert_eq!(fs::read(sides.to.join("f1")).unwrap(), b"new");
        assert_eq!(fs::read(sides.to.join("f3")).unwrap(), b"old");
        let told: Vec<String> = ended.stdout_text().lines().map(str::to_owned).collect();
        let order: Vec<&String> = told.iter().filter(|line| !line.starts_with("removed")).collect();
        assert_eq!(order.len(), 4);
        for (line, name) in order.iter().zip(["f0", "f1", "f2", "f5"]) {
            assert!(line.contains(&format!("'{name}'")), "{told:?}");
        }
    }
}

#[test]
fn a_link_is_replaced_itself_under_every_policy() {
    for policy in ["-b", "-f", "--on-conflict=replace-older"] {
        for sides in everywhere() {
            Tree::new().file("f", "new").build(&sides.from);
            Tree::new().file("elsewhere", "untouched").build(&sides.to);
            symlink("elsewhere", sides.to.join("f")).unwrap();
            let times = rustix::fs::Timestamps {
                last_access: rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 },
                last_modification: rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 },
            };
            let nofollow = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(rustix::fs::CWD, sides.to.join("f"), &times, nofollow).unwrap();
            sides.pmove().args([policy, "f"]).arg(&*sides.to).run().ok();
            assert_eq!(fs::read(sides.to.join("elsewhere")).unwrap(), b"untouched");
            assert!(!sides.to.join("f").is_symlink());
        }
    }
}

/// What mv's user sees of one operand when the next one's turn comes.
#[test]
fn an_operand_sees_what_became_of_those_before_it() {
    for sides in everywhere() {
        Tree::new().file("dir/x", "x").file("dir/y", "y").symlink("link", "dir").file("a", "a").build(&sides.from);
        let ended = sides.pmove().args(["a", "link/y", "dir", "link/x"]).arg(&*sides.to).run();
        ended.fails_with(1).stderr_has("cannot stat 'link/x': ");
        assert_eq!(names(&sides.from), ["link"]);
        assert_eq!(names(&sides.to), ["a", "dir", "y"]);
        assert_eq!(names(&sides.to.join("dir")), ["x"]);
    }
}

#[test]
fn h22_backups_made_by_many_workers_replace_nothing_that_this_run_has_moved() {
    for sides in everywhere() {
        for n in 0..300 {
            Tree::new()
                .file(format!("s1/{n}"), format!("new {n}"))
                .file(format!("s2/{n}~"), format!("tilde {n}"))
                .build(&sides.from);
            Tree::new().file(n.to_string(), format!("old {n}")).build(&sides.to);
        }
        let sources = (0..300).flat_map(|n| [format!("s1/{n}"), format!("s2/{n}~")]);
        sides.pmove().args(["-b", "-j8"]).args(sources).arg(&*sides.to).run();
        let mut found: Vec<Vec<u8>> = files(&sides.to).into_values().collect();
        found.extend(["s1", "s2"].iter().flat_map(|dir| files(&sides.from.join(dir)).into_values()));
        for n in 0..300 {
            for content in [format!("new {n}"), format!("old {n}"), format!("tilde {n}")] {
                assert!(found.contains(&content.clone().into_bytes()), "{content} is nowhere");
            }
        }
    }
}

#[test]
fn drop_identical_drops_each_name_of_a_file() {
    for sides in everywhere() {
        Tree::new().file("a1", "f").hard_link("a2", "a1").file("d/x", "g").hard_link("g", "d/x").build(&sides.from);
        Tree::new().file("b1", "h").hard_link("b2", "b1").build(&sides.from);
        Tree::new().file("a1", "f").file("a2", "f").file("g", "g").file("b2", "h").build(&sides.to);
        let run = || sides.pmove().arg("--on-conflict=drop-identical").timeout(Duration::from_mins(1));
        run().args(["a1", "a2", "d", "g", "b1", "b2"]).arg(&*sides.to).run().ok();
        assert!(names(&sides.from).is_empty(), "{:?}", names(&sides.from));
        assert_eq!(names(&sides.to), ["a1", "a2", "b1", "b2", "d", "g"]);
        sides.assert_no_litter();
    }
}

#[test]
fn h22_what_is_its_own_backup_already_stays_that() {
    for sides in everywhere() {
        Tree::new().file("b", "new").build(&sides.from);
        Tree::new().file("b", "old").hard_link("b~", "b").build(&sides.to);
        sides.pmove().args(["--backup=simple", "b"]).arg(&*sides.to).run().ok();
        assert_eq!(at_target(&sides), pairs(&[("b", "new"), ("b~", "old")]));
    }
}

#[test]
fn h22_a_backup_replaces_nothing_that_this_run_has_merged() {
    for sides in everywhere() {
        Tree::new().file("p/x/f~", "tilde").file("q/x/f", "new").build(&sides.from);
        Tree::new().file("x/f", "old").build(&sides.to);
        let ended = sides.pmove().args(["--merge", "--backup=simple", "p/x", "q/x"]).arg(&*sides.to).run();
        ended.fails_with(1).stderr_has("cannot backup");
        assert_eq!(fs::read(sides.to.join("x/f~")).unwrap(), b"tilde");
        assert_eq!(fs::read(sides.to.join("x/f")).unwrap(), b"old");
    }
}

#[test]
fn what_cannot_be_merged_does_not_end_the_run() {
    for sides in everywhere() {
        Tree::new().file("s/x/s/f", "f").file("k", "k").file("z/f", "z").file("l", "l").build(&sides.from);
        let ended = sides.pmove().args(["--merge", "k", "s", "z/f", "l", "s/x"]).run();
        ended.fails_with(1).stderr_has("to a subdirectory of itself");
        assert_eq!(names(&sides.from.join("s/x")), ["f", "k", "l", "s"]);
    }
}
