//! `--merge`: directories go into existing ones, file by file.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use common::snapshot::{Snapshot, assert_same};
use common::tree::{Tree, nest};
use promises::{Sides, across, back, everywhere, expect, found, names, one_device, ordinarily};

/// A source and a target that share some directories, and one file.
fn build(sides: &Sides) {
    let source = Tree::new().file("d/new", "1").file("d/sub/both", "2").mtime(2_000, 0).file("d/sub/deep/new", "3");
    source.file("d/missing/f", "4").dir("d/empty").build(&sides.from);
    Tree::new().file("d/old", "5").file("d/sub/both", "6").mtime(3_000, 0).dir("d/empty").build(&sides.to);
}

const ARRIVED: [(&str, &str); 9] = [
    ("d", "/"),
    ("d/empty", "/"),
    ("d/missing", "/"),
    ("d/missing/f", "4"),
    ("d/new", "1"),
    ("d/old", "5"),
    ("d/sub", "/"),
    ("d/sub/deep", "/"),
    ("d/sub/deep/new", "3"),
];

#[test]
fn p3_without_a_policy_a_conflict_is_a_failure_and_the_rest_is_merged() {
    for sides in everywhere() {
        build(&sides);
        let output = sides.pmove().args(["--merge", "d"]).arg(&*sides.to).run();
        let said =
            format!("pmove: not replacing '{}'\npmove: 3 moved, 1 failed\n", sides.to.join("d/sub/both").display());
        output.fails_with(1).stderr_is(&said);
        expect(&sides.to, &[&ARRIVED[..], &[("d/sub/both", "6")]].concat());
        expect(&sides.from, &[("d", "/"), ("d/sub", "/"), ("d/sub/both", "2")]);
        sides.assert_no_litter();
    }
}

/// A policy's options, what is at the target of the one conflict then, and whether the source is gone.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], bool);

#[test]
fn each_policy_decides_file_by_file() {
    let cases: [Case<'_>; 7] = [
        (&["-f"], &[("d/sub/both", "2")], true),
        (&["--on-conflict=overwrite"], &[("d/sub/both", "2")], true),
        (&["-n"], &[("d/sub/both", "6")], false),
        (&["--on-conflict=skip"], &[("d/sub/both", "6")], false),
        (&["-u"], &[("d/sub/both", "6")], false),
        (&["--on-conflict=keep-both"], &[("d/sub/both", "6"), ("d/sub/both (1)", "2")], true),
        (&["-f", "--backup=numbered"], &[("d/sub/both", "2"), ("d/sub/both.~1~", "6")], true),
    ];
    for (policy, both, is_gone) in cases {
        for sides in everywhere() {
            build(&sides);
            sides.pmove().arg("--merge").args(policy).arg("d").arg(&*sides.to).run().ok().stderr_is("");
            expect(&sides.to, &[&ARRIVED[..], both].concat());
            let left: &[(&str, &str)] = if is_gone { &[] } else { &[("d", "/"), ("d/sub", "/"), ("d/sub/both", "2")] };
            expect(&sides.from, left);
            sides.assert_no_litter();
        }
    }
}

#[test]
fn what_is_identical_is_dropped_and_what_is_not_stays() {
    for sides in everywhere() {
        let tree = |same: &str| Tree::new().file("d/a/same", "same").mtime(5, 0).file("d/a/other", same).mtime(5, 0);
        tree("one").build(&sides.from);
        tree("two").build(&sides.to);
        let output = sides.pmove().args(["--merge", "--on-conflict=drop-identical", "d"]).arg(&*sides.to).run();
        output.fails_with(1);
        expect(&sides.from, &[("d", "/"), ("d/a", "/"), ("d/a/other", "one")]);
        expect(&sides.to, &[("d", "/"), ("d/a", "/"), ("d/a/other", "two"), ("d/a/same", "same")]);
    }
}

