//! P3: nothing is replaced by accident. No-replace holds against races, and two sources of one run never land on
//! one name.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use common::fs::scratch;
use common::mount::{LoopFs, Mount};
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use promises::held::held_before;
use promises::{across, back, everywhere, injected, names, one_device};

#[test]
fn h08_of_two_sources_with_one_name_the_later_is_refused_whatever_the_threads_do() {
    let run = |sides: promises::Sides, policy: &[&str], pattern: bool, jobs: &str| {
        let path = |i: usize| format!("d{:02}/f{}", i / 12, i % 12);
        Tree::new().files(240, |i| (path(i), format!("from d{:02}", i / 12))).build(&sides.from);
        let sources: Vec<String> = if pattern { vec!["d*/f*".into()] } else { (0..240).map(path).collect() };
        let output = sides.pmove().args(policy).args(["-j", jobs]).args(sources).arg(&*sides.to).run();
        let prefix = format!("{}/", sides.to.display());
        let mut told: Vec<String> = output.stderr_text().lines().map(|line| line.replace(&prefix, "")).collect();
        told.sort();
        sides.assert_no_litter();
        let count = |dir: &Path| Snapshot::of(dir).paths().filter(|path| path.to_string_lossy().contains('f')).count();
        assert_eq!((count(&sides.from), count(&sides.to)), (228, 12), "{}", output.dump());
        (output.code, told, sides.files().1)
    };
    for make in [one_device, across] {
        for policy in [&[][..], &["-f"], &["-n"]] {
            let (code, told, moved) = run(make(), policy, false, "1");
            for (name, content) in &moved {
                assert_eq!(content, b"from d00", "{name}");
            }
            if policy == ["-n"] {
                assert_eq!((code, &told[..]), (Some(0), &[][..]));
            } else {
                assert_eq!((code, told.len()), (Some(1), 229));
                assert!(told.contains(&"pmove: will not overwrite just-created 'f7' with 'd13/f7'".to_owned()));
            }
            for jobs in ["2", "16"] {
                assert_eq!(run(make(), policy, false, jobs), (code, told.clone(), moved.clone()), "-j {jobs}");
            }
            // A pattern finds directories in no particular order, but nothing is lost and all is told.
            let (by_pattern, told_of, _) = run(make(), policy, true, "16");
            assert_eq!((by_pattern, told_of.len()), (code, told.len()));
        }
    }
}

