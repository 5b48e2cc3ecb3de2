//! Floors: programs that make only the calls which a mover cannot do without, and promise nothing. They are
//! started as every mover is, and share no code with pmove; what pmove takes longer than they do is pmove's own.
//! They hold open what they like, name no failure by path, and leave a mess behind one.

mod big;
mod copy;
mod durable;
mod files;
mod rename;
mod tree;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

/// Which floor, between which directories.
#[derive(Subcommand, Clone)]
pub(crate) enum Floor {
    /// Renames every name of SOURCE into TARGET, one call a name
    Rename(Sides),
    /// Copies every file of SOURCE into TARGET and unlinks it
    Copy(Copy),
    /// The same, each file unlinked only when its copy and the name of it are on the disk
    Durable(Durable),
    /// Copies the directory SOURCE into TARGET and removes it
    Tree(Tree),
    /// Copies the file SOURCE into TARGET and unlinks it
    Big(Big),
}

/// From where to where.
#[derive(Args, Clone)]
pub(crate) struct Sides {
    /// What is moved, or holds what is moved
    source: PathBuf,
    /// The directory that it is moved into
    target: PathBuf,
}

/// How many threads, and by which calls.
#[derive(Args, Clone)]
pub(crate) struct Means {
    /// Threads; what has a thread of its own for syncfs has one more
    #[arg(long, short = 'j', default_value_t = 2)]
    threads: usize,
    /// By which calls the content goes over
    #[arg(long, value_enum, default_value = "send-file")]
    through: Through,
    /// Ask each file for its extended attributes as well, which no mount tells beforehand
    #[arg(long)]
    xattrs: bool,
    /// Look at each file before it is opened, before it is linked and before it is unlinked, as what must not open a
    /// device nor take what has changed for what was copied
    #[arg(long)]
    looks: bool,
}

/// The arguments of `floor copy`.
#[derive(Args, Clone)]
pub(crate) struct Copy {
    #[command(flatten)]
    sides: Sides,
    #[command(flatten)]
    means: Means,
    /// How a copy comes by its name
    #[arg(long, value_enum, default_value = "unnamed")]
    staging: Staging,
}

/// The arguments of `floor durable`.
#[derive(Args, Clone)]
pub(crate) struct Durable {
    #[command(flatten)]
    copy: Copy,
    /// Files to one syncfs
    #[arg(long, default_value_t = 2000)]
    batch: usize,
}

/// The arguments of `floor tree`.
#[derive(Args, Clone)]
pub(crate) struct Tree {
    #[command(flatten)]
    sides: Sides,
    #[command(flatten)]
    means: Means,
    /// What must be on the disk before the source goes
    #[arg(long, value_enum, default_value = "nothing")]
    durable: What,
    /// Files to one syncfs while copying goes on; 0 is one syncfs when all is copied
    #[arg(long, default_value_t = 2000)]
    batch: usize,
}

/// The arguments of `floor big`.
#[derive(Args, Clone)]
pub(crate) struct Big {
    #[command(flatten)]
    sides: Sides,
    #[command(flatten)]
    means: Means,
    /// What must be on the disk before the source goes
    #[arg(long, value_enum, default_value = "nothing")]
    durable: What,
    /// What a thread copies at a time, in MiB
    #[arg(long, default_value_t = 16)]
    slice: u64,
    /// How writing back is begun before all is copied
    #[arg(long, value_enum, default_value = "late")]
    write_back: WriteBack,
}

/// The calls by which content is copied.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Through {
    /// `sendfile`
    SendFile,
    /// `read` and `write`
    ReadWrite,
    /// `copy_file_range`
    Range,
    /// `read`, and `write` past the page cache where a file is large
    Direct,
    /// `FICLONE`
    Clone,
}

/// How a copy comes by its name.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Staging {
    /// Made without one (`O_TMPFILE`), then linked: nothing half done is ever seen
    Unnamed,
    /// Made under its final name
    Named,
}

/// What must be on the disk before a source goes.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Nothing
    Nothing,
    /// The copies, and their names
    Everything,
}

/// How writing back is begun early.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteBack {
    /// Not at all
    Late,
    /// `POSIX_FADV_DONTNEED` on each slice: Linux begins to write back what is dirty, and does not wait
    Advised,
    /// `fdatasync` again and again, on a thread of its own
    Synced,
}

/// Does what the floor does.
pub(crate) fn run(floor: &Floor) -> Result<()> {
    files::prepare()?;
    match floor {
        Floor::Rename(sides) => rename::run(sides),
        Floor::Copy(args) => copy::run(args),
        Floor::Durable(args) => durable::run(args),
        Floor::Tree(args) => tree::run(args),
        Floor::Big(args) => big::run(args),
    }
}