#[test]
fn existing_directories_keep_what_they_are_and_missing_ones_bring_what_they_are() {
    for sides in everywhere() {
        Tree::new().file("d/sub/f", "f").dir("d").mode(0o700).dir("d/new").mode(0o2750).mtime(7, 7).build(&sides.from);
        Tree::new().dir("d/sub").mode(0o711).dir("d").mode(0o751).build(&sides.to);
        sides.pmove().args(["--merge", "d"]).arg(&*sides.to).run().ok().stderr_is("");
        let mode = |path: &str| sides.to.join(path).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!([mode("d"), mode("d/sub"), mode("d/new")], [0o751, 0o711, 0o2750]);
        assert_eq!(sides.to.join("d/new").metadata().unwrap().mtime(), 7);
        assert!(names(&sides.from).is_empty());
    }
}

#[test]
fn each_step_is_told() {
    for (sides, verb) in [(one_device(), "renamed"), (across(), "copied")] {
        Tree::new().file("d/sub/f", "f").build(&sides.from);
        Tree::new().dir("d/sub").build(&sides.to);
        let output = sides.pmove().args(["--merge", "-v", "d"]).arg(&*sides.to).run();
        let to = sides.to.display();
        let removed = if verb == "copied" { "removed 'd/sub/f'\n" } else { "" };
        output.ok().stdout_is(format!(
            "{verb} 'd/sub/f' -> '{to}/d/sub/f'\n{removed}removed directory 'd/sub'\nremoved directory 'd'\n"
        ));
    }
}

#[test]
fn h35_a_link_where_a_directory_would_go_is_not_merged_into() {
    for sides in everywhere() {
        Tree::new().file("d/s/f", "f").build(&sides.from);
        Tree::new().file("elsewhere/g", "g").symlink("d/s", "../elsewhere").build(&sides.to);
        for policy in [&[][..], &["-f"]] {
            let output = sides.pmove().arg("--merge").args(policy).arg("d").arg(&*sides.to).run();
            let to = sides.to.join("d/s");
            output.fails_with(1);
            let said = format!("pmove: cannot overwrite non-directory '{}' with directory 'd/s'\n", to.display());
            assert!(output.stderr_text().starts_with(&said), "{}", output.dump());
        }
        expect(&sides.from, &[("d", "/"), ("d/s", "/"), ("d/s/f", "f")]);
        expect(&sides.to, &[("d", "/"), ("d/s", "-> ../elsewhere"), ("elsewhere", "/"), ("elsewhere/g", "g")]);
    }
}

#[test]
fn h35_a_named_destination_may_be_a_link() {
    for sides in everywhere() {
        Tree::new().file("d/f", "f").build(&sides.from);
        Tree::new().file("real/d/g", "g").symlink("link", "real").build(&sides.to);
        sides.pmove().args(["--merge", "d"]).arg(sides.to.join("link")).run().ok().stderr_is("");
        expect(&sides.to.join("real"), &[("d", "/"), ("d/f", "f"), ("d/g", "g")]);
    }
}

#[test]
fn files_and_directories_do_not_replace_each_other() {
    for sides in everywhere() {
        Tree::new().file("d/a/f", "1").file("d/b", "2").build(&sides.from);
        Tree::new().file("d/a", "3").file("d/b/g", "4").build(&sides.to);
        for policy in [&[][..], &["-f"], &["--on-conflict=drop-identical"]] {
            let output = sides.pmove().arg("--merge").args(policy).arg("d").arg(&*sides.to).run();
            let text = output.fails_with(1).stderr_text();
            assert!(
                text.contains("/d/a' with directory 'd/a'") && text.contains("/d/b' with non-directory 'd/b'"),
                "{text}"
            );
        }
        sides.pmove().args(["--merge", "-n", "d"]).arg(&*sides.to).run().ok().stderr_is("");
        expect(&sides.from, &[("d", "/"), ("d/a", "/"), ("d/a/f", "1"), ("d/b", "2")]);
        expect(&sides.to, &[("d", "/"), ("d/a", "3"), ("d/b", "/"), ("d/b/g", "4")]);
    }
}

