//! P4: no symlink, planted or swapped meanwhile, makes pmove read, write, chmod or delete anything outside the
//! trees that it was given.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use common::fs::{is_root, ordinary_user, scratch};
use common::run::{Output, Pmove};
use common::snapshot::{Snapshot, assert_same};
use common::tree::Tree;
use promises::held::held_after;
use promises::{Sides, across, back, everywhere, files, give_away, names, ordinarily, watched};

/// What must neither be changed nor turn up elsewhere.
const SECRET: &[u8] = b"secret";

fn outside() -> (common::fs::Scratch, Snapshot) {
    let outside = scratch();
    Tree::new().file("f0", SECRET).mode(0o600).file("d/f1", SECRET).file("victim", SECRET).dir("empty").build(&outside);
    let snapshot = Snapshot::of(&*outside);
    (outside, snapshot)
}

#[track_caller]
fn assert_no_secret(dir: &Path) {
    for path in promises::entries(dir) {
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            assert_no_secret(&path);
        } else if kind.is_file() {
            assert_ne!(fs::read(&path).unwrap(), SECRET, "{} holds what lies outside", path.display());
        }
    }
}

#[test]
fn h16_a_link_to_a_directory_is_followed_as_destination() {
    for sides in everywhere() {
        for (link, target) in [("a", "link"), ("b", "link/"), ("c", "link/.")] {
            Tree::new().file(link, link).build(&sides.from);
            let at = sides.to.join("link");
            if !at.is_symlink() {
                fs::create_dir(sides.to.join("real")).unwrap();
                symlink("real", &at).unwrap();
            }
            sides.pmove().arg(link).arg(sides.to.join(target)).run().ok();
            assert_eq!(fs::read(sides.to.join("real").join(link)).unwrap(), link.as_bytes());
        }
        // As a new name it is replaced itself.
        Tree::new().file("d", "d").build(&sides.from);
        sides.pmove().args(["-T", "d"]).arg(sides.to.join("link")).run().ok();
        assert!(sides.to.join("link").symlink_metadata().unwrap().is_file());
        assert_eq!(names(&sides.to.join("real")), ["a", "b", "c"]);
    }
}

#[test]
fn h16_a_link_to_a_directory_moves_as_a_link() {
    let (outside, before) = outside();
    for sides in everywhere() {
        symlink(&*outside, sides.from.join("link")).unwrap();
        // With a slash it names the directory, which no rename moves, and of which nothing may be moved.
        let output = sides.pmove().arg("link/").arg(&*sides.to).run();
        let to = sides.to.display();
        output.fails_with(1).stderr_is(&format!("pmove: cannot move 'link/' to '{to}/link': Not a directory\n"));
        assert_eq!((names(&sides.from), names(&sides.to)), (vec!["link".into()], vec![]));
        sides.pmove().arg("link").arg(&*sides.to).run().ok();
        assert_eq!(fs::read_link(sides.to.join("link")).unwrap(), *outside);
        assert_same(&before, &Snapshot::of(&*outside));
    }
}

#[test]
fn h17_links_in_a_tree_stay_links() {
    let (outside, before) = outside();
    for sides in everywhere() {
        let tree = Tree::new().file("t/f", "x").symlink("t/out", &*outside).symlink("t/sub/up", "..");
        tree.symlink("t/sub/self", "self").symlink("t/etc", "/etc").build(&sides.from);
        let whole = Snapshot::of(sides.from.join("t"));
        sides.pmove().arg("t").arg(&*sides.to).run().ok();
        assert_same(&whole, &Snapshot::of(sides.to.join("t")));
        assert_same(&before, &Snapshot::of(&*outside));
        assert!(names(&sides.from).is_empty());
    }
}

#[test]
fn h78_patterns_do_not_follow_links_that_they_find() {
    let (outside, before) = outside();
    for sides in everywhere() {
        Tree::new().file("d/f0", "ours").symlink("link", &*outside).symlink("d/in", &*outside).build(&sides.from);
        for pattern in ["*/f0", "**/f0", "{li?k,d}/f*", "[l]*/f0", "d/*/f0", "**/d/f1"] {
            let output = sides.pmove().args(["--allow-empty", "-g", pattern]).arg(&*sides.to).run();
            assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
            assert_same(&before, &Snapshot::of(&*outside));
            assert_no_secret(&sides.to);
            if sides.to.join("f0").exists() {
                fs::rename(sides.to.join("f0"), sides.from.join("d").join("f0")).unwrap_or_else(|_| {
                    fs::write(sides.from.join("d/f0"), "ours").unwrap();
                    fs::remove_file(sides.to.join("f0")).unwrap();
                });
            }
        }
    }
}

#[test]
fn p4_a_link_in_the_part_that_the_user_wrote_is_followed() {
    for sides in everywhere() {
        Tree::new().file("real/a.csv", "a").file("real/b.csv", "b").symlink("link", "real").build(&sides.from);
        sides.pmove().arg("link/a.csv").arg(&*sides.to).run().ok();
        sides.pmove().arg("link/*.csv").arg(&*sides.to).run().ok();
        assert_eq!(names(&sides.to), ["a.csv", "b.csv"]);
        assert_eq!(names(&sides.from), ["link", "real"]);
    }
}

