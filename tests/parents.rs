//! `--parents` keeps the source's path below DEST; `--mkdir` makes DEST.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use common::fs::{must, require_root};
use common::mount::{FsType, LoopFs};
use common::snapshot::{Snapshot, assert_same};
use common::trace::Strace;
use common::tree::Tree;
use promises::{Sides, across, back, empty, everywhere, injected, names, one_device, ordinarily};

/// The paths of all files and links below a directory, sorted, and of empty directories with a slash.
fn found(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for path in promises::entries(dir) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.symlink_metadata().unwrap().is_dir() {
            let below = found(&path);
            if below.is_empty() {
                all.push(format!("{name}/"));
            }
            all.extend(below.into_iter().map(|below| format!("{name}/{below}")));
        } else {
            all.push(name);
        }
    }
    all
}

fn build(sides: &Sides) {
    Tree::new()
        .file("in/a/1.csv", "1")
        .file("in/a/b/2.csv", "2")
        .file("in/a/b/3.txt", "3")
        .file("4.csv", "4")
        .build(&sides.from);
}

#[test]
fn paths_of_operands_patterns_and_lists_are_kept() {
    let all = ["4.csv", "in/a/1.csv", "in/a/b/2.csv"];
    let cases: [(&[&str], &str); 5] = [
        (&["in/a/1.csv", "in/a/b/2.csv", "4.csv"], ""),
        (&["./in/./a//1.csv", "in//a/b/2.csv", "./4.csv"], ""),
        (&["**/*.csv"], ""),
        (&["-g", "in/**/*.csv", "-g", "4.*"], ""),
        (&["-"], "in/a/b/2.csv\n4.csv\nin/a/1.csv\n"),
    ];
    for (args, list) in cases {
        for sides in everywhere() {
            build(&sides);
            sides.pmove().arg("--parents").args(args).arg(&*sides.to).stdin(list).run().ok().stderr_is("");
            assert_eq!(found(&sides.to), all, "{args:?}");
            assert_eq!(found(&sides.from), ["in/a/b/3.txt"]);
            sides.assert_no_litter();
        }
    }
}

#[test]
fn paths_are_relative_to_the_base_and_absolute_ones_lose_their_slash() {
    for sides in everywhere() {
        build(&sides);
        let absolute = sides.from.join("in/a/b/3.txt");
        let pmove = sides.pmove().args(["--parents", "-C", "in", "a/1.csv", "a/b/2.csv"]).arg(&absolute);
        pmove.arg(&*sides.to).run().ok().stderr_is("");
        let kept = absolute.to_string_lossy().trim_start_matches('/').to_owned();
        let mut all = vec!["a/1.csv".to_owned(), "a/b/2.csv".into(), kept];
        all.sort();
        assert_eq!(found(&sides.to), all);
    }
}

#[test]
fn p4_a_path_that_leads_up_is_refused() {
    for sides in everywhere() {
        build(&sides);
        for path in ["in/../4.csv", "in/a/../a/1.csv", "../../no/where"] {
            let output = sides.pmove().args(["--parents", path]).arg(&*sides.to).run();
            output.fails_with(1).stderr_is(&format!("pmove: cannot keep the path of '{path}': it holds '..'\n"));
        }
        assert!(names(&sides.to).is_empty());
    }
}

#[test]
fn whole_directories_keep_their_path_too() {
    for sides in everywhere() {
        build(&sides);
        let whole = Snapshot::of(sides.from.join("in/a/b"));
        sides.pmove().args(["--parents", "in/a/b/"]).arg(&*sides.to).run().ok().stderr_is("");
        assert_same(&whole, &Snapshot::of(sides.to.join("in/a/b")));
        assert_eq!(found(&sides.from), ["4.csv", "in/a/1.csv"]);
    }
}

