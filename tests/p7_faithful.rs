//! P7: everything arrives as it was: content, mode, owner, times, attributes, links, holes, and every kind of file.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use common::fs::{require_root, scratch};
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::tree::{self, Tree};
use promises::{Sides, across, back, everywhere, names, ordinarily};

/// Moves what is in `from` to `to`, and compares.
#[track_caller]
fn moves_all(from: &Path, to: &Path, args: &[&str]) {
    let before = Snapshot::of(from).without_root();
    Pmove::new().args(args).arg(to).cwd(from).run().ok().stderr_is("");
    assert_same(&before, &Snapshot::of(to).without_root());
    assert!(names(from).is_empty(), "left: {:?}", names(from));
}

#[test]
fn p7_everything_arrives_by_directory() {
    for sides in everywhere() {
        fs::create_dir(sides.from.join("tree")).unwrap();
        Tree::everything().build(sides.from.join("tree"));
        tree::set_mtime(&sides.from.join("tree"), 1_234_567_890, 987_654_321).unwrap();
        moves_all(&sides.from, &sides.to, &["tree"]);
        moves_all(&sides.to, &sides.from, &["tree"]);
    }
}

#[test]
fn p7_everything_arrives_by_pattern() {
    for sides in everywhere() {
        Tree::everything().build(&sides.from);
        moves_all(&sides.from, &sides.to, &["*"]);
        moves_all(&sides.to, &sides.from, &["-j", "16", "-g", "{*}"]);
    }
}

#[test]
fn p7_everything_arrives_by_operands() {
    for sides in everywhere() {
        Tree::everything().build(&sides.from);
        let operands: Vec<_> =
            promises::entries(&sides.from).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        let before = Snapshot::of(&*sides.from).without_root();
        sides.pmove().args(operands).arg(&*sides.to).run().ok();
        assert_same(&before, &Snapshot::of(&*sides.to).without_root());
        assert!(names(&sides.from).is_empty());
    }
}

#[test]
fn p7_few_descriptors_and_no_proc_change_nothing() {
    // Then what is staged has names.
    for sides in [across(), back()] {
        Tree::everything().build(&sides.from);
        let before = Snapshot::of(&*sides.from).without_root();
        sides.pmove().arg("*").arg(&*sides.to).limit("-n 40").run().ok();
        assert_same(&before, &Snapshot::of(&*sides.to).without_root());
        sides.assert_no_litter();
    }
}

#[test]
fn p7_the_umask_changes_nothing() {
    for umask in [0o000, 0o077, 0o777] {
        for sides in [across(), back()] {
            Tree::everything().build(&sides.from);
            fs::create_dir(sides.from.join("tree")).unwrap();
            Tree::everything().build(sides.from.join("tree"));
            let before = Snapshot::of(&*sides.from).without_root();
            sides.pmove().arg("*").arg(&*sides.to).umask(umask).run().ok();
            assert_same(&before, &Snapshot::of(&*sides.to).without_root());
        }
    }
}

#[test]
fn h43_links_across_operands_stay_links() {
    let build = |dir: &Path| {
        let tree = Tree::new().file("a", "x").hard_link("b", "a").hard_link("d/c", "a").hard_link("e/f/g", "a");
        tree.symlink("l", "x").fifo("p").hard_link("q", "p").file("z", "z").build(dir);
    };
    for sides in everywhere() {
        for args in [
            &["*"][..],
            &["-j", "1", "d", "a", "p", "e", "b", "l", "q", "z"],
            &["-j", "16", "a", "e", "b", "d", "-g", "[lpqz]"],
        ] {
            build(&sides.from);
            moves_all(&sides.from, &sides.to, args);
            for path in promises::entries(&sides.to) {
                fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).unwrap();
            }
        }
    }
}

#[test]
fn h87_many_links_over_many_batches_stay_one_file() {
    for sides in [across(), back()] {
        let mut tree = Tree::new().file("f0000", "x");
        for i in 1..900 {
            tree = tree.hard_link(format!("f{i:04}"), "f0000");
        }
        tree.file("other", "y").build(&sides.from);
        moves_all(&sides.from, &sides.to, &["*"]);
        assert_eq!(sides.to.join("f0899").metadata().unwrap().nlink(), 900);
    }
}

#[test]
fn h43_a_link_to_what_stays_behind_is_cut() {
    for sides in [across(), back()] {
        Tree::new()
            .file("a", "x")
            .hard_link("stays", "a")
            .file("d/f", "y")
            .hard_link("stays too", "d/f")
            .build(&sides.from);
        sides.pmove().args(["a", "d"]).arg(&*sides.to).run().ok();
        assert_eq!(names(&sides.from), ["stays", "stays too"]);
        assert_eq!(fs::read(sides.from.join("stays")).unwrap(), b"x");
        assert_eq!(fs::read(sides.to.join("a")).unwrap(), b"x");
        assert_eq!(fs::read(sides.to.join("d/f")).unwrap(), b"y");
        assert_eq!(sides.to.join("a").metadata().unwrap().nlink(), 1);
    }
}

