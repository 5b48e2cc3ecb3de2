//! What the kernel and its file systems do of their own: EXDEV on one device, attributes that are too large, calls
//! that fail half-way, files that cannot be removed, descriptors that are short.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod fuse;
mod promises;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use common::fs::{is_root, must, other, scratch};
use common::mount::{FsType, LoopFs, Mount};
use common::run::Pmove;
use common::snapshot::{Snapshot, assert_same};
use common::trace::Strace;
use common::tree::Tree;
use fuse::odd::pmove;
use fuse::{Fuse, Quirks};
use promises::{across, back, everywhere, injected, litter, names, ordinarily};

fn content(n: usize) -> Vec<u8> {
    (0..n).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

#[test]
#[ignore = "needs root, FUSE and loop mounts"]
fn h38_one_attribute_that_is_too_large_does_not_keep_the_others_back() {
    let from = Fuse::new(Quirks::default());
    let to = LoopFs::new(FsType::Ext4, 64);
    let describe = |tree: Tree| {
        let tree = tree.xattr("user.1", "one").xattr("user.2", "two").xattr("user.3", vec![b'x'; 60_000]);
        tree.xattr("user.4", "four").xattr("user.5", "five")
    };
    describe(describe(Tree::new().file("f", "content")).file("d/g", "deep")).build(from.path());
    let whole = Snapshot::of(from.path()).without_root();
    let output = pmove(from.path(), &["f", "d"], to.path());
    output.ok().stderr_has("'user.3'");
    // Named, once, and the only difference.
    assert_eq!(output.stderr_text().lines().count(), 1, "{}", output.dump());
    let whole = whole.edit(|_, entry| {
        entry.xattrs.remove(std::ffi::OsStr::new("user.3"));
    });
    let expected = [whole.get("f").unwrap(), whole.get("d/g").unwrap()];
    let arrived = Snapshot::of(to.path());
    for (name, expected) in ["f", "d/g"].iter().zip(expected) {
        assert_eq!(&arrived.get(name).unwrap().xattrs, &expected.xattrs, "{name}");
        assert_eq!(expected.xattrs.len(), 4);
    }
}

/// xfs takes room behind what is written at the end of a file, and keeps it where the file is made longer after that.
#[test]
#[ignore = "needs root and loop mounts"]
fn h44_a_hole_at_the_end_takes_no_room() {
    for kind in [FsType::Ext4, FsType::Xfs, FsType::Btrfs] {
        let (from, disk) = (scratch(), LoopFs::new(kind, 512));
        let data = vec![b'd'; 1_000_000];
        Tree::new().sparse("f", 3_000_000, &[(0, &data)]).build(&*from);
        Pmove::new().cwd(&from).arg("f").arg(disk.path()).run().ok();
        let arrived = fs::metadata(disk.path().join("f")).unwrap();
        assert_eq!(arrived.len(), 3_000_000);
        assert!(arrived.blocks() * 512 < 1_100_000, "{kind:?}: {} bytes are taken", arrived.blocks() * 512);
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h39_compressed_files_leave_btrfs() {
    let disk = LoopFs::new(FsType::Btrfs, 128);
    let to = other();
    Tree::new().file("f", content(100_000)).file("d/g", content(50_000)).build(disk.path());
    for name in ["f", "d", "d/g"] {
        must(Command::new("setfattr").args(["-n", "btrfs.compression", "-v", "zstd"]).arg(disk.path().join(name)));
    }
    let output = pmove(disk.path(), &["f", "d"], &to);
    output.ok();
    assert!(output.stderr_text().lines().count() <= 1, "{}", output.dump());
    assert_eq!(fs::read(to.join("f")).unwrap(), content(100_000));
    assert_eq!(fs::read(to.join("d/g")).unwrap(), content(50_000));
    // And go back.
    pmove(&to, &["f", "d"], disk.path()).ok();
    assert_eq!(fs::read(disk.path().join("d/g")).unwrap(), content(50_000));
}

/// Moves a file and a tree, which turns out to need a copy.
fn copies(from: &Path, to: &Path) {
    Tree::new().file("f", content(5000)).mtime(1_000_000_000, 0).file("d/g", "deep").build(from);
    let whole = Snapshot::of(from).without_root();
    let (output, counts) = Strace::new().count(Pmove::new().args(["f", "d"]).arg(to).cwd(from));
    output.ok().stderr_is("");
    assert!(counts.of("openat") > 0);
    assert_same(&whole, &Snapshot::of(to).without_root());
    assert!(names(from).is_empty());
    assert!(litter(to).is_empty() && litter(from).is_empty());
}

#[test]
#[ignore = "needs root, strace and loop mounts"]
fn h48_subvolumes_quota_projects_and_bind_mounts_are_copied() {
    let disk = LoopFs::new(FsType::Btrfs, 128);
    let (one, two) = (disk.path().join("one"), disk.path().join("two"));
    for subvolume in [&one, &two] {
        must(Command::new("btrfs").args(["subvolume", "create", "--"]).arg(subvolume));
    }
    copies(&one, &two);
    let disk = LoopFs::new(FsType::Xfs, 300);
    let (free, owned) = (disk.path().join("free"), disk.path().join("owned"));
    fs::create_dir(&free).unwrap();
    fs::create_dir(&owned).unwrap();
    // A directory of project 42, whose children inherit it: xfs lets nothing of another project in by a rename.
    must(Command::new("xfs_io").args(["-c", "chproj 42", "-c", "chattr +P"]).arg(&owned));
    copies(&free, &owned);
    // Files of both kinds in one directory.
    Tree::new().files(20, |i| (format!("f{i}"), i.to_string())).build(&free);
    for i in (0..20).step_by(2) {
        must(Command::new("xfs_io").args(["-c", "chproj 42"]).arg(free.join(format!("f{i}"))));
    }
    fs::remove_dir_all(owned.join("d")).unwrap();
    fs::remove_file(owned.join("f")).unwrap();
    pmove(&free, &["*"], &owned).ok();
    for i in 0..20 {
        assert_eq!(fs::read_to_string(owned.join(format!("f{i}"))).unwrap(), i.to_string());
    }
    assert!(names(&free).is_empty() && litter(&owned).is_empty());
    // One device, two mounts.
    let (dir, bound) = (scratch(), scratch());
    let mount = Mount::bind(&dir, &bound);
    fs::create_dir(dir.join("to")).unwrap();
    let from = scratch();
    copies(&from, &mount.path().join("to"));
}

#[test]
#[ignore = "needs root, strace and loop mounts"]
fn h48_what_lies_in_the_lower_layer_of_an_overlay_moves() {
    let disk = Mount::tmpfs(64 << 20);
    let layer = |name: &str| {
        let path = disk.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let (lower, upper, work) = (layer("lower"), layer("upper"), layer("work"));
    Tree::new().file("from/f", content(5000)).file("from/d/e/g", "deep").dir("to").build(&lower);
    let overlay = Mount::overlay(&lower, &upper, &work);
    let (from, to) = (overlay.path().join("from"), overlay.path().join("to"));
    let whole = Snapshot::of(&from).without_root();
    // The directory has to be copied (EXDEV), and cannot be hidden before it is removed either.
    pmove(&from, &["f", "d"], &to).ok();
    assert_same(&whole, &Snapshot::of(&to).without_root());
    assert!(names(&from).is_empty() && litter(&to).is_empty());
}

#[test]
#[ignore = "needs root"]
fn h50_a_file_of_procfs_is_copied_with_what_is_in_it_and_stays() {
    let to = scratch();
    let expected = fs::read("/proc/version").unwrap();
    let output = Pmove::new().arg("/proc/version").arg(to.join("f")).run();
    output.fails_with(1).stderr_has("'/proc/version'");
    // It may be refused before it is copied, but what is there is whole.
    assert!(!to.join("f").exists() || fs::read(to.join("f")).unwrap() == expected, "{}", output.dump());
    assert_eq!(fs::read("/proc/version").unwrap(), expected);
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h47_without_proc_stages_have_names() {
    // An unnamed file gets its name by way of /proc.
    let hide = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /proc && exec \"$@\"", "sh"];
    for sides in [across(), back()] {
        Tree::everything().build(&sides.from);
        fs::create_dir(sides.from.join("tree")).unwrap();
        Tree::everything().build(sides.from.join("tree"));
        let whole = Snapshot::of(&*sides.from).without_root();
        Pmove::new().arg("*").arg(&*sides.to).cwd(&sides.from).under(hide).run().ok().stderr_is("");
        assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
        assert!(names(&sides.from).is_empty());
        sides.assert_no_litter();
    }
}

/// What `copy_file_range` and `splice` have been seen to say where reading and writing work.
const ZOO: &[&str] =
    &["EXDEV", "EINVAL", "EPERM", "EOPNOTSUPP", "ENOENT", "EACCES", "ETXTBSY", "ENOSYS", "EIO", "EBADF", "ENOMEM"];

#[test]
#[ignore = "needs root, strace and loop mounts"]
fn h51_whatever_the_kernels_copying_says_the_content_is_right() {
    let disk = Mount::tmpfs(400 << 20);
    let (from, to) = (disk.path().join("from"), disk.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    let bound = Mount::bind(&to, &to);
    // Three slices and a bit: a failure of the second one comes after progress.
    let long = content(100 << 20);
    let all = "copy_file_range:error=EXDEV";
    for (n, error) in ZOO.iter().enumerate() {
        for (k, call) in ["copy_file_range", "splice"].into_iter().enumerate() {
            // The long file is for some, or it takes a minute.
            let (len, when) = if (n + k) % 4 == 0 { (long.len(), "2+") } else { (70_000, "1+") };
            fs::write(from.join("f"), &long[..len]).unwrap();
            let inject = format!("{call}:error={error}:when={when}");
            let faults: &[&str] = if call == "splice" { &[all, &inject] } else { &[&inject] };
            injected(Pmove::new().arg("f").arg(bound.path()).cwd(&from), faults).run().ok().stderr_is("");
            assert!(fs::read(to.join("f")).unwrap() == long[..len], "{call} {error}");
            assert!(names(&from).is_empty());
        }
    }
    // What means that the target is full is said, and nothing is published.
    for error in ["ENOSPC", "EDQUOT", "EFBIG"] {
        for call in ["copy_file_range", "splice"] {
            fs::remove_file(to.join("f")).ok();
            fs::write(from.join("f"), &long[..70_000]).unwrap();
            // The second one is that which writes.
            let when = if call == "splice" { 2 } else { 1 };
            let inject = format!("{call}:error={error}:when={when}");
            let faults: &[&str] = if call == "splice" { &[all, &inject] } else { &[&inject] };
            injected(Pmove::new().arg("f").arg(bound.path()).cwd(&from), faults).run().fails_with(1);
            assert!(names(&to).is_empty());
            assert!(fs::read(from.join("f")).unwrap() == long[..70_000]);
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h59_interrupted_calls_are_made_again() {
    for sides in [across(), back()] {
        let calls = ["copy_file_range", "splice", "pwrite64", "fsync", "ftruncate", "write", "flock"];
        for call in calls {
            Tree::new()
                .file("f", content(70_000))
                .sparse("s", 1 << 20, &[(0, b"data")])
                .file("d/g", "g")
                .build(&sides.from);
            let whole = Snapshot::of(&*sides.from).without_root().without_holes();
            // Those that stand in for one another are to be tried, too.
            let mut faults = vec![format!("{call}:error=EINTR:when=1..2")];
            if call == "pwrite64" {
                faults.extend(["copy_file_range:error=EXDEV".into(), "splice:error=EINVAL".into()]);
            }
            let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
            injected(sides.pmove().args(["f", "s", "d"]).arg(&*sides.to), &faults).run().ok().stderr_is("");
            assert_same(&whole, &Snapshot::of(&*sides.to).without_root().without_holes());
            assert!(names(&sides.from).is_empty());
            for name in ["f", "s"] {
                fs::remove_file(sides.to.join(name)).unwrap();
            }
            fs::remove_dir_all(sides.to.join("d")).unwrap();
        }
    }
}

#[test]
fn h58_few_descriptors_are_enough() {
    for sides in everywhere() {
        let tree = Tree::new().files(60, |i| (format!("f{i:03}"), i.to_string()));
        // Wide and deep, so that all workers are in it at once.
        let tree = (0..240).fold(tree, |tree, i| tree.file(format!("d/{}/{}/x{i}", i % 60, i % 3), "deep"));
        tree.build(&sides.from);
        let whole = Snapshot::of(&*sides.from).without_root();
        for jobs in ["1", "64"] {
            sides.pmove().args(["-j", jobs, "*"]).arg(&*sides.to).limit("-n 32").run().ok().stderr_is("");
            assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
            assert!(names(&sides.from).is_empty());
            sides.assert_no_litter();
            for name in names(&sides.to) {
                fs::rename(sides.to.join(&name), sides.from.join(&name))
                    .or_else(|_| {
                        common::fs::tool(Command::new("mv").arg(sides.to.join(&name)).arg(&*sides.from)).map(drop)
                    })
                    .unwrap();
            }
        }
    }
}

#[test]
fn h58_far_too_few_descriptors_lose_nothing() {
    for sides in everywhere() {
        Tree::new().files(40, |i| (format!("f{i:03}"), i.to_string())).file("d/e/x", "deep").build(&sides.from);
        let whole = Snapshot::of(&*sides.from).without_root();
        for limit in (4..20).rev() {
            // It may fail, but not by halves; what it says is said.
            let output = sides.pmove().args(["--allow-empty", "*"]).arg(&*sides.to).limit(&format!("-n {limit}")).run();
            if output.code != Some(0) {
                assert!(!output.stderr.is_empty(), "-n {limit}\n{}", output.dump());
            }
            let both: Vec<String> = [names(&sides.from), names(&sides.to)].concat();
            for path in whole.paths().filter(|path| path.components().count() == 1) {
                assert!(both.contains(&path.to_string_lossy().into_owned()), "-n {limit}: {path:?}\n{}", output.dump());
            }
        }
        sides.pmove().args(["--allow-empty", "*"]).arg(&*sides.to).run().ok();
        assert_same(&whole, &Snapshot::of(&*sides.to).without_root());
        sides.assert_no_litter();
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h56_what_cannot_be_removed_is_not_copied() {
    let disk = LoopFs::new(FsType::Ext4, 64);
    let to = scratch();
    for flag in ["i", "a"] {
        Tree::new().file("f", "content").file("d/g", "deep").file("free", "x").build(disk.path());
        let whole = Snapshot::of(disk.path().join("d"));
        for name in ["f", "d/g"] {
            must(Command::new("chattr").arg(format!("+{flag}")).arg(disk.path().join(name)));
        }
        let output = pmove(disk.path(), &["f", "d", "free"], &to);
        for name in ["f", "d/g"] {
            must(Command::new("chattr").arg(format!("-{flag}")).arg(disk.path().join(name)));
        }
        output.fails_with(1).stderr_has("cannot remove 'f': Operation not permitted").stderr_has("'d/g'");
        assert_eq!(names(&to), ["free"], "{}", output.dump());
        assert_same(&whole, &Snapshot::of(disk.path().join("d")));
        fs::remove_file(to.join("free")).unwrap();
        fs::remove_file(disk.path().join("f")).unwrap();
        fs::remove_dir_all(disk.path().join("d")).unwrap();
    }
}

#[test]
#[ignore = "needs root"]
fn h56_what_others_have_in_a_sticky_directory_is_not_copied() {
    assert!(is_root());
    let sides = across();
    Tree::new()
        .dir("shared")
        .mode(0o1777)
        .file("shared/theirs", "content")
        .owner(1000, 1000)
        .mode(0o644)
        .build(&sides.from);
    for dir in [&*sides.from, &*sides.to] {
        must(Command::new("chown").args(["65534:65534", "--"]).arg(dir));
    }
    let output = ordinarily(Pmove::new().arg("shared/theirs").arg(&*sides.to).cwd(&sides.from)).run();
    output.fails_with(1).stderr_has("cannot remove 'shared/theirs': Operation not permitted");
    assert!(names(&sides.to).is_empty(), "{}", output.dump());
    assert_eq!(fs::read(sides.from.join("shared/theirs")).unwrap(), b"content");
}
