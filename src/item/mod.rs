//! The nouns that every room uses: what is moved, from where, to where, and how it ended.
//!
//! Nothing here does anything; `plan` makes items, `exec` batches them, `transfer` moves them.

mod conflict;
mod place;
mod policy;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use conflict::{Meeting, Refusal, Verdict, resolve};
pub(crate) use place::{Below, Place, path_from, sticky_forbids};
pub(crate) use policy::{Ask, Backup, BackupKind, Conflict, Policy, Way};

use crate::error::MoveError;
use crate::sys::{FileId, FileKind};

/// One source on its way to one target.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Its name in the source directory.
    pub(crate) name: Box<[u8]>,
    /// Its name in the target directory, where that is another.
    pub(crate) new_name: Option<Box<[u8]>>,
    /// It was written with a trailing slash, so only a directory will do.
    pub(crate) only_directory: bool,
    /// What a listing said it is. A hint: it is looked at again before anything depends on it.
    pub(crate) hint: Option<FileKind>,
    /// A pattern has found it: if it is not there, it is not there any more.
    pub(crate) was_found: bool,
    /// How it stands to the sources before it.
    pub(crate) standing: Standing,
    /// The source directory, where it is not that of the batch (members of a hard-link group).
    pub(crate) place: Option<Arc<Place>>,
    /// Where the other names of its file are, if it has any.
    pub(crate) links: Gathered,
    /// The name that what stood at its target has now.
    pub(crate) backup: Option<Box<[u8]>>,
    /// The target that the user was asked about, and agreed to have replaced.
    pub(crate) agreed: Option<FileId>,
    /// Its place among the operands, from 0: their messages come in the order in which they were given. None
    /// for what was found by a pattern or stood in a list.
    pub(crate) order: Option<u64>,
    /// The number of the directory that it is an entry of, where that is being merged.
    pub(crate) within: Option<u32>,
}

/// Where the members of a hard-link group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// Nobody has looked for them.
    No,
    /// In this batch, those that were met; others may follow.
    SoFar,
    /// In this batch, all that there will be.
    All,
}

impl Item {
    /// Its source directory: that of its batch, `batch`, unless it has one of its own.
    pub(crate) fn place_or<'a>(&'a self, batch: &'a Arc<Place>) -> &'a Arc<Place> {
        self.place.as_ref().unwrap_or(batch)
    }

    /// The name that the target gets.
    pub(crate) fn target_name(&self) -> &[u8] {
        self.new_name.as_deref().unwrap_or(&self.name)
    }
}

/// How a source stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing before it has this name.
    Free,
    /// The same source may have been named before.
    Repeated,
    /// Another source may have been given the same target.
    Rival,
}

/// Items that share a source and a target directory.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) source: Arc<Place>,
    pub(crate) target: Arc<T>,
    pub(crate) items: Vec<Item>,
}

/// How one item ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Moved by one rename.
    Renamed,
    /// It has changed places with its target.
    Exchanged,
    /// Its target had the same content, and stays; the source was removed.
    Dropped,
    /// Copied to another file system and removed from its own. Bytes of content.
    Copied { bytes: u64 },
    /// Left alone because the user wants it so (`-n`).
    Skipped,
    /// Left alone because the user, who was asked, said no.
    Declined,
    /// A directory, all of whose entries have been seen to; whether it is gone, because nothing is left in it.
    Merged { removed: bool },
    /// It had gone with a directory that is a source of the same run.
    MovedBefore,
    /// Something went wrong; the source is whole, unless the error says where it is.
    Failed(Box<MoveError>),
}

/// The paths of an item, as the user would write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paths {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    /// Where what stood at the target is now.
    pub(crate) backup: Option<PathBuf>,
    /// How it was copied.
    pub(crate) how: Option<How>,
    /// What is to be said of a directory that was copied: of everything in it.
    pub(crate) inside: Vec<String>,
}

/// How a content was copied: what `--debug` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct How {
    /// The blocks are shared. None if that was not tried: it does not work between these file systems.
    pub(crate) reflink: Option<bool>,
    /// The kernel copied it by `copy_file_range`. None if that was not tried.
    pub(crate) offload: Option<bool>,
    /// Holes were looked for.
    pub(crate) holes: bool,
}

/// Something that could not be kept, told once in a run for each kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    pub(crate) kind: String,
    pub(crate) text: String,
}

/// How an item ended, and what is still to be known of it. Small: there is one for each item.
#[derive(Debug)]
pub(crate) struct Settled {
    /// See [`Item::order`].
    pub(crate) order: Option<u64>,
    /// See [`Item::within`].
    pub(crate) within: Option<u32>,
    /// Only made where somebody will read them.
    pub(crate) paths: Option<Box<Paths>>,
    pub(crate) outcome: Outcome,
    /// What could not be kept.
    pub(crate) warnings: Vec<Warning>,
    /// It was copied as a tree.
    pub(crate) is_tree: bool,
}
