//! What a journal is made of: frames, each a step of its tree's history.

use std::collections::HashMap;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::sys::{Dir, FileId, Listing, Stat, Time, birth_of};
use crate::transfer::other_name::kept_names;
use crate::transfer::record::{identity_now, is_name};
use crate::transfer::stamp::Stamp;

use super::nodes::ROOT;

/// A frame of this length or more was not written by us. Bytes: the longest have 4,096 files with names of 255 bytes, or
/// the path of a very deep directory.
pub(super) const LONGEST_FRAME: usize = 16 << 20;

/// What the journal is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The source's parent directory, and its path when the journal was begun.
    pub(crate) parent: FileId,
    pub(crate) parent_path: Vec<u8>,
    pub(crate) name: Vec<u8>,
    /// The source directory itself.
    pub(crate) source: FileId,
    /// The target's name in the target directory.
    pub(crate) target_name: Vec<u8>,
    /// The stage's root: the target, once it is published.
    pub(crate) stage_root: FileId,
    /// When that was made, where it can be known: once it is removed, another directory may get its number.
    pub(crate) stage_born: Option<Time>,
    /// The stage's name in the stage directory.
    pub(crate) stage: Vec<u8>,
    /// The source's name while it is being removed.
    pub(crate) hidden: Vec<u8>,
}

impl Header {
    /// What the run has published in `target`, if it is still there.
    ///
    /// # Errors
    /// It cannot be looked at, which says neither.
    pub(crate) fn published_in(&self, target: &Dir) -> Result<Option<(Vec<u8>, Dir)>, Errno> {
        // Under its own name, or, where that was to be kept, under one like it.
        for name in std::iter::once(self.target_name.clone()).chain(kept_names(&self.target_name)) {
            match target.open_child(&name) {
                Ok(root) if self.is_published(&root)? => return Ok(Some((name, root))),
                Ok(_) | Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(Errno::NOENT) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The published tree, whatever its name in `target` is by now: another source's backup, say.
    ///
    /// # Errors
    /// As for [`Self::published_in`].
    pub(crate) fn published_somewhere_in(&self, target: &Dir) -> Result<Option<(Vec<u8>, Dir)>, Errno> {
        let found = self.published_in(target)?;
        // By its number alone it could be any directory that was made since.
        if found.is_some() || self.stage_born.is_none() {
            return Ok(found);
        }
        // A directory that cannot be listed is searched for nothing else.
        let Ok(Some(name)) = Listing::name_of(target, self.stage_root.ino) else { return Ok(None) };
        let Ok(root) = target.open_child(&name) else { return Ok(None) };
        Ok(self.is_published(&root)?.then_some((name, root)))
    }

    /// Whether `root` is what was the stage's root.
    fn is_published(&self, root: &Dir) -> Result<bool, Errno> {
        Ok(root.id() == self.stage_root && (self.stage_born.is_none() || birth_of(root.fd())? == self.stage_born))
    }

    /// Takes on the identities that the directories have now. `room` is the stage directory.
    pub(super) fn meet_today(&mut self, room: &Dir) {
        self.stage_root.dev = room.id().dev;
        self.parent = identity_now(self.parent, &self.parent_path);
        // Not simply its parent's device: the source may be a subvolume.
        if let Ok(parent) = Dir::open_named(&self.parent_path)
            && parent.id() == self.parent
        {
            let here = [&self.hidden, &self.name].into_iter().filter_map(|name| Stat::at(&parent, name).ok());
            self.source = here.map(|stat| stat.id).find(|id| id.ino == self.source.ino).unwrap_or(self.source);
        }
    }
}

/// A staged file (of any kind but directories).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StagedFile {
    pub(super) name: Vec<u8>,
    pub(super) stamp: Stamp,
}

/// One step of the tree's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Frame {
    Header(Header),
    /// A directory, before anything in it.
    Dir {
        id: u32,
        parent: u32,
        name: Vec<u8>,
    },
    /// Files that were staged.
    Files {
        dir: u32,
        files: Vec<StagedFile>,
    },
    /// Everything before this offset of the journal is durable.
    Proven {
        before: u64,
    },
    /// Files that an earlier run has staged and proven durable, in the directory with this path.
    Known {
        dir: Vec<u8>,
        files: Vec<StagedFile>,
    },
}

/// What is known to be durable in a stage: by directory path, by name.
pub(crate) type Known = HashMap<Vec<u8>, HashMap<Vec<u8>, Stamp>>;

impl Frame {
    /// Whether it leads nowhere but to names in the directories that it speaks of.
    pub(super) fn is_sound(&self) -> bool {
        let are_names = |files: &[StagedFile]| files.iter().all(|file| is_name(&file.name));
        match self {
            Self::Header(header) => {
                [&header.name, &header.target_name, &header.stage, &header.hidden].into_iter().all(|name| is_name(name))
            }
            Self::Dir { id, name, .. } => *id == ROOT || is_name(name),
            Self::Files { files, .. } | Self::Known { files, .. } => are_names(files),
            Self::Proven { .. } => true,
        }
    }
}