#[test]
fn h10_no_clobber_holds_against_a_racing_creator() {
    for sides in everywhere() {
        let count = 3000;
        Tree::new().files(count, |i| (format!("f{i:04}"), "ours".into())).build(&sides.from);
        let theirs = thread::scope(|scope| {
            // From the other end, so that both meet in the middle.
            let creator = scope.spawn(|| {
                let create = |i: &usize| {
                    let file = fs::File::create_new(sides.to.join(format!("f{i:04}")));
                    file.is_ok_and(|mut file| file.write_all(b"theirs").is_ok())
                };
                (0..count).rev().filter(create).collect::<Vec<_>>()
            });
            sides.pmove().args(["-n", "f*"]).arg(&*sides.to).run().ok();
            creator.join().unwrap()
        });
        let (left, moved) = sides.files();
        assert_eq!((left.len(), moved.len()), (theirs.len(), count));
        for i in 0..count {
            let name = format!("f{i:04}");
            let is_theirs = theirs.binary_search_by(|other| i.cmp(other)).is_ok();
            let expected: &[u8] = if is_theirs { b"theirs" } else { b"ours" };
            assert!(moved[&name] == expected && left.contains_key(&name) == is_theirs, "{name}");
        }
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs strace"]
fn h75_what_is_created_just_before_publishing_is_not_replaced() {
    for sides in [across(), back()] {
        Tree::new().file("f", "ours").file("d/g", "ours").build(&sides.from);
        for (source, theirs) in [("f", "f"), ("d", "d")] {
            let held = held_before(sides.pmove().args(["-n", source]).arg(&*sides.to), "linkat,renameat2", 1);
            fs::write(sides.to.join(theirs), "theirs").unwrap();
            held.go_on().ok().stderr_is("");
            assert_eq!(fs::read(sides.to.join(theirs)).unwrap(), b"theirs");
        }
        assert_eq!(fs::read(sides.from.join("f")).unwrap(), b"ours");
        assert_eq!(fs::read(sides.from.join("d/g")).unwrap(), b"ours");
        sides.assert_no_litter();
    }
}

#[test]
fn h11_no_clobber_leaves_both_sides_as_they_are() {
    for sides in everywhere() {
        let sources = Tree::new().file("f", "new").file("d/f", "new").file("big", vec![1; 200_000]);
        sources.symlink("l", "new").fifo("p").file("q", "new").build(&sides.from);
        let targets = Tree::new().file("f", "old").file("d/g", "old").file("big", "old").symlink("l", "gone");
        targets.dir("p").symlink("q", "dangling").build(&sides.to);
        let before = (Snapshot::of(&*sides.from), Snapshot::of(&*sides.to));
        sides.pmove().args(["-n", "f", "d", "big", "l", "p", "q"]).arg(&*sides.to).run().ok().stderr_is("");
        assert_same(&before.0, &Snapshot::of(&*sides.from));
        assert_same(&before.1.without_root(), &Snapshot::of(&*sides.to).without_root());
    }
}

#[test]
fn h63_no_clobber_does_not_hide_a_missing_source() {
    for sides in everywhere() {
        Tree::new().file("f", "old").build(&sides.to);
        let output = sides.pmove().args(["-n", "f"]).arg(sides.to.join("f")).run();
        output.fails_with(1).stderr_is("pmove: cannot stat 'f': No such file or directory\n");
    }
}

#[test]
fn h09_a_source_that_is_named_twice_is_moved_once() {
    for sides in everywhere() {
        Tree::new().file("a", "a").file("d/x", "x").symlink("alias", "d").build(&sides.from);
        let output = sides.pmove().args(["a", "a", "./a"]).arg(&*sides.to).run();
        output.fails_with(1).stderr_has("pmove: cannot stat 'a': No such file or directory\n");
        assert_eq!(fs::read(sides.to.join("a")).unwrap(), b"a");
        // A directory and what is in it, under two names: what went first is gone, and nothing is lost.
        let output = sides.pmove().args(["d", "d/x", "alias/x"]).arg(&*sides.to).run();
        output.fails_with(1).stderr_has("cannot stat 'd/x': No such file or directory");
        assert_eq!(fs::read(sides.to.join("d/x")).unwrap(), b"x");
        assert_eq!(names(&sides.from), ["alias"]);
        assert_eq!(names(&sides.to), ["a", "d"]);
    }
}

#[test]
fn h09_what_is_in_a_directory_can_be_named_before_it() {
    for sides in everywhere() {
        Tree::new().file("d/x", "x").file("d/y", "y").build(&sides.from);
        sides.pmove().args(["d/x", "d"]).arg(&*sides.to).run().ok();
        assert_eq!(fs::read(sides.to.join("x")).unwrap(), b"x");
        assert_eq!(names(&sides.to.join("d")), ["y"]);
    }
}

#[test]
fn h05_a_move_onto_itself_moves_nothing() {
    let dir = scratch();
    Tree::new().file("d/a", "a").file("d/b/c", "c").build(&dir);
    symlink("d", dir.join("link")).unwrap();
    let before = Snapshot::of(&*dir);
    let absolute = dir.join("d").into_os_string().into_string().unwrap();
    for target in ["d", "d/", "./d", "link", "link/", "d/../d", "d/b/..", &absolute] {
        let output = Pmove::new().args(["d/a", "d/b", target]).cwd(&dir).run();
        let slash = if target.ends_with('/') { "" } else { "/" };
        let same = |name| format!("pmove: 'd/{name}' and '{target}{slash}{name}' are the same file\n");
        output.fails_with(1).stderr_has(&same("a")).stderr_has(&same("b"));
        assert_same(&before, &Snapshot::of(&*dir));
    }
}

#[test]
fn h13_two_links_of_one_file_both_stay() {
    let dir = scratch();
    Tree::new().file("a", "x").hard_link("b", "a").dir("d").hard_link("d/a", "a").build(&dir);
    let before = Snapshot::of(&*dir);
    for (target, shown) in [("b", "b"), ("d", "d/a"), ("./a", "./a")] {
        let output = Pmove::new().args(["a", target]).cwd(&dir).run();
        output.fails_with(1).stderr_is(&format!("pmove: 'a' and '{shown}' are the same file\n"));
        assert_same(&before, &Snapshot::of(&*dir));
    }
}

#[test]
fn p3_a_directory_does_not_replace_what_holds_something() {
    for sides in everywhere() {
        Tree::new().file("d/new", "new").file("f", "new").dir("e").build(&sides.from);
        Tree::new().file("d/old", "old").dir("f").file("e", "old").build(&sides.to);
        let before = (Snapshot::of(&*sides.from), Snapshot::of(&*sides.to));
        let to = sides.to.display();
        sides.pmove().args(["d", "f", "e"]).arg(&*sides.to).run().fails_with(1).stderr_is(&format!(
            "pmove: {}\n\
             pmove: cannot overwrite directory '{to}/f' with non-directory 'f'\n\
             pmove: cannot overwrite non-directory '{to}/e' with directory 'e'\n\
             pmove: 0 moved, 3 failed\n",
            sides.not_empty("d")
        ));
        assert_same(&before.0, &Snapshot::of(&*sides.from));
        assert_same(&before.1.without_root(), &Snapshot::of(&*sides.to).without_root());
    }
}

#[test]
fn p3_an_empty_directory_is_replaced() {
    for sides in everywhere() {
        Tree::new().file("d/new", "new").build(&sides.from);
        Tree::new().dir("d").build(&sides.to);
        sides.pmove().arg("d").arg(&*sides.to).run().ok();
        assert_eq!(fs::read(sides.to.join("d/new")).unwrap(), b"new");
        assert!(names(&sides.from).is_empty());
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs strace"]
fn h45_without_noreplace_nothing_is_replaced_either() {
    for (make, fails) in [(one_device as fn() -> _, "renameat2:error=EINVAL"), (one_device, "renameat2:error=ENOSYS")] {
        let sides: promises::Sides = make();
        Tree::new().file("f", "new").file("g", "new").file("d/x", "new").file("e/x", "new").build(&sides.from);
        Tree::new().file("g", "old").file("e/x", "old").build(&sides.to);
        let before = Snapshot::of(sides.from.join("d"));
        injected(sides.pmove().args(["-n", "f", "g", "d", "e"]).arg(&*sides.to), &[fails]).run().ok();
        assert_eq!(names(&sides.from), ["e", "g"]);
        assert_eq!(fs::read(sides.to.join("g")).unwrap(), b"old");
        assert_eq!(fs::read(sides.to.join("e/x")).unwrap(), b"old");
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"new");
        assert_same(&before, &Snapshot::of(sides.to.join("d")));
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h06_one_file_through_two_mounts_is_itself() {
    let (dir, bound) = (scratch(), scratch());
    Tree::new().file("a", "content").file("d/b", "b").build(&dir);
    let mount = Mount::bind(&dir, &bound);
    let before = Snapshot::of(&*dir);
    for source in ["a", "d"] {
        let output = Pmove::new().arg(source).arg(mount.path()).cwd(&dir).run();
        output.fails_with(1).stderr_has("are the same file");
        assert_same(&before.clone().without_root(), &Snapshot::of(&*dir).without_root());
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h12_a_rename_that_changes_only_case_loses_nothing() {
    let disk = match LoopFs::casefold(64) {
        Ok(disk) => disk,
        // This kernel cannot fold, so nobody can lose a file that way.
        Err(why) => return assert!(!Path::new("/sys/fs/ext4/features/casefold").exists(), "{why}"),
    };
    let dir = disk.fold("folded");
    Tree::new().file("a", "x").build(&dir);
    let output = Pmove::new().args(["a", "A"]).cwd(&dir).run();
    assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
    assert_eq!(fs::read(dir.join("a")).unwrap(), b"x", "{}", output.dump());
    // Two sources whose names are one there.
    let from = scratch();
    Tree::new().file("x/name", "first").file("y/NAME", "second").build(&from);
    for policy in ["-f", "-n"] {
        let output = Pmove::new().args([policy, "x/name", "y/NAME"]).arg(&dir).cwd(&from).run();
        assert_eq!(output.code, Some(i32::from(policy == "-f")), "{}", output.dump());
        assert_eq!(fs::read(dir.join("name")).unwrap(), b"first", "{}", output.dump());
        assert_eq!(fs::read(from.join("y/NAME")).unwrap(), b"second");
        fs::rename(dir.join("name"), from.join("back")).unwrap_or_else(|_| {
            fs::copy(dir.join("name"), from.join("x/name")).unwrap();
            fs::remove_file(dir.join("name")).unwrap();
        });
    }
}