#[test]
fn h31_a_link_at_the_target_is_replaced_not_written_through() {
    let (outside, before) = outside();
    for sides in everywhere() {
        Tree::new().file("f", "ours").file("big", vec![1; 300_000]).file("t/x", "ours").build(&sides.from);
        for name in ["f", "big"] {
            symlink(outside.join("victim"), sides.to.join(name)).unwrap();
        }
        symlink(outside.join("empty"), sides.to.join("t")).unwrap();
        let output = sides.pmove().args(["f", "big", "t"]).arg(&*sides.to).run();
        output.fails_with(1).stderr_has("cannot overwrite non-directory");
        assert_eq!(fs::read(sides.to.join("f")).unwrap(), b"ours");
        assert!(sides.to.join("big").symlink_metadata().unwrap().is_file());
        assert!(sides.to.join("t").is_symlink() && sides.from.join("t/x").exists());
        assert_same(&before, &Snapshot::of(&*outside));
    }
}

#[test]
fn h31_a_planted_stage_directory_is_not_used() {
    let (outside, before) = outside();
    let uid = rustix::process::geteuid().as_raw();
    for sides in [across(), back()] {
        let planted = sides.to.join(format!(".pmove-{uid}"));
        let plants: [&dyn Fn(); 3] =
            [&|| symlink(outside.join("empty"), &planted).unwrap(), &|| fs::write(&planted, "").unwrap(), &|| {
                fs::create_dir(&planted).unwrap();
                fs::set_permissions(&planted, fs::Permissions::from_mode(0o777)).unwrap();
            }];
        for plant in plants {
            plant();
            Tree::new().file("f", "x").symlink("l", "x").file("t/a/b", "x").build(&sides.from);
            // Somebody else can write to a planted directory: nothing may be staged in it, at no time.
            let is_unused = || assert!(fs::read_dir(&planted).is_err() || names(&planted).is_empty());
            let run = || sides.pmove().args(["f", "l", "t"]).arg(&*sides.to).run().ok().code;
            watched(is_unused, run);
            assert_eq!(fs::read(sides.to.join("t/a/b")).unwrap(), b"x");
            let others = || names(&sides.to).into_iter().filter(|name| *name != format!(".pmove-{uid}"));
            assert_eq!(others().collect::<Vec<_>>(), ["f", "l", "t"]);
            assert_same(&before, &Snapshot::of(&*outside));
            for name in ["f", "l"] {
                fs::remove_file(sides.to.join(name)).unwrap();
            }
            fs::remove_dir_all(sides.to.join("t")).unwrap();
            fs::remove_file(&planted).or_else(|_| fs::remove_dir(&planted)).unwrap();
        }
    }
}

/// Exchanges two names, again and again.
fn swap(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
    // They are gone once they are moved.
    renameat_with(CWD, &*one, CWD, &*other, RenameFlags::EXCHANGE).ok();
}

