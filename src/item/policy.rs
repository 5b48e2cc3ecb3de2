//! What the user wants done with targets that exist.

/// What the user wants done with targets that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) conflict: Conflict,
    pub(crate) ask: Ask,
    /// What is replaced gets another name first.
    pub(crate) backup: Option<Backup>,
    /// A directory merges into an existing one.
    pub(crate) merge: bool,
}

/// What is to happen to a target that exists, unless the user is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Replace it: the default, `-f`.
    Overwrite,
    /// Leave both alone, and say nothing: `-n`.
    Skip,
    /// Leave both alone, as a failure: `--update=none-fail`.
    Fail,
    /// Replace it if it is older, otherwise leave both alone and say nothing: `-u`.
    ReplaceOlder,
    /// Keep it, and give the source the first free name like it.
    KeepBoth,
    /// Remove the source if the target has the same content, otherwise leave both alone, as a failure.
    DropIdentical,
}

/// How a source may get to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A rename where that works, else a copy.
    Any,
    /// A rename or nothing: `--no-copy`.
    Rename,
    /// Source and target change places: `--exchange`.
    Exchange,
}

/// When to ask before a target is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Never,
    /// If it is not writable: what mv does at a terminal.
    IfUnwritable,
    Always,
}

/// How the old target is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backup {
    pub(crate) kind: BackupKind,
    /// What is appended to the name of a simple backup: not empty, and without a slash.
    pub(crate) suffix: Box<[u8]>,
}

/// Which name a backup gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackupKind {
    /// `f~`, whatever has that name.
    Simple,
    /// `f.~1~`, or the next number.
    Numbered,
    /// Numbered if there are numbered ones already, else simple.
    Existing,
}

impl Policy {
    /// Whether existing targets are all replaced, or all left alone.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.conflict, Conflict::Overwrite | Conflict::Skip) && self.ask == Ask::Never && self.backup.is_none()
    }

    /// Whether an existing target can be left alone without a look at it.
    pub(crate) fn skips_all(&self) -> bool {
        self.conflict == Conflict::Skip && !self.merge
    }
}