#[test]
fn h08_of_two_sources_the_first_wins_whatever_the_policy_and_the_threads() {
    for jobs in ["1", "8"] {
        for (policy, code) in [(&["-f"][..], 1), (&["-n"], 0), (&[], 1), (&["--on-conflict=keep-both"], 0)] {
            for sides in everywhere() {
                // `whole` is not at the target before, so that it is moved there in one piece.
                let tree = Tree::new().files(40, |i| (format!("a/d/f{i}"), "a".into()));
                let tree = tree.files(40, |i| (format!("b/d/f{}", i + 20), "b".into()));
                tree.file("a/d/whole/x/f", "a")
                    .file("b/d/whole/x/f", "b")
                    .file("b/d/whole/x/g", "b")
                    .build(&sides.from);
                Tree::new().file("d/f0", "old").file("d/f59", "old").build(&sides.to);
                let output = sides.pmove().args(["--merge", "-j", jobs]).args(policy).args(["a/d", "b/d"]);
                output.arg(&*sides.to).run().fails_with(code);
                let found = found(&sides.to.join("d"));
                for i in 1..40 {
                    assert_eq!(found[&format!("f{i}")], "a", "f{i} {policy:?}");
                }
                for i in 40..59 {
                    assert_eq!(found[&format!("f{i}")], "b", "f{i} {policy:?}");
                }
                let old = if policy == ["-f"] { ["a", "b"] } else { ["old", "old"] };
                assert_eq!([&found["f0"], &found["f59"]], old);
                assert_eq!([&found["whole/x/f"], &found["whole/x/g"]], ["a", "b"]);
                assert_eq!(found.contains_key("whole/x/f (1)"), policy == ["--on-conflict=keep-both"]);
            }
        }
    }
}

#[test]
fn patterns_and_lists_merge_too() {
    for sides in everywhere() {
        Tree::new().file("a/d/f", "1").file("b/d/g", "2").build(&sides.from);
        Tree::new().file("d/h", "3").build(&sides.to);
        sides.pmove().args(["--merge", "*/d"]).arg(&*sides.to).run().ok().stderr_is("");
        expect(&sides.to, &[("d", "/"), ("d/f", "1"), ("d/g", "2"), ("d/h", "3")]);
        Tree::new().file("c/d/i", "4").file("c/d/j", "5").build(&sides.from);
        // As `find` lists them: what has gone with its directory counts as moved.
        let list = "c/d\nc/d/i\nc/d/j\n";
        sides.pmove().args(["--merge", "-"]).arg(&*sides.to).stdin(list).run().ok().stderr_is("");
        assert_eq!([&found(&sides.to)["d/i"], &found(&sides.to)["d/j"]], ["4", "5"]);
    }
}

#[test]
fn what_a_merge_has_left_does_not_go_elsewhere_because_a_list_names_it_too() {
    for (policy, code) in [(&["-n"][..], 0), (&[], 1)] {
        for sides in everywhere() {
            build(&sides);
            let list = "d\nd/new\nd/sub\nd/sub/both\nd/sub/deep/new\nd/missing/f\n";
            let output = sides.pmove().arg("--merge").args(policy).arg("-").arg(&*sides.to).stdin(list).run();
            output.fails_with(code);
            expect(&sides.from, &[("d", "/"), ("d/sub", "/"), ("d/sub/both", "2")]);
            expect(&sides.to, &[&ARRIVED[..], &[("d/sub/both", "6")]].concat());
        }
    }
}

#[test]
fn each_conflict_is_asked_about() {
    for sides in everywhere() {
        build(&sides);
        Tree::new().file("d/other", "7").build(&sides.from);
        Tree::new().file("d/other", "8").build(&sides.to);
        let output = sides.pmove().args(["--merge", "-i", "d"]).arg(&*sides.to).stdin("y\nn\n").run();
        output.fails_with(1);
        assert_eq!(output.stderr_text().matches("overwrite ").count(), 2, "{}", output.dump());
        let (from, to) = (found(&sides.from), found(&sides.to));
        let went = [("d/other", "7"), ("d/sub/both", "2")].map(|(path, new)| to[path] == new);
        assert!(went[0] != went[1], "{to:?}");
        assert_eq!([from.contains_key("d/other"), from.contains_key("d/sub/both")], went.map(|went| !went));
    }
}

#[test]
fn a_new_name_is_merged_into_as_well() {
    for sides in everywhere() {
        Tree::new().file("d/f", "1").build(&sides.from);
        Tree::new().file("e/g", "2").build(&sides.to);
        sides.pmove().args(["--merge", "-T", "d"]).arg(sides.to.join("e")).run().ok().stderr_is("");
        expect(&sides.to, &[("e", "/"), ("e/f", "1"), ("e/g", "2")]);
        assert!(names(&sides.from).is_empty());
    }
}

