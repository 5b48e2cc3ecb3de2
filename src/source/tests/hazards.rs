//! Walks that meet symlinks, the target directory, other mounts, and changes under their feet.

use super::*;

#[test]
fn h16_symlinks_are_followed_only_where_they_are_named() {
    let root = tree(&["real/f", "real/sub/g", "other/"]);
    symlink("real", root.path().join("link")).unwrap();
    symlink("../real", root.path().join("other/link")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    assert_eq!(found(&root, &["link/*"]), ["link/f", "link/sub"]);
    assert_eq!(found(&root, &["{link,missing}/*"]), ["link/f", "link/sub"]);
    assert_eq!(found(&root, &["other/**/f"]), ["no match for pattern 'other/**/f'"]);
    assert_eq!(found(&root, &["*/f"]), ["real/f"]);
    assert_eq!(found(&root, &["*/"]), ["other", "real"]);
    assert_eq!(found(&root, &["dangl*", "dangling"]), ["dangling"]);
    let hints = |pattern| globs(&root, &[pattern]).into_stream().map(|found| found.unwrap().hint).collect::<Vec<_>>();
    assert_eq!(hints("l*"), [Hint::Other]);
    assert_eq!(hints("link/f*"), [Hint::Regular]);
    assert_eq!(hints("re*"), [Hint::Directory]);
    assert_eq!(hints("dangling"), [Hint::Other]);
}

#[test]
fn h05_the_target_directory_is_never_walked_nor_moved() {
    let root = tree(&["a.csv", "done/old.csv", "done/sub/old.csv", "x/b.csv"]);
    symlink("done", root.path().join("link")).unwrap();
    let skip = Some(identity(&root.path().join("done")));
    let said = |patterns: &[&str]| said(&root, Sources { skip, ..globs(&root, patterns) });
    assert_eq!(said(&["**/*.csv"]), ["a.csv", "x/b.csv"]);
    assert_eq!(said(&["*"]), ["a.csv", "link", "x"]);
    assert_eq!(said(&["do*"]), ["no match for pattern 'do*'"]);
    // What lies directly in it has arrived: success, and nothing to do. What lies deeper can be moved up.
    for directory in ["done", "link", "x/../done"] {
        assert!(said(&[&format!("{directory}/*.csv")]).is_empty());
        assert!(said(&[&format!("{directory}/*")]).is_empty());
        assert_eq!(said(&[&format!("{directory}/**/*.csv")]), [format!("{directory}/sub/old.csv")]);
        assert_eq!(said(&[&format!("{directory}/sub/*")]), [format!("{directory}/sub/old.csv")]);
    }
}

#[test]
fn files_may_be_moved_away_while_the_walk_goes_on() {
    let names: Vec<String> = (0..40).flat_map(|d| (0..60).map(move |f| format!("d{d}/f{f}.csv"))).collect();
    let root = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let away = tempfile::tempdir().unwrap();
    let mut moved = 0;
    for candidate in globs(&root, &["**/*.csv"]).into_stream() {
        let candidate = candidate.unwrap();
        fs::rename(OsStr::from_bytes(&candidate.path), away.path().join(moved.to_string())).unwrap();
        moved += 1;
    }
    assert_eq!(moved, names.len());
}

#[test]
fn a_directory_that_vanishes_is_no_error() {
    let root = tree(&["a/1/f", "a/2/f", "a/3/f"]);
    let mut stream = globs(&root, &["a/*/*"]).into_stream();
    stream.next().unwrap().unwrap();
    fs::remove_dir_all(root.path().join("a")).unwrap();
    fs::write(root.path().join("a"), "").unwrap();
    assert!(stream.next().is_none());
}

#[test]
fn an_unreadable_directory_is_named_and_the_rest_is_found() {
    let root = tree(&["bad/f", "good/f"]);
    let bad = root.path().join("bad");
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&bad).is_ok() {
        // Root reads everything.
        return;
    }
    let unreadable = "cannot read directory 'bad': Permission denied";
    assert_eq!(found(&root, &["*/f"]), [unreadable, "good/f"]);
    assert_eq!(found(&root, &["*/nothing"]), [unreadable]);
    assert_eq!(found(&root, &["bad/*"]), ["cannot read directory 'bad/': Permission denied"]);
    // A directory that matches is not read at all.
    assert_eq!(found(&root, &["b*"]), ["bad"]);
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_symlink_loop_as_root_is_named() {
    let root = tree(&[]);
    symlink("loop", root.path().join("loop")).unwrap();
    assert_eq!(found(&root, &["loop/*"]), ["cannot read directory 'loop/': Too many levels of symbolic links"]);
}

#[test]
fn h71_a_root_is_opened_only_when_its_turn_comes() {
    let root = tree(&["a/1"]);
    let mut stream = globs(&root, &["a/*", "b/*"]).into_stream();
    stream.next().unwrap().unwrap();
    fs::create_dir(root.path().join("b")).unwrap();
    fs::write(root.path().join("b/late"), "").unwrap();
    assert!(stream.next().unwrap().unwrap().path.ends_with(b"b/late"));
}

#[test]
fn one_file_system_stays_on_the_roots() {
    let device = |path: &str| identity(Path::new(path)).0;
    if !Path::new("/proc/sys/kernel/ostype").exists() || device("/proc") == device("/") {
        return;
    }
    let walk = |glob: &str, one_file_system| {
        let sources = Sources { globs: vec![glob.into()], one_file_system, ..Sources::default() };
        sources.into_stream().filter_map(|found| found.ok().map(|one| one.path)).collect::<Vec<_>>()
    };
    assert_eq!(walk("/*/sys/kernel/ostype", false), [b"/proc/sys/kernel/ostype".as_slice().into()]);
    assert!(walk("/*/sys/kernel/ostype", true).is_empty());
    // A mount point is found all the same, and so is what the listing holds behind it.
    assert_eq!(walk("/*", true), walk("/*", false));
}
