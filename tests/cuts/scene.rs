//! What is moved when the power goes: files in several ways, and directories.

use std::path::Path;

use crate::common::run::Pmove;
use crate::common::tree::Tree;

/// Who moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// pmove.
    Pmove,
    /// GNU mv, with the same sources.
    Mv,
}

/// What is moved, and how it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scene {
    /// A handful of files, which are synced one by one.
    Few,
    /// Two batches of files, found by a pattern.
    Pattern,
    /// The same from a list.
    List,
    /// Files whose targets exist.
    Overwrite,
    /// Files with three names each, and some with one.
    Links,
    /// One directory with others in it, and links among its files.
    Tree,
    /// Several directories.
    Trees,
}

/// So many files make more than one batch.
const TWO_BATCHES: usize = 300;

impl Scene {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Few, Self::Pattern, Self::List, Self::Overwrite, Self::Links, Self::Tree, Self::Trees];

    /// All of them, or the one that `PMOVE_TEST_SCENE` names.
    pub fn asked_for() -> impl Iterator<Item = Self> {
        let only = std::env::var("PMOVE_TEST_SCENE").ok();
        Self::ALL.into_iter().filter(move |scene| only.as_ref().is_none_or(|only| *only == format!("{scene:?}")))
    }

    /// Makes the sources in `from`, and what is in their way in `to`.
    pub fn build(self, from: &Path, to: &Path) {
        let flat = |count| Tree::new().files(count, |i| (format!("f{i:03}"), content(i)));
        match self {
            Self::Few => flat(5).build(from),
            Self::Pattern | Self::List => flat(TWO_BATCHES).symlink("link", "f000").build(from),
            Self::Overwrite => {
                flat(100).build(from);
                Tree::new().files(80, |i| (format!("f{i:03}"), format!("old {i}"))).build(to);
            }
            Self::Links => {
                let tree = (0..30).fold(flat(60), |tree, i| {
                    let name = format!("f{i:03}");
                    tree.hard_link(format!("g{i:03}"), &name).hard_link(format!("h{i:03}"), &name)
                });
                tree.build(from);
            }
            Self::Tree => {
                let tree = Tree::new().files(160, |i| (format!("d/{}/{}/f{i:03}", i % 4, i % 3), content(i)));
                let tree = tree.symlink("d/1/link", "1/f001").dir("d/empty").mode(0o700);
                let linked = (0..30).map(|i| i * 5).fold(tree, |tree, i| {
                    tree.hard_link(format!("d/again{i}"), format!("d/{}/{}/f{i:03}", i % 4, i % 3))
                });
                linked.build(from);
            }
            Self::Trees => {
                Tree::new().files(160, |i| (format!("d{}/{}/f{i:03}", i % 8, i % 3), content(i))).build(from);
            }
        }
    }

    /// The command that moves it all; `run` is the second or a later one of the same job.
    pub fn command(self, program: Program, from: &Path, to: &Path) -> Pmove {
        let names = crate::promises::names(from);
        if program == Program::Mv {
            return Pmove::other("mv").arg("-t").arg(to).arg("--").args(names).cwd(from);
        }
        let pmove = Pmove::new().cwd(from);
        match self {
            Self::Few | Self::Pattern | Self::Overwrite | Self::Links => pmove.args(["--allow-empty", "*"]).arg(to),
            Self::List => {
                // What was in the list at first: names that have gone since are said to be missing.
                let list: Vec<String> = (0..TWO_BATCHES).map(|i| format!("f{i:03}")).collect();
                // What is not replaced shows what is done twice.
                pmove.args(["-n", "-0", "--files-from", "-"]).arg(to).stdin(list.join("\0") + "\0link")
            }
            // Its name must not be taken for a directory to move into, the second time.
            Self::Tree => pmove.arg("d").arg(to.join("d")),
            Self::Trees => pmove.args((0..8).map(|i| format!("d{i}"))).arg(to),
        }
    }
}

/// Most of them small, some with a few megabytes, and each unlike all others.
fn content(i: usize) -> String {
    let line = format!("{i} of them\n");
    let size = if i % 37 == 11 { 700_000 } else { i * 61 % 9000 };
    line.repeat(size / line.len() + 1)
}