#[test]
fn h44_a_terabyte_of_hole_takes_no_room() {
    for sides in [across(), back()] {
        let far = (1 << 40) - 5;
        Tree::new().sparse("f", 1 << 40, &[(0, b"start"), (1 << 33, b"middle"), (far, b"end")]).build(&sides.from);
        Tree::new().sparse("d/only hole", 1 << 40, &[]).sparse("only hole", 12345, &[]).build(&sides.from);
        moves_all(&sides.from, &sides.to, &["*"]);
        assert!(sides.to.join("f").metadata().unwrap().blocks() < 1000);
    }
}

#[test]
fn h28_a_private_file_is_never_wider_on_the_way() {
    for limit in ["-n 1024", "-n 200"] {
        for sides in [across(), back()] {
            let content = vec![1; 24 << 20];
            let tree = Tree::new().file("private", &content).mode(0o600).file("t/none", &content).mode(0o400);
            tree.dir("t").mode(0o700).build(&sides.from);
            let look = || assert_private(&sides.to);
            let (_, looks) = promises::watched(look, || {
                sides.pmove().args(["private", "t"]).arg(&*sides.to).umask(0).limit(limit).run().ok().code
            });
            assert!(looks > 10);
        }
    }
}

/// No file below `dir` lets anybody but its owner in.
fn assert_private(dir: &Path) {
    for path in promises::entries(dir) {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        assert!(metadata.mode() & 0o077 == 0, "{} has mode {:o}", path.display(), metadata.mode());
        if metadata.is_dir() {
            assert_private(&path);
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h28_nothing_is_created_wider_than_its_source() {
    for limit in ["-n 1024", "-n 200"] {
        for sides in [across(), back()] {
            Tree::new()
                .file("f", "x")
                .mode(0o640)
                .file("s", "x")
                .mode(0o6711)
                .dir("t")
                .mode(0o755)
                .file("t/g", "x")
                .mode(0)
                .fifo("p")
                .mode(0o600)
                .build(&sides.from);
            let record = common::trace::Strace::new().only("openat,mkdirat,mknodat,open,mkdir,mknod");
            let (output, calls) = record.record(sides.pmove().args(["f", "s", "t", "p"]).arg(&*sides.to).limit(limit));
            assert!(output.code == Some(0) || !common::fs::is_root(), "{}", output.dump());
            for call in calls.iter().filter(|call| call.text.contains("O_TMPFILE") || call.text.contains("O_CREAT")) {
                let mode = call.text.split(", 0").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or("0");
                let mode = u32::from_str_radix(mode, 8).unwrap();
                assert!([0, 0o600, 0o640, 0o711].contains(&mode), "{call:?}");
            }
            for call in calls.iter().filter(|call| call.name.starts_with("mk")) {
                assert!(call.text.contains("0700)") || call.text.contains("S_IFIFO"), "{call:?}");
                assert!(!call.text.contains("|06") || call.text.contains("|0600"), "{call:?}");
            }
        }
    }
}

#[test]
fn h92_what_the_target_directory_gives_to_its_children_is_not_inherited() {
    for sides in [across(), back()] {
        let to = sides.to.join("with default ACL");
        Tree::new().dir(&to).default_acl("u::rwx,u:1000:rwx,g::rwx,m::rwx,o::rwx").build("/");
        Tree::new()
            .file("f", "x")
            .mode(0o600)
            .file("g", "x")
            .mode(0o644)
            .fifo("p")
            .mode(0o600)
            .symlink("l", "x")
            .file("t/a/f", "x")
            .mode(0o640)
            .dir("t/a")
            .mode(0o700)
            .dir("t")
            .mode(0o755)
            .file("acl", "x")
            .acl("u::rw-,u:1001:r--,g::r--,m::rw-,o::---")
            .build(&sides.from);
        moves_all(&sides.from, &to, &["*"]);
    }
}

#[test]
fn p7_a_set_group_id_target_does_not_give_its_group() {
    for sides in [across(), back()] {
        let to = sides.to.join("d");
        Tree::new().dir("d").mode(0o2755).build(&sides.to);
        Tree::new().file("f", "x").mode(0o644).file("t/g", "x").dir("t").mode(0o755).build(&sides.from);
        moves_all(&sides.from, &to, &["*"]);
    }
}

#[test]
fn h42_read_only_directories_arrive_read_only() {
    for sides in everywhere() {
        let tree = Tree::new().file("t/a/f", "x").mode(0o444).file("t/b/g", "x").dir("t/a").mode(0o555).mtime(3, 3);
        tree.dir("t/b").mode(0o500).dir("t/b/empty").mode(0o555).dir("t").mode(0o755).mtime(4, 4).build(&sides.from);
        sides.give_away();
        let before = Snapshot::of(sides.from.join("t"));
        ordinarily(sides.pmove().arg("t").arg(&*sides.to)).run().ok().stderr_is("");
        assert_same(&before, &Snapshot::of(sides.to.join("t")));
        assert!(names(&sides.from).is_empty());
        sides.assert_no_litter();
    }
}

#[test]
fn h37_names_of_any_bytes_arrive() {
    for sides in everywhere() {
        let mut tree = Tree::new();
        for byte in (1..=255_u8).filter(|&byte| byte != b'/') {
            tree = tree.file(tree::name(&[b'n', byte]), [byte]);
            tree = tree.file(Path::new("d").join(tree::name(&[byte, b'n'])), [byte]);
        }
        tree.build(&sides.from);
        moves_all(&sides.from, &sides.to, &["*"]);
    }
}

#[test]
fn h27_long_names_that_differ_at_their_ends_arrive() {
    for sides in everywhere() {
        let long = |end: usize| format!("{}{end:02}", "x".repeat(253));
        Tree::new()
            .files(30, |i| (long(i), i.to_string()))
            .files(30, |i| (format!("d/{}", long(i)), i.to_string()))
            .build(&sides.from);
        moves_all(&sides.from, &sides.to, &["*"]);
    }
}

#[test]
fn h79_a_tree_deeper_than_any_path_arrives() {
    for sides in everywhere() {
        Tree::new().file("d/f", "x").build(&sides.from);
        tree::nest(&sides.from.join("d"), "d", 3000).unwrap();
        let before = Snapshot::of(sides.from.join("d"));
        sides.pmove().arg("d").arg(&*sides.to).timeout(Duration::from_mins(5)).run().ok();
        assert_same(&before, &Snapshot::of(sides.to.join("d")));
        assert!(names(&sides.from).is_empty());
        sides.assert_no_litter();
    }
}

#[test]
fn h80_a_fifo_that_nobody_writes_to_does_not_hang() {
    for sides in everywhere() {
        Tree::new().fifo("p").socket("s").fifo("t/p").socket("t/s").build(&sides.from);
        let before = Snapshot::of(&*sides.from).without_root();
        sides.pmove().args(["p", "s", "t"]).arg(&*sides.to).timeout(Duration::from_secs(10)).run().ok();
        assert_same(&before, &Snapshot::of(&*sides.to).without_root());
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h30_owners_devices_and_attributes_of_others_arrive() {
    require_root();
    let build = |dir: &Path| {
        Tree::new()
            .file("f", "x")
            .owner(1000, 2000)
            .mode(0o6755)
            .symlink("l", "x")
            .owner(1, 2)
            .mtime(1, 2)
            .char_device("full", 1, 7)
            .owner(3, 4)
            .mode(0o600)
            .block_device("loop", 7, 0)
            .mode(0o640)
            .file("t/g", "x")
            .owner(1000, 1000)
            .mode(0o4711)
            .xattr("trusted.k", "v")
            .dir("t")
            .owner(1000, 5)
            .mode(0o3770)
            .char_device("t/zero", 1, 5)
            .fifo("t/p")
            .owner(7, 7)
            .mode(0o604)
            .symlink("t/l", "g")
            .owner(9, 9)
            .xattr("trusted.on", "link")
            .build(dir);
    };
    for sides in everywhere() {
        build(&sides.from);
        moves_all(&sides.from, &sides.to, &["*"]);
        moves_all(&sides.to, &sides.from, &["t", "f", "l", "full", "loop"]);
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h29_set_id_bits_are_not_given_to_somebody_else() {
    require_root();
    // An ordinary user moves what belongs to another: it becomes his, without the bits.
    for sides in [across(), back()] {
        Tree::new().file("f", "x").mode(0o6755).file("t/g", "x").mode(0o4755).build(&sides.from);
        sides.give_away();
        for name in ["f", "t/g"] {
            std::os::unix::fs::chown(sides.from.join(name), Some(1), Some(1)).unwrap();
            std::fs::set_permissions(sides.from.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o6755))
                .unwrap();
        }
        ordinarily(sides.pmove().args(["f", "t"]).arg(&*sides.to)).run().ok().stderr_is("");
        for name in ["f", "t/g"] {
            let metadata = sides.to.join(name).metadata().unwrap();
            assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (65534, 0o755), "{name}");
        }
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn p7_everything_arrives_between_real_file_systems() {
    use common::mount::{FsType, LoopFs};
    let disks = FsType::ALL.map(|kind| LoopFs::new(kind, 320));
    let sides = Sides { from: scratch(), to: scratch() };
    Tree::everything().build(&sides.from);
    let whole = Snapshot::of(&*sides.from).without_root().without_holes();
    let mut at = sides.from.to_owned();
    for (n, disk) in disks.iter().chain(disks.iter().rev()).enumerate() {
        let to = disk.path().join(n.to_string());
        fs::create_dir(&to).unwrap();
        Pmove::new().arg("*").arg(&to).cwd(&at).run().ok();
        if names(&at).is_empty() {
            assert_same(&whole, &Snapshot::of(&to).without_root().without_holes());
        }
        at = to;
    }
    assert_same(&whole, &Snapshot::of(&at).without_root().without_holes());
}
