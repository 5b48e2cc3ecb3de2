//! The works: what people move, on one file system and between two, and one of each kind on the real disk.

use crate::corpora::Corpus;
use crate::disks::{Fs, Layout};

/// How the kernel lets it be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Rename,
    Copy,
}

/// Who takes part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowd {
    Everyone,
    /// Those who come near; for what takes long.
    Names,
    /// pmove and the two mv; for what takes no time.
    Few,
}

/// Which of several runs counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    Median,
    /// For large files: page faults swing those three-fold.
    Minimum,
}

/// One row.
#[derive(Clone)]
pub(crate) struct Work {
    /// For the command line.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) layout: Layout,
    pub(crate) corpus: Corpus,
    pub(crate) way: Way,
    pub(crate) crowd: Crowd,
    pub(crate) figure: Figure,
    /// Rounds at least.
    pub(crate) rounds: usize,
    /// Which floor lies below it.
    pub(crate) floor: Below,
}

/// The floor below a work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Below {
    Rename,
    /// Of small files
    Copy,
    /// Of files that are worth writing past the page cache
    LargeCopy,
    Tree,
    Big,
    Clone,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Work {
    /// A tenth of it, for a quick look.
    pub(crate) fn tenth(self) -> Self {
        Self { title: format!("{} — a tenth of it", self.title), corpus: self.corpus.tenth(), ..self }
    }
}

/// All works, in the order of the table.
pub(crate) fn all() -> Vec<Work> {
    let mut works = renames();
    works.extend(copies());
    works.extend(large());
    works
}

fn work(name: &'static str, title: &'static str, layout: Layout, corpus: Corpus) -> Work {
    let (way, floor) = match (layout, corpus) {
        (Layout::One(_), _) => (Way::Rename, Below::Rename),
        (Layout::Subvolumes | Layout::BindMounts, _) => (Way::Copy, Below::Clone),
        (_, Corpus::Flat { least: MIB.., .. }) => (Way::Copy, Below::LargeCopy),
        (_, Corpus::Flat { .. }) => (Way::Copy, Below::Copy),
        (_, Corpus::Tree { .. }) => (Way::Copy, Below::Tree),
        (_, Corpus::One { .. }) => (Way::Copy, Below::Big),
    };
    let (crowd, figure, rounds) = (Crowd::Everyone, Figure::Median, 1);
    let title = title.to_owned();
    Work { name, title, layout, corpus, way, crowd, figure, rounds, floor }
}

fn flat(files: usize, bytes: u64) -> Corpus {
    Corpus::Flat { files, least: bytes, most: bytes }
}

fn renames() -> Vec<Work> {
    let tiny = Corpus::Flat { files: 50_000, least: 0, most: 100 };
    let names = flat(1_000_000, 0);
    let few = |work| Work { crowd: Crowd::Few, rounds: 200, ..work };
    vec![
        work("one-ext4", "50,000 files, one ext4", Layout::One(Fs::Ext4), tiny),
        work("one-xfs", "50,000 files, one xfs", Layout::One(Fs::Xfs), tiny),
        work("one-real", "50,000 files, the real disk", Layout::One(Fs::Real), tiny),
        few(work("single", "one file, one ext4", Layout::One(Fs::Ext4), Corpus::One { bytes: 4 * KIB })),
        few(work(
            "single-across",
            "one file, ext4 → ext4",
            Layout::Across(Fs::Ext4, Fs::Ext4),
            Corpus::One { bytes: 4 * KIB },
        )),
        Work { crowd: Crowd::Names, ..work("names", "1,000,000 names, one tmpfs", Layout::One(Fs::Tmpfs), names) },
        Work { crowd: Crowd::Names, ..work("names-ext4", "1,000,000 names, one ext4", Layout::One(Fs::Ext4), names) },
    ]
}

fn copies() -> Vec<Work> {
    let small = flat(20_000, 4 * KIB);
    let tree = Corpus::Tree { files: 20_000 };
    let ext4 = Layout::Across(Fs::Ext4, Fs::Ext4);
    vec![
        work("small", "20,000 × 4 KiB, ext4 → ext4", ext4, small),
        work("small-real", "20,000 × 4 KiB, ext4 → real disk", Layout::Across(Fs::Ext4, Fs::Real), small),
        work("tree", "source tree of 20,000 files, ext4 → ext4", ext4, tree),
        work("tree-xfs", "source tree of 20,000 files, ext4 → xfs", Layout::Across(Fs::Ext4, Fs::Xfs), tree),
    ]
}

fn large() -> Vec<Work> {
    let ext4 = Layout::Across(Fs::Ext4, Fs::Ext4);
    let minimum = |work| Work { figure: Figure::Minimum, rounds: 10, ..work };
    let clone = |name, title, layout, bytes| {
        let work = work(name, title, layout, Corpus::One { bytes });
        Work { crowd: Crowd::Few, figure: Figure::Minimum, rounds: 10, ..work }
    };
    vec![
        minimum(work("mib", "400 × 1 MiB, ext4 → ext4", ext4, flat(400, MIB))),
        minimum(work("gib", "one file of 1 GiB, ext4 → ext4", ext4, Corpus::One { bytes: GIB })),
        clone("clone-btrfs", "64 MiB, btrfs subvolume to subvolume", Layout::Subvolumes, 64 * MIB),
        clone("clone-btrfs-gib", "1 GiB, btrfs subvolume to subvolume", Layout::Subvolumes, GIB),
        clone("clone-xfs", "64 MiB, xfs seen through two mounts", Layout::BindMounts, 64 * MIB),
        clone("clone-xfs-gib", "1 GiB, xfs seen through two mounts", Layout::BindMounts, GIB),
    ]
}