#[test]
fn h07_nothing_is_merged_into_itself() {
    let sides = one_device();
    Tree::new().file("d/f", "f").file("d/x/d/g", "g").build(&sides.from);
    for (target, said) in [("d/x", "to a subdirectory of itself"), (".", "not replacing")] {
        let output = sides.pmove().args(["--merge", "d", target]).run();
        assert!(output.fails_with(1).stderr_text().contains(said), "{}", output.dump());
    }
    expect(&sides.from, &[("d", "/"), ("d/f", "f"), ("d/x", "/"), ("d/x/d", "/"), ("d/x/d/g", "g")]);
    // Upwards is fine: what comes up may be called like what it comes out of.
    sides.pmove().args(["--merge", "d/x/d", "."]).run().ok().stderr_is("");
    expect(&sides.from, &[("d", "/"), ("d/f", "f"), ("d/g", "g"), ("d/x", "/")]);
}

#[test]
fn h43_links_are_kept_across_merged_directories() {
    for sides in everywhere() {
        let tree = (0..30).fold(Tree::new(), |tree, i| tree.file(format!("d/{}/f{i}", i % 10), format!("{i}")));
        let link = |i: usize| (format!("d/{}/l{i}", (i + 3) % 10), format!("d/{}/f{i}", i % 10));
        let tree = (0..30).map(link).fold(tree, |tree, (link, file)| tree.hard_link(link, file));
        // One more name in a directory that moves whole.
        let tree = (0..5).fold(tree, |tree, i| tree.hard_link(format!("d/whole/w{i}"), format!("d/{}/f{i}", i % 10)));
        tree.build(&sides.from);
        let whole = Snapshot::of(sides.from.join("d"));
        (0..10).fold(Tree::new(), |tree, i| tree.dir(format!("d/{i}"))).build(&sides.to);
        sides.pmove().args(["--merge", "d"]).arg(&*sides.to).run().ok().stderr_is("");
        let without_times = |snapshot: Snapshot| snapshot.edit(|_, entry| entry.mtime = (0, 0));
        assert_same(&without_times(whole), &without_times(Snapshot::of(sides.to.join("d"))));
        assert!(names(&sides.from).is_empty());
    }
}

#[test]
fn h18_what_cannot_be_read_stays_and_the_rest_is_merged() {
    for sides in everywhere() {
        let tree = Tree::new().file("d/a/f", "1").file("d/shut/g", "2").file("d/z/h", "3").dir("d/shut").mode(0o000);
        tree.build(&sides.from);
        Tree::new().dir("d/a").dir("d/shut").dir("d/z").build(&sides.to);
        sides.give_away();
        let output = ordinarily(sides.pmove().args(["--merge", "d"]).arg(&*sides.to)).run();
        output.fails_with(1);
        assert!(
            output.stderr_text().starts_with("pmove: cannot read directory 'd/shut': Permission denied\n"),
            "{}",
            output.dump()
        );
        fs::set_permissions(sides.from.join("d/shut"), fs::Permissions::from_mode(0o755)).unwrap();
        expect(&sides.from, &[("d", "/"), ("d/shut", "/"), ("d/shut/g", "2")]);
        expect(&sides.to, &[("d", "/"), ("d/a", "/"), ("d/a/f", "1"), ("d/shut", "/"), ("d/z", "/"), ("d/z/h", "3")]);
        sides.assert_no_litter();
    }
}

#[test]
fn h20_h21_what_is_not_empty_stays_and_is_not_asked_to_go() {
    for sides in everywhere() {
        Tree::new().file("d/a/f", "1").file("d/b/g", "2").file("beside", "3").dir("empty").build(&sides.from);
        Tree::new().dir("d/a").file("d/b/g", "4").build(&sides.to);
        sides.pmove().args(["--merge", "-n", "d"]).arg(&*sides.to).run().ok().stderr_is("");
        expect(&sides.from, &[("beside", "3"), ("d", "/"), ("d/b", "/"), ("d/b/g", "2"), ("empty", "/")]);
    }
}

