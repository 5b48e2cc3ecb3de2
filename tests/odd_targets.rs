//! Sources and targets that are not what they seem: devices, links in the place of directories, two views of one
//! file, and targets that change after they were judged.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

use common::fs::{require_root, scratch};
use common::mount::Mount;
use common::run::{Output, Pmove};
use common::snapshot::{Snapshot, assert_same};
use common::trace::Strace;
use common::tree::Tree;
use promises::held::{held_after, held_before};
use promises::{Sides, across, back, empty, everywhere, injected, names, one_device, ordinarily};

#[test]
#[ignore = "needs root and loop mounts"]
fn h14_what_cannot_be_made_at_the_target_leaves_what_was_there() {
    require_root();
    for sides in [across(), back()] {
        let tree = Tree::new().char_device("zero", 1, 5).block_device("loop", 7, 0).char_device("t/full", 1, 7);
        tree.fifo("p").socket("s").build(&sides.from);
        Tree::new().file("zero", "old").file("loop", "old").file("p", "old").file("s", "old").build(&sides.to);
        sides.give_away();
        // A user may move files that belong to others from a directory of their own, but not make devices.
        for name in ["zero", "loop", "t/full"] {
            chown(sides.from.join(name), Some(0), Some(0)).unwrap();
        }
        let before = Snapshot::of(&*sides.from);
        let output = ordinarily(sides.pmove().args(["zero", "loop", "t", "p", "s"]).arg(&*sides.to)).run();
        let to = sides.to.display();
        for name in ["zero", "loop", "t/full"] {
            output.fails_with(1).stderr_has(&format!("'{to}/{name}': Operation not permitted\n"));
        }
        assert_eq!(names(&sides.from), ["loop", "t", "zero"]);
        let left = Snapshot::of(&*sides.from);
        for name in ["zero", "loop", "t", "t/full"] {
            assert_eq!(left.get(name), before.get(name));
        }
        let old = |name: &str| fs::read(sides.to.join(name)).unwrap();
        assert_eq!((old("zero"), old("loop")), (b"old".to_vec(), b"old".to_vec()));
        assert_eq!(names(&sides.to), ["loop", "p", "s", "zero"]);
        assert!(sides.to.join("p").symlink_metadata().unwrap().mode() & 0o17_0000 == 0o1_0000);
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h15_devices_move_as_devices_and_are_never_opened() {
    require_root();
    for sides in everywhere() {
        let tree = Tree::new().char_device("zero", 1, 5).char_device("full", 1, 7).block_device("loop", 7, 0);
        tree.char_device("t/d/zero", 1, 5).char_device("g/full", 1, 7).fifo("g/p").build(&sides.from);
        let before = Snapshot::of(&*sides.from).without_root();
        let trace = Strace::new().only("open,openat,openat2,creat");
        let pmove = sides.pmove().args(["zero", "full", "loop", "t", "g"]).arg(&*sides.to);
        let (output, calls) = trace.record(pmove.timeout(Duration::from_secs(20)));
        output.ok();
        let is_named =
            |text: &str| ["zero", "full", "loop", "p"].iter().any(|name| text.contains(&format!("\"{name}\"")));
        let opened: Vec<_> = calls.iter().filter(|call| is_named(&call.text)).collect();
        assert!(opened.is_empty(), "{opened:?}");
        assert_same(&before, &Snapshot::of(&*sides.to).without_root());
        assert!(names(&sides.from).is_empty());
    }
}

/// Moves what was listed as a file, and is none any more when it is opened.
fn swapped_after_its_listing(special: &Tree, kind: u32) {
    for sides in [across(), back()] {
        for args in ["src", "src/*"] {
            special.clone().file("src/f", "x").build(&sides.from);
            let pmove = sides.pmove().args(["-j", "1", args]).arg(&*sides.to).timeout(Duration::from_secs(20));
            let held = held_after(pmove, "getdents64", 1);
            fs::rename(sides.from.join("special"), sides.from.join("src/f")).unwrap();
            let output = held.go_on();
            // Refused, or moved as what it is now.
            assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
            let is_it = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.mode() & 0o17_0000 == kind);
            let places = [sides.from.join("src/f"), sides.to.join("src/f"), sides.to.join("f")];
            assert_eq!(places.iter().filter(|path| is_it(path)).count(), 1, "{}", output.dump());
            assert!(!places.iter().any(|path| path.is_file()), "{}", output.dump());
            empty(&sides.to);
            empty(&sides.from);
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h15_what_became_a_fifo_after_its_listing_does_not_hang() {
    swapped_after_its_listing(&Tree::new().fifo("special"), 0o1_0000);
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h15_what_became_a_device_after_its_listing_is_not_read() {
    require_root();
    // /dev/null, which reads as an empty file.
    swapped_after_its_listing(&Tree::new().char_device("special", 1, 3), 0o2_0000);
}

/// A directory does not merge into one, least of all by way of a link.
#[test]
fn h35_a_link_where_a_directory_would_go_is_not_followed() {
    let elsewhere = scratch();
    Tree::new().file("f", "theirs").mode(0o640).dir("empty").mode(0o750).mtime(9, 9).build(&elsewhere);
    let before = Snapshot::of(&*elsewhere);
    for sides in everywhere() {
        for link in ["", "empty"] {
            for args in [&["sub"][..], &["-f", "sub"], &["s*"], &["-n", "sub"], &["-T", "sub"]] {
                Tree::new()
                    .file("sub/f", "ours")
                    .file("sub/empty/f", "ours")
                    .dir("sub")
                    .mode(0o2777)
                    .build(&sides.from);
                symlink(elsewhere.join(link), sides.to.join("sub")).unwrap();
                let to = if args.contains(&"-T") { sides.to.join("sub") } else { sides.to.to_path_buf() };
                let output = sides.pmove().args(args).arg(to).run();
                assert_eq!(output.code, Some(i32::from(args[0] != "-n")), "{}", output.dump());
                if args[0] != "-n" {
                    output.stderr_has("cannot overwrite non-directory '").stderr_has("/sub' with directory 'sub'");
                }
                assert_same(&before, &Snapshot::of(&*elsewhere));
                assert_eq!(Snapshot::of(sides.from.join("sub")).len(), 4);
                sides.assert_no_litter();
                empty(&sides.to);
                empty(&sides.from);
            }
        }
    }
}

/// Where a file's content can be seen after a move between two views of one directory.
fn is_somewhere(places: &[&Path], name: &str) -> bool {
    places.iter().any(|place| fs::read(place.join(name)).is_ok_and(|content| content == b"only copy"))
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h88_the_only_copy_is_not_taken_for_a_duplicate_of_itself() {
    const VIEWS: [&str; 3] = ["merged", "upper", "lower"];
    let room = scratch();
    for (from_view, to_view) in VIEWS.iter().flat_map(|from| VIEWS.map(|to| (*from, to))) {
        for policy in ["-f", "-n"] {
            Tree::new().dir("lower").dir("upper").dir("work").build(&room);
            Tree::new().file("below", "only copy").file("bt/f", "only copy").build(room.join("lower"));
            Tree::new().file("above", "only copy").file("at/f", "only copy").build(room.join("upper"));
            let overlay = Mount::overlay(&room.join("lower"), &room.join("upper"), &room.join("work"));
            let layers = [room.join("upper"), room.join("lower")];
            let view = |name: &str| if name == "merged" { overlay.path().to_path_buf() } else { room.join(name) };
            let seen = || layers.each_ref().map(|layer| Snapshot::of(layer).without_root());
            let (from, to, before) = (view(from_view), view(to_view), seen());
            let output = Pmove::new().arg(policy).args(names(&from)).arg(&to).cwd(&from).run();
            let case = format!("{policy}, from {from_view} to {to_view}\n{}", output.dump());
            for name in ["below", "bt/f", "above", "at/f"] {
                assert!(is_somewhere(&[overlay.path(), &layers[0], &layers[1]], name), "{name} is lost: {case}");
            }
            // What is made in the one shows in the other: then they are one directory.
            if let ("merged", "upper" | "lower") | ("upper", "merged") = (from_view, to_view) {
                // With -n, both are left alone before it is known what they are.
                let is_told = output.code == Some(1) && output.stderr_text().contains("are the same file");
                assert!(is_told || policy == "-n", "{case}");
                assert!(before == seen(), "{case}");
            }
            drop(overlay);
            empty(&room);
        }
    }
}

/// Moves `f` onto an existing `f`, and has `meanwhile` done between the judgement and the replacement.
fn replaced_meanwhile(sides: &Sides, meanwhile: impl FnOnce()) -> Output {
    let held = held_before(sides.pmove().arg("f").arg(&*sides.to), "renameat", 1);
    meanwhile();
    held.go_on()
}

#[test]
#[ignore = "needs strace"]
fn h94_a_target_that_changes_after_it_was_judged_is_not_harmed() {
    let outside = scratch();
    fs::write(outside.join("victim"), "theirs").unwrap();
    for sides in everywhere() {
        let target = sides.to.join("f");
        let build = || {
            Tree::new().file("f", "new").build(&sides.from);
            Tree::new().file("f", "old").build(&sides.to);
        };
        // A directory, though nothing is in it: a file does not replace it.
        build();
        let output = replaced_meanwhile(&sides, || {
            fs::remove_file(&target).unwrap();
            fs::create_dir(&target).unwrap();
        });
        output.fails_with(1).stderr_has("': Is a directory\n");
        assert!(target.is_dir() && fs::read(sides.from.join("f")).unwrap() == b"new");
        sides.assert_no_litter();
        fs::remove_dir(&target).unwrap();
        fs::remove_file(sides.from.join("f")).unwrap();
        // A link: replaced, not written through.
        build();
        replaced_meanwhile(&sides, || {
            fs::remove_file(&target).unwrap();
            symlink(outside.join("victim"), &target).unwrap();
        })
        .ok();
        assert!(target.symlink_metadata().unwrap().is_file() && fs::read(&target).unwrap() == b"new");
        assert_eq!(fs::read(outside.join("victim")).unwrap(), b"theirs");
        fs::remove_file(&target).unwrap();
        // Gone: nothing is in the way any more.
        build();
        replaced_meanwhile(&sides, || fs::remove_file(&target).unwrap()).ok();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(names(&sides.from).is_empty());
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs strace"]
fn h94_a_target_that_becomes_the_source_itself_is_no_success() {
    // rename(2) of two links to one file does nothing and says yes.
    let sides = one_device();
    Tree::new().file("f", "new").build(&sides.from);
    Tree::new().file("f", "old").build(&sides.to);
    let output = replaced_meanwhile(&sides, || {
        fs::remove_file(sides.to.join("f")).unwrap();
        fs::hard_link(sides.from.join("f"), sides.to.join("f")).unwrap();
    });
    output.fails_with(1).stderr_has("are the same file");
    assert!(sides.from.join("f").exists() && sides.to.join("f").exists());
}

#[test]
#[ignore = "needs strace"]
fn h94_a_target_that_goes_after_the_kernel_has_met_it_is_skipped_all_the_same() {
    for (sides, call) in [(one_device(), "renameat2"), (across(), "linkat"), (back(), "linkat")] {
        Tree::new().file("f", "new").build(&sides.from);
        let pmove = sides.pmove().args(["-n", "f"]).arg(&*sides.to);
        // As if it had been there for this call only.
        injected(pmove, &[&format!("{call}:error=EEXIST:when=1")]).run().ok().stderr_is("");
        assert_eq!((names(&sides.from), names(&sides.to).len()), (vec!["f".to_owned()], 0));
    }
}
