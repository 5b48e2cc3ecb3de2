//! P8: each source moves whole or stays whole, and different sources are independent.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use common::fs::scratch;
use common::mount::Mount;
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use promises::held::held_before;
use promises::{across, back, everywhere, injected, names, ordinarily, watched};

/// A tree of some depth, `tree`, and a file and a tree beside it.
fn build(dir: &Path) {
    let tree = Tree::new().files(400, |i| (format!("tree/d{}/e{}/f{i}", i % 5, i % 7), format!("content {i}")));
    tree.file("beside", "b").file("other/x", "x").build(dir);
}

/// How many regular files are below `dir`, which may change meanwhile; none if it is not there.
fn count(dir: &Path) -> usize {
    let of = |path: &std::path::PathBuf| match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => count(path),
        Ok(metadata) => usize::from(metadata.is_file()),
        Err(_) => 0,
    };
    promises::entries(dir).iter().map(of).sum()
}

#[test]
fn h18_one_unreadable_file_keeps_its_tree_and_nothing_else() {
    for sides in [across(), back()] {
        build(&sides.from);
        sides.give_away();
        fs::set_permissions(sides.from.join("tree/d3/e2/f23"), Permissions::from_mode(0o000)).unwrap();
        let before = Snapshot::of(sides.from.join("tree"));
        let output = ordinarily(sides.pmove().args(["other", "tree", "beside"]).arg(&*sides.to)).run();
        output.fails_with(1).stderr_has("cannot open 'tree/d3/e2/f23' for reading: Permission denied");
        assert_same(&before, &Snapshot::of(sides.from.join("tree")));
        assert_eq!(
            (names(&sides.from), names(&sides.to)),
            (vec!["tree".into()], vec!["beside".into(), "other".into()])
        );
        sides.assert_no_litter();
    }
}