/// Moves while a directory of the sources is exchanged for a link to the outside, and back.
fn move_during_swaps(sides: &Sides, args: &[&str]) {
    let (outside, before) = outside();
    for round in 0..15 {
        let tree = Tree::new().files(60, |i| (format!("src/d{}/f{i}", i % 3), format!("ours {round} {i}")));
        tree.symlink("src/swap", &*outside).build(&sides.from);
        let (dir, link) = (sides.from.join("src/d1"), sides.from.join("src/swap"));
        let (_, swaps) = watched(|| swap(&dir, &link), || sides.pmove().args(args).arg(&*sides.to).run());
        assert!(swaps > 1);
        assert_same(&before, &Snapshot::of(&*outside));
        assert_no_secret(&sides.to);
        for side in [&sides.from, &sides.to] {
            for path in promises::entries(side) {
                let is_dir = path.symlink_metadata().unwrap().is_dir();
                if is_dir { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
            }
        }
    }
}

#[test]
fn h34_a_directory_swapped_for_a_link_leads_nowhere_in_a_tree() {
    for sides in [across(), back()] {
        move_during_swaps(&sides, &["src"]);
    }
}

#[test]
fn h34_a_directory_swapped_for_a_link_leads_nowhere_in_a_pattern() {
    for sides in everywhere() {
        move_during_swaps(&sides, &["src/*/f*"]);
        move_during_swaps(&sides, &["src/**/f*"]);
    }
}

/// Moves by `args`, and once a directory has been listed, exchanges `one` and `other` for good.
fn move_and_swap_after_listing(sides: &Sides, args: &[&str], one: &str, other: &str) -> Output {
    let pmove = sides.pmove().args(["-j", "1"]).args(args).arg(&*sides.to);
    let held = held_after(pmove, "getdents64", 1);
    swap(&sides.from.join(one), &sides.from.join(other));
    let output = held.go_on();
    assert!(matches!(output.code, Some(0 | 1)), "{}", output.dump());
    output
}

#[test]
#[ignore = "needs strace"]
fn h34_a_directory_swapped_after_its_listing_is_not_entered() {
    let (outside, before) = outside();
    for make in [across, back, promises::one_device] {
        for args in ["src", "src/*/f*", "src/**/f*"] {
            let sides = make();
            if args == "src" && sides.is_one_device() {
                // Renamed as it is: nothing is listed.
                continue;
            }
            Tree::new().file("src/d/f0", "ours").symlink("link", &*outside).build(&sides.from);
            let output = move_and_swap_after_listing(&sides, &[args], "src/d", "link");
            // What fails is to open it, not what was found in it.
            assert!(args != "src" || !output.stderr_text().contains("src/d/"), "{}", output.dump());
            assert_no_secret(&sides.to);
            assert_same(&before, &Snapshot::of(&*outside));
        }
    }
}

#[test]
#[ignore = "needs strace"]
fn h32_a_file_swapped_after_its_listing_is_not_read_through() {
    let (outside, before) = outside();
    for make in [across, back] {
        for args in ["src", "src/*"] {
            let sides = make();
            Tree::new().file("src/f", "ours").symlink("link", outside.join("victim")).build(&sides.from);
            move_and_swap_after_listing(&sides, &[args], "src/f", "link");
            assert_no_secret(&sides.to);
            assert_same(&before, &Snapshot::of(&*outside));
        }
    }
}

#[test]
fn h32_a_file_swapped_for_a_link_is_not_read_through() {
    let (outside, before) = outside();
    for sides in [across(), back()] {
        for round in 0..60 {
            fs::write(sides.from.join("f"), format!("ours {round}")).unwrap();
            symlink(outside.join("victim"), sides.from.join("link")).unwrap();
            let (file, link) = (sides.from.join("f"), sides.from.join("link"));
            watched(|| swap(&file, &link), || sides.pmove().arg("f").arg(&*sides.to).run());
            assert_no_secret(&sides.to);
            assert_same(&before, &Snapshot::of(&*outside));
            for path in [promises::entries(&sides.from), promises::entries(&sides.to)].concat() {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn p4_moved_links_are_not_dressed_through() {
    // Owner, mode, times and attributes of a link are its own.
    let (outside, before) = outside();
    for sides in [across(), back()] {
        symlink(outside.join("victim"), sides.from.join("l")).unwrap();
        common::tree::set_mtime(&sides.from.join("l"), 77, 7).unwrap();
        sides.pmove().arg("l").arg(&*sides.to).run().ok();
        assert_eq!(sides.to.join("l").symlink_metadata().unwrap().mtime(), 77);
        assert_same(&before, &Snapshot::of(&*outside));
    }
}

#[test]
fn p4_a_stage_is_closed_to_others() {
    // Whoever else can write to the target directory must not be able to get at what is staged.
    for sides in [across(), back()] {
        Tree::new().file("t/f", vec![1; 30 << 20]).build(&sides.from);
        fs::set_permissions(&*sides.to, fs::Permissions::from_mode(0o1777)).unwrap();
        let is_closed = || {
            for path in promises::entries(&sides.to) {
                let Ok(metadata) = path.symlink_metadata() else { continue };
                let is_stage = path.file_name().unwrap().as_bytes().starts_with(b".pmove-");
                assert!(!is_stage || metadata.mode() & 0o077 == 0, "{:o}", metadata.mode());
            }
        };
        let run = || sides.pmove().umask(0).arg("t").arg(&*sides.to).run().ok().code;
        watched(is_closed, run);
    }
}

#[test]
#[ignore = "needs root and loop mounts"]
fn h31_a_stage_directory_of_another_user_is_not_used() {
    common::fs::require_root();
    for sides in [across(), back()] {
        let user = ordinary_user();
        let planted = sides.to.join(".pmove-0");
        fs::create_dir(&planted).unwrap();
        give_away(&planted);
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o700)).unwrap();
        Tree::new().file("f", "x").file("t/a/b", "x").build(&sides.from);
        let is_unused = || assert!(names(&planted).is_empty());
        watched(is_unused, || sides.pmove().args(["f", "t"]).arg(&*sides.to).run().ok().code);
        assert_eq!(planted.metadata().unwrap().uid(), user.0);
        assert_eq!(names(&sides.to), [".pmove-0", "f", "t"]);
    }
}

#[test]
fn p4_a_directory_that_cannot_be_read_can_still_be_a_target() {
    // Write and search permission are all that mv needs.
    for sides in everywhere() {
        Tree::new().file("f", "x").file("t/g", "y").build(&sides.from);
        sides.give_away();
        fs::set_permissions(&*sides.to, fs::Permissions::from_mode(0o300)).unwrap();
        let pmove = Pmove::new().args(["f", "t"]).arg(&*sides.to).cwd(&sides.from);
        ordinarily(pmove).run().ok();
        fs::set_permissions(&*sides.to, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(files(&sides.to)["f"], b"x");
        assert_eq!(files(&sides.to.join("t"))["g"], b"y");
        sides.assert_no_litter();
        assert!(is_root() || names(&sides.from).is_empty());
    }
}