#[test]
fn p7_directories_on_the_way_are_like_their_sources() {
    for sides in everywhere() {
        let tree = Tree::new().file("x/y/f", "f").dir("x/y").mode(0o2710).mtime(5, 7).xattr("user.k", "v");
        tree.dir("x").mode(0o700).mtime(-9, 1).build(&sides.from);
        let before = Snapshot::of(sides.from.join("x"));
        sides.pmove().args(["--parents", "x/y/f"]).arg(&*sides.to).run().ok().stderr_is("");
        assert_same(&before, &Snapshot::of(sides.to.join("x")));
        // Those that are there stay as they are.
        Tree::new().file("x/y/g", "g").build(&sides.from);
        fs::set_permissions(sides.to.join("x/y"), fs::Permissions::from_mode(0o755)).unwrap();
        sides.pmove().args(["--parents", "x/y/g"]).arg(&*sides.to).run().ok().stderr_is("");
        assert_eq!(sides.to.join("x/y").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    }
}

#[test]
fn a_directory_that_cannot_be_written_gets_its_mode_in_the_end() {
    for sides in everywhere() {
        build(&sides);
        sides.give_away();
        let output = ordinarily(sides.pmove().args(["--parents", "in/a/1.csv", "in/a/b/2.csv"]).arg(&*sides.to)).run();
        output.ok();
        Tree::new().file("shut/f", "f").dir("shut").mode(0o500).build(&sides.from);
        sides.give_away();
        // Nothing can be taken out of it: so nothing has been made for it.
        ordinarily(sides.pmove().args(["--parents", "shut/f"]).arg(&*sides.to)).run().fails_with(1);
        assert_eq!(found(&sides.to), ["in/a/1.csv", "in/a/b/2.csv"]);
        fs::set_permissions(sides.from.join("shut"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn what_was_made_for_nothing_is_taken_back() {
    for sides in everywhere() {
        build(&sides);
        Tree::new().file("in/a/1.csv", "old").build(&sides.to);
        let output = sides.pmove().args(["--parents", "-n", "in/a/b/none", "in/a/none/2.csv", "in/a/1.csv"]);
        output.arg(&*sides.to).run().fails_with(1);
        assert_eq!(found(&sides.to), ["in/a/1.csv"]);
        sides.assert_no_litter();
    }
}

#[test]
fn h35_p4_a_link_on_the_way_is_not_followed() {
    for sides in everywhere() {
        build(&sides);
        Tree::new().dir("elsewhere").symlink("in", "elsewhere").build(&sides.to);
        let output = sides.pmove().args(["--parents", "in/a/1.csv", "4.csv"]).arg(&*sides.to).run();
        let said = format!("pmove: cannot create directory '{}/in/a': ", sides.to.display());
        assert!(output.fails_with(1).stderr_text().starts_with(&said), "{}", output.dump());
        assert_eq!(found(&sides.to), ["4.csv", "elsewhere/", "in"]);
        assert_eq!(fs::read(sides.from.join("in/a/1.csv")).unwrap(), b"1");
    }
}

#[test]
fn h08_two_ways_to_write_one_path_are_one_target() {
    for sides in everywhere() {
        build(&sides);
        Tree::new().file("other/in/a/1.csv", "other").build(&sides.from);
        // The second has the first one's path, seen from another base.
        let output = sides.pmove().args(["--parents", "./in/a/1.csv", "in/a/1.csv"]).arg(&*sides.to).run();
        output.fails_with(1).stderr_has("cannot stat 'in/a/1.csv'");
        Tree::new().file("a/f", "first").file("x/a/f", "second").symlink("link", "x/a").build(&sides.from);
        fs::create_dir(sides.to.join("deep")).unwrap();
        sides.pmove().args(["--parents", "a/f"]).arg(sides.to.join("deep")).run().ok();
        let output = sides.pmove().args(["--parents", "-n", "-C", "x", "a/f"]).arg(sides.to.join("deep")).run();
        output.ok();
        assert_eq!(fs::read(sides.to.join("deep/a/f")).unwrap(), b"first");
    }
}

#[test]
fn names_are_flattened_for_nobody_who_keeps_paths() {
    for sides in everywhere() {
        Tree::new().files(40, |i| (format!("d{i}/same"), format!("{i}"))).build(&sides.from);
        sides.pmove().args(["--parents", "*/same"]).arg(&*sides.to).run().ok().stderr_is("");
        for i in 0..40 {
            assert_eq!(fs::read_to_string(sides.to.join(format!("d{i}/same"))).unwrap(), i.to_string());
        }
    }
}

#[test]
fn what_find_lists_goes_whole_and_counts_once() {
    for sides in everywhere() {
        build(&sides);
        let list = "./in\n./in/a\n./in/a/1.csv\n./in/a/b\n./in/a/b/2.csv\n./in/a/b/3.txt\n./4.csv\n";
        sides.pmove().args(["--parents", "-"]).arg(&*sides.to).stdin(list).run().ok().stderr_is("");
        assert_eq!(found(&sides.to), ["4.csv", "in/a/1.csv", "in/a/b/2.csv", "in/a/b/3.txt"]);
        assert!(names(&sides.from).is_empty());
    }
}

#[test]
fn paths_are_kept_and_merged_at_once() {
    for sides in everywhere() {
        build(&sides);
        Tree::new().file("in/a/old", "old").build(&sides.to);
        sides.pmove().args(["--parents", "--merge", "in/a"]).arg(&*sides.to).run().ok().stderr_is("");
        assert_eq!(found(&sides.to), ["in/a/1.csv", "in/a/b/2.csv", "in/a/b/3.txt", "in/a/old"]);
        assert_eq!(found(&sides.from), ["4.csv", "in/"]);
    }
}

#[test]
fn h43_links_are_kept_between_directories() {
    for sides in everywhere() {
        let tree = Tree::new().file("a/f", "f").hard_link("b/c/g", "a/f").hard_link("h", "a/f").hard_link("a/i", "a/f");
        tree.build(&sides.from);
        sides.pmove().args(["--parents", "a/f", "b/c/g", "h", "a/i"]).arg(&*sides.to).run().ok().stderr_is("");
        let ids = ["a/f", "b/c/g", "h", "a/i"].map(|path| sides.to.join(path).metadata().unwrap());
        assert!(ids.iter().all(|metadata| metadata.ino() == ids[0].ino() && metadata.nlink() == 4));
    }
}

#[test]
fn h82_few_descriptors_are_enough_for_many_target_directories() {
    for (sides, jobs) in everywhere().into_iter().zip(["8", "1", "8"]) {
        Tree::new().files(400, |i| (format!("{}/{}/f", i % 9, i), format!("{i}"))).build(&sides.from);
        let all = found(&sides.from);
        let pmove = sides.pmove().args(["--parents", "-j", jobs, "*/*/f"]).arg(&*sides.to).limit("-n 64");
        pmove.run().ok().stderr_is("");
        assert_eq!(found(&sides.to), all);
        sides.assert_no_litter();
    }
}

#[test]
fn h82_few_descriptors_are_enough_for_links_in_many_directories() {
    for sides in [across(), back()] {
        for limit in (28..68).step_by(3) {
            let tree = (0..8).fold(Tree::new(), |tree, i| {
                tree.file(format!("d{i}/f"), "x").hard_link(format!("d{i}/sub/l"), format!("d{i}/f"))
            });
            tree.build(&sides.from);
            let pmove = sides.pmove().args(["--parents", "d*/f", "d*/sub/l"]).arg(&*sides.to);
            pmove.limit(&format!("-n {limit}")).run().ok().stderr_is("");
            for i in 0..8 {
                assert_eq!(sides.to.join(format!("d{i}/sub/l")).metadata().unwrap().nlink(), 2, "d{i} of {limit}");
            }
            sides.assert_no_litter();
            empty(&sides.from);
            empty(&sides.to);
        }
    }
}

/// Two names of one file go to two directories, and what is there is read once more before the second becomes a link to it.
#[test]
#[ignore = "needs strace"]
fn h82_a_link_that_cannot_be_made_sure_of_is_not_silently_a_copy() {
    for sides in [across(), back()] {
        let mut failed = 0;
        for nth in 1..8 {
            Tree::new().file("a/f", "x").hard_link("b/g", "a/f").build(&sides.from);
            let pmove = sides.pmove().args(["-j", "1", "--parents", "a/f", "b/g"]).arg(&*sides.to);
            let output = injected(pmove, &[&format!("pread64:error=EIO:when={nth}")]).run();
            if output.code == Some(127) {
                // It could not even be loaded.
                assert_eq!(names(&sides.from), ["a", "b"]);
            } else if output.code == Some(0) {
                assert_eq!(sides.to.join("b/g").metadata().unwrap().nlink(), 2, "{}", output.dump());
            } else {
                assert!(sides.from.join("b/g").exists() && !sides.to.join("b/g").exists(), "{}", output.dump());
                output.fails_with(1).stderr_has("Input/output error");
                failed += 1;
            }
            sides.assert_no_litter();
            empty(&sides.from);
            empty(&sides.to);
        }
        assert!(failed > 2, "only {failed} reads were met");
    }
}

#[test]
fn mkdir_makes_the_destination_a_directory_and_what_is_on_the_way() {
    for sides in everywhere() {
        build(&sides);
        let new = sides.to.join("new/er");
        sides.pmove().args(["--mkdir", "4.csv"]).arg(&new).run().ok().stderr_is("");
        sides.pmove().args(["--mkdir", "in"]).arg(&new).run().ok().stderr_is("");
        assert_eq!(
            found(&sides.to),
            ["new/er/4.csv", "new/er/in/a/1.csv", "new/er/in/a/b/2.csv", "new/er/in/a/b/3.txt"]
        );
        for path in ["new", "new/er"] {
            assert_eq!(sides.to.join(path).metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        }
    }
}

#[test]
fn mkdir_makes_the_directory_that_a_new_name_is_in() {
    for sides in everywhere() {
        build(&sides);
        sides.pmove().args(["--mkdir", "-T", "in/a"]).arg(sides.to.join("x/y")).umask(0o077).run().ok().stderr_is("");
        assert_eq!(found(&sides.to), ["x/y/1.csv", "x/y/b/2.csv", "x/y/b/3.txt"]);
        assert_eq!(sides.to.join("x").metadata().unwrap().permissions().mode() & 0o7777, 0o700);
    }
}

#[test]
fn mkdir_and_an_empty_list_are_success() {
    let sides = one_device();
    sides.pmove().args(["--mkdir", "-"]).arg(sides.to.join("new")).run().ok().stderr_is("");
    assert_eq!(found(&sides.to), ["new/"]);
}

#[test]
fn mkdir_does_not_take_a_file_for_a_directory() {
    for sides in everywhere() {
        build(&sides);
        Tree::new().file("file", "f").symlink("dangling", "nowhere").build(&sides.to);
        for name in ["file", "file/below", "dangling", "dangling/below"] {
            sides.pmove().args(["--mkdir", "4.csv"]).arg(sides.to.join(name)).run().fails_with(1);
        }
        assert_eq!(found(&sides.to), ["dangling", "file"]);
        assert_eq!(fs::read(sides.to.join("file")).unwrap(), b"f");
    }
}

#[test]
fn a_dry_run_makes_nothing() {
    for sides in everywhere() {
        build(&sides);
        let new = sides.to.join("new/er");
        let output = sides.pmove().args(["--dry-run", "--mkdir", "--parents", "in/a/1.csv"]).arg(&new).run();
        output.ok().stdout_is(format!("would move 'in/a/1.csv' -> '{}/in/a/1.csv'\n", new.display()));
        assert!(names(&sides.to).is_empty());
    }
}

/// Files of several directories, killed at many places: the same command finishes.
fn kill_everywhere(make: fn() -> Sides) {
    let build = |sides: &Sides| {
        let tree = Tree::new().files(30, |i| (format!("in/{}/{}/f{i}", i % 3, i % 5), format!("{i} ").repeat(i * 40)));
        tree.file("in/deep/er/whole/f", "whole").build(&sides.from);
    };
    let command = |sides: &Sides| {
        let pmove =
            sides.pmove().args(["--parents", "--mkdir", "--allow-empty", "-j", "1", "in/?/*/f*", "in/deep/er/*"]);
        pmove.arg(sides.to.join("new"))
    };
    let check = |sides: &Sides, all: &[String], when: &str| {
        assert_eq!(found(&sides.to.join("new")), all, "{when}");
        assert!(found(&sides.from).iter().all(|path| path.ends_with('/')), "{when}: {:?}", found(&sides.from));
        sides.assert_no_litter();
    };
    let sides = make();
    build(&sides);
    let all = found(&sides.from);
    let (output, counts) = Strace::new().count(command(&sides));
    output.ok();
    check(&sides, &all, "not at all");
    let mut kills = 0;
    for call in
        ["renameat2", "renameat", "linkat", "unlinkat", "mkdirat", "openat", "openat2", "syncfs", "write", "flock"]
    {
        let count = counts.of(call);
        for n in (1..=count).step_by(usize::try_from((count / 8).max(1) | 1).unwrap()) {
            let sides = make();
            build(&sides);
            let when = format!("killed at {call} {n}");
            let killed = injected(command(&sides), &[&format!("{call}:signal=KILL:when={n}")]).run();
            kills += u32::from(killed.signal.is_some());
            let output = command(&sides).run();
            assert_eq!(output.code, Some(0), "{when}\n{}", output.dump());
            check(&sides, &all, &when);
        }
    }
    assert!(kills > 10, "only {kills} runs were killed");
}

#[test]
#[ignore = "needs strace"]
fn p6_killed_while_paths_are_kept_the_re_run_finishes() {
    kill_everywhere(one_device);
    kill_everywhere(across);
    kill_everywhere(back);
}

/// On a file system that is synced as a whole, nothing is synced file by file or directory by directory, however few files each
/// directory has. (How many share a barrier is a matter of time.)
#[test]
#[ignore = "needs root and loop mounts"]
fn h24_many_small_directories_share_their_barriers() {
    require_root();
    let (from, to) = (common::fs::scratch(), LoopFs::new(FsType::Ext4, 128 << 20));
    Tree::new().files(300, |i| (format!("d/{i}/f"), "x".into())).build(&from);
    (0..300).fold(Tree::new(), |tree, i| tree.dir(format!("d/{i}"))).build(to.path());
    let pmove = common::run::Pmove::new().cwd(&from).args(["--merge", "-j", "4", "d"]).arg(to.path());
    let (output, counts) = Strace::new().count(pmove);
    output.ok();
    let (single, whole) = (counts.of("fsync"), counts.of("syncfs"));
    assert!(single < 100, "{single} files and directories were synced singly");
    assert!(whole < 600, "{whole} barriers for 300 files");
    must(std::process::Command::new("test").arg("!").arg("-e").arg(from.join("d")));
}