#[test]
fn h18_an_unreadable_directory_keeps_its_tree() {
    for sides in [across(), back()] {
        build(&sides.from);
        sides.give_away();
        fs::set_permissions(sides.from.join("tree/d3/e2"), Permissions::from_mode(0o311)).unwrap();
        let output = ordinarily(sides.pmove().arg("tree").arg(&*sides.to)).run();
        output.fails_with(1).stderr_has("'tree/d3/e2'").stderr_has("Permission denied");
        fs::set_permissions(sides.from.join("tree/d3/e2"), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(count(&sides.from.join("tree")), 400);
        assert!(names(&sides.to).is_empty());
    }
}

#[test]
#[ignore = "needs strace"]
fn h18_a_step_that_fails_at_the_hundredth_file_keeps_the_tree() {
    for inject in [
        "splice,copy_file_range,pwrite64:error=ENOSPC:when=100+",
        "openat:error=EMFILE:when=300",
        "openat:error=EIO:when=300",
        "utimensat:error=EIO:when=100",
        "mkdirat:error=EDQUOT:when=20",
        "renameat2:error=EIO:when=1",
        "fsync,syncfs:error=EIO",
    ] {
        for sides in [across(), back()] {
            build(&sides.from);
            let before = Snapshot::of(&*sides.from);
            let output = injected(sides.pmove().args(["-j", "1", "tree"]).arg(&*sides.to), &[inject]).run();
            if output.code == Some(0) {
                // To memory nothing is synced.
                assert!(inject.starts_with("fsync") && names(&sides.from) == ["beside", "other"], "{}", output.dump());
                continue;
            }
            assert_eq!(output.code, Some(1), "{inject}\n{}", output.dump());
            assert_same(&before, &Snapshot::of(&*sides.from));
            assert!(names(&sides.to).is_empty(), "{inject}\n{}", output.dump());
        }
    }
}

#[test]
fn p8_a_tree_appears_whole_and_vanishes_whole() {
    for sides in everywhere() {
        build(&sides.from);
        let (source, target) = (sides.from.join("tree"), sides.to.join("tree"));
        // What has its name after it was counted had it all the time.
        let whole = || {
            let left = count(&source);
            assert!(!source.exists() || left == 400, "a part of the tree, {left} files, is at the source");
            let is_there = target.exists();
            let arrived = count(&target);
            assert!(!is_there || arrived == 400, "a part of the tree, {arrived} files, is at the target");
        };
        let (code, looks) = watched(whole, || sides.pmove().arg("tree").arg(&*sides.to).run().ok().code);
        assert!(code == Some(0) && looks > 1);
        assert_eq!(count(&target), 400);
    }
}

#[test]
#[ignore = "needs strace"]
fn h20_a_file_that_appears_in_the_source_is_not_removed() {
    for sides in [across(), back()] {
        build(&sides.from);
        // After the listing, before the tree is published.
        let held = held_before(sides.pmove().arg("tree").arg(&*sides.to), "renameat2", 1);
        fs::write(sides.from.join("tree/d1/new"), "new").unwrap();
        fs::write(sides.from.join("tree/d2/e2/f2"), "changed").unwrap();
        let output = held.go_on();
        output.fails_with(1).stderr_has("what appeared or changed in it during the move is in 'tree'");
        assert_eq!(fs::read(sides.from.join("tree/d1/new")).unwrap(), b"new");
        assert_eq!(fs::read(sides.from.join("tree/d2/e2/f2")).unwrap(), b"changed");
        assert_eq!(count(&sides.from.join("tree")), 2, "{}", output.dump());
        assert_eq!(count(&sides.to.join("tree")), 400);
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs strace"]
fn h90_what_appears_in_the_hidden_source_is_kept_and_named() {
    for sides in [across(), back()] {
        build(&sides.from);
        let held = held_before(sides.pmove().arg("tree").arg(&*sides.to), "unlinkat", 1);
        let hidden = promises::entries(&sides.from).into_iter().find(|path| is_hidden(path)).unwrap();
        fs::write(hidden.join("late"), "late").unwrap();
        // And the old name is taken again.
        fs::create_dir(sides.from.join("tree")).unwrap();
        let output = held.go_on();
        output.fails_with(1).stderr_has(hidden.file_name().unwrap().to_str().unwrap());
        assert_eq!(fs::read(hidden.join("late")).unwrap(), b"late");
        assert_eq!(count(&sides.to.join("tree")), 400);
        assert!(names(&sides.from.join("tree")).is_empty());
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".pmove-"))
}

#[test]
fn h07_a_directory_does_not_go_into_itself() {
    let dir = scratch();
    Tree::new().file("d/a", "a").dir("d/sub/deep").dir("test").file("test2/x", "x").build(&dir);
    symlink("d/sub", dir.join("link")).unwrap();
    let before = Snapshot::of(&*dir);
    let absolute = dir.join("d").display().to_string();
    let run = |args: &[&str]| Pmove::new().args(args).cwd(&dir).run();
    for (args, to) in [
        (["d", "d"], "d/d"),
        (["d", "d/sub"], "d/sub/d"),
        (["d", "d/sub/deep/new"], "d/sub/deep/new"),
        (["d", "link"], "link/d"),
        (["./d", "d/sub/../sub"], "d/sub/../sub/d"),
        ([&*absolute, "d/sub"], "d/sub/d"),
    ] {
        let message = format!("pmove: cannot move '{}' to a subdirectory of itself, '{to}'\n", args[0]);
        run(&args).fails_with(1).stderr_is(&message);
        assert_same(&before, &Snapshot::of(&*dir));
    }
    for name in [".", "..", "/", "d/.", "d/..", "d/sub/../..", "d/./"] {
        run(&["-t", "test", name]).fails_with(1).stderr_has("Device or resource busy");
        assert_same(&before, &Snapshot::of(&*dir));
    }
    // The name of one is the beginning of the other's, no more.
    run(&["test", "test2"]).ok();
    assert_eq!(names(&dir.join("test2")), ["test", "x"]);
}

#[test]
fn p8_sources_are_independent() {
    for sides in everywhere() {
        build(&sides.from);
        Tree::new().file("tree/there", "t").build(&sides.to);
        let output = sides.pmove().args(["beside", "gone", "tree", "other"]).arg(&*sides.to).run();
        output.fails_with(1).stderr_is(&format!(
            "pmove: cannot stat 'gone': No such file or directory\n\
             pmove: {}\n\
             pmove: 2 moved, 2 failed\n",
            sides.not_empty("tree")
        ));
        assert_eq!((names(&sides.from), count(&sides.from)), (vec!["tree".into()], 400));
        assert_eq!(names(&sides.to), ["beside", "other", "tree"]);
    }
}

#[test]
fn p8_a_tree_that_cannot_be_removed_is_not_copied() {
    for sides in [across(), back()] {
        build(&sides.from);
        sides.give_away();
        let before = Snapshot::of(sides.from.join("tree"));
        fs::set_permissions(&*sides.from, Permissions::from_mode(0o555)).unwrap();
        let output = ordinarily(sides.pmove().arg("tree").arg(&*sides.to)).run();
        output.fails_with(1).stderr_has("pmove: cannot remove 'tree': Permission denied\n");
        fs::set_permissions(&*sides.from, Permissions::from_mode(0o755)).unwrap();
        assert_same(&before, &Snapshot::of(sides.from.join("tree")));
        assert!(names(&sides.to).is_empty());
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h91_a_tree_with_a_mount_point_in_it_is_refused_before_copying() {
    for sides in everywhere() {
        build(&sides.from);
        let elsewhere = scratch();
        Tree::new().file("precious", "p").build(&elsewhere);
        let at = sides.from.join("tree/d1/e1/mounted");
        fs::create_dir(&at).unwrap();
        let mount = Mount::bind(&elsewhere, &at);
        let before = Snapshot::of(&*sides.from).without_root();
        for operand in ["tree", "tree/d1/e1/mounted"] {
            let output = sides.pmove().arg(operand).arg(&*sides.to).run();
            if output.code == Some(0) {
                // One rename moves a tree together with what is mounted in it, as mv does.
                assert_eq!(fs::read(sides.to.join("tree/d1/e1/mounted/precious")).unwrap(), b"p", "{}", output.dump());
                fs::rename(sides.to.join("tree"), sides.from.join("tree")).unwrap();
            } else {
                output.fails_with(1).stderr_has("Device or resource busy");
            }
            assert_same(&before, &Snapshot::of(&*sides.from).without_root());
            assert!(names(&sides.to).is_empty());
        }
        drop(mount);
        assert_eq!(fs::read(elsewhere.join("precious")).unwrap(), b"p");
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h89_into_itself_through_a_bind_mount() {
    let (dir, bound) = (scratch(), scratch());
    build(&dir);
    let mount = Mount::bind(&dir.join("tree"), &bound);
    // That somebody looked for room in the target shows in its time, and the target is in the source.
    let seen = || Snapshot::of(&*dir).without_root().edit(|_, entry| entry.mtime = (0, 0));
    let before = seen();
    for to in ["", "d1", "d1/e1/new"] {
        let output = Pmove::new().arg("tree").arg(mount.path().join(to)).cwd(&dir).run();
        output.fails_with(1).stderr_has("to a subdirectory of itself");
        assert_same(&before, &seen());
    }
}