#[test]
fn depth_is_no_limit_and_few_descriptors_are_enough() {
    for sides in [one_device(), across()] {
        for dir in [&sides.from, &sides.to] {
            fs::create_dir(dir.join("d")).unwrap();
            nest(&dir.join("d"), "deep", 700).unwrap();
        }
        // As deep as a path can say in one go.
        let deep = vec!["deep"; 700].join("/");
        Tree::new().file(format!("d/{deep}/f"), "f").file("d/deep/deep/g", "g").build(&sides.from);
        sides.pmove().args(["--merge", "d"]).arg(&*sides.to).limit("-n 64").run().ok().stderr_is("");
        assert_eq!(fs::read(sides.to.join("d").join(&deep).join("f")).unwrap(), b"f");
        assert!(names(&sides.from).is_empty());
    }
}

#[test]
fn h82_deeper_than_any_path() {
    for sides in [one_device(), across()] {
        for dir in [&sides.from, &sides.to] {
            nest(dir, "deep", 2_000).unwrap();
        }
        sides.pmove().args(["--merge", "deep"]).arg(&*sides.to).run().ok().stderr_is("");
        assert!(names(&sides.from).is_empty());
    }
}

#[test]
fn h82_few_descriptors_are_enough_for_many_directories() {
    for (sides, limit) in everywhere().into_iter().zip(["-n 64", "-n 64", "-n 48"]) {
        let dir = |i: usize| format!("d/{}/{}", i % 7, i % 150);
        let tree = Tree::new().files(600, |i| (format!("{}/f{i}", dir(i)), format!("{i}")));
        // Files of directories that move whole would have to wait for each other, open.
        let tree = (0..40)
            .step_by(2)
            .fold(tree, |tree, i| tree.hard_link(format!("{}/l{i}", dir(i + 50)), format!("{}/f{i}", dir(i))));
        tree.build(&sides.from);
        let whole = Snapshot::of(sides.from.join("d"));
        // Half of the directories are there.
        (0..150).step_by(2).fold(Tree::new(), |tree, i| tree.dir(dir(i))).build(&sides.to);
        sides.pmove().args(["--merge", "d"]).arg(&*sides.to).limit(limit).run().ok().stderr_is("");
        let without_times = |snapshot: Snapshot| snapshot.edit(|_, entry| entry.mtime = (0, 0));
        assert_same(&without_times(whole), &without_times(Snapshot::of(sides.to.join("d"))));
        assert!(names(&sides.from).is_empty());
        sides.assert_no_litter();
    }
}

#[test]
fn the_number_of_workers_changes_nothing() {
    for policy in [&["-f"][..], &["-n"], &["--on-conflict=keep-both"], &[]] {
        for make in [one_device, across, back] {
            let [one, eight] = ["1", "8"].map(|jobs| {
                let sides = make();
                let tree = Tree::new().files(300, |i| (format!("d/{}/{}/f{i}", i % 5, i % 11), format!("new {i}")));
                tree.build(&sides.from);
                let kept = |i: usize| (format!("d/{}/{}/f{i}", i % 5, i % 11), format!("old {i}"));
                Tree::new().files(20, |i| kept(i * 2)).file("d/4/7", "in the way").build(&sides.to);
                sides.pmove().args(["--merge", "-j", jobs]).args(policy).arg("d").arg(&*sides.to).run();
                sides.assert_no_litter();
                (found(&sides.from), found(&sides.to))
            });
            assert_eq!(one, eight, "{policy:?}");
        }
    }
}

#[test]
fn a_dry_run_says_what_would_be_merged_and_changes_nothing() {
    for sides in everywhere() {
        build(&sides);
        let before = (found(&sides.from), found(&sides.to));
        let output = sides.pmove().args(["--merge", "--dry-run", "-n", "d"]).arg(&*sides.to).run();
        let to = sides.to.display();
        let mut lines: Vec<String> = output.ok().stdout_text().lines().map(str::to_owned).collect();
        lines.sort();
        let expected = ["d/missing", "d/new", "d/sub/deep"].map(|path| format!("would move '{path}' -> '{to}/{path}'"));
        assert_eq!(lines, expected);
        assert_eq!(before, (found(&sides.from), found(&sides.to)));
    }
}
