//! What can go wrong with one file, in `mv`'s words, and what the process ends with.
//!
//! Every room returns these; only `report` prints them. Each error names the step, the path and the
//! cause, never a bare number.

use std::path::PathBuf;

use rustix::io::Errno;

mod cause;
mod quote;

pub use cause::Cause;
pub(crate) use cause::{in_words, is_of_target};
pub use quote::Quoted;

/// The outcome of a step for one file.
pub type Result<T, E = Box<MoveError>> = std::result::Result<T, E>;

/// Why one source was not (or not wholly) moved.
///
/// The `Display` form is the message after `pmove: `, in the wording of GNU mv where mv has one.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// The source (or a directory on its way) cannot be looked at.
    #[error("cannot stat {}: {}", Quoted(path), Cause(*source))]
    Stat {
        /// The path as the user wrote it.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The move as a whole was refused by the kernel.
    #[error("cannot move {} to {}: {}", Quoted(from), Quoted(to), Cause(*source))]
    Move {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The target exists and the kernel would not let it be replaced.
    #[error("cannot overwrite {}: {}", Quoted(path), Cause(*source))]
    Overwrite {
        /// The target.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// Source and target are one inode.
    #[error("{} and {} are the same file", Quoted(from), Quoted(to))]
    SameFile {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// The target exists, and the user wants that to be a failure.
    #[error("not replacing {}", Quoted(path))]
    NotReplaced {
        /// The target.
        path: PathBuf,
    },
    /// The target's backup would have the source's name.
    #[error("backing up {} might destroy source;  {} not moved", Quoted(to), Quoted(from))]
    BackupIsSource {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// What stood at the target when it was to be replaced was not what had been judged, and somebody has taken the source
    /// away from there before that could be put right.
    #[error(
        "{} was replaced by somebody else while {} was being moved there; what stood there is {}",
        Quoted(to),
        Quoted(from),
        Quoted(kept)
    )]
    Displaced {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
        /// Where what was displaced is now.
        kept: PathBuf,
    },
    /// The target cannot get its backup name.
    #[error("cannot backup {}: {}", Quoted(path), Cause(*source))]
    Backup {
        /// The target.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// Source and target cannot change places.
    #[error("cannot exchange {} and {}: {}", Quoted(from), Quoted(to), Cause(*source))]
    Exchange {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// What stands at the target of a copied directory cannot make way.
    #[error(
        "inter-device move failed: {} to {}; unable to remove target: {}",
        Quoted(from),
        Quoted(to),
        Cause(*source)
    )]
    InterDevice {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// Source and target have the same content, and may be one file, seen in two ways.
    #[error("cannot tell whether {} and {} are two files or one; both stay", Quoted(from), Quoted(to))]
    MaybeOne {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// A path that is to be kept below the target leads up.
    #[error("cannot keep the path of {}: it holds '..'", Quoted(path))]
    LeadsUp {
        /// The source.
        path: PathBuf,
    },
    /// A directory would end up inside itself.
    #[error("cannot move {} to a subdirectory of itself, {}", Quoted(from), Quoted(to))]
    IntoItself {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// A directory would replace something that is not one.
    #[error("cannot overwrite non-directory {} with directory {}", Quoted(to), Quoted(from))]
    DirectoryOverFile {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// Something that is not a directory would replace one.
    #[error("cannot overwrite directory {} with non-directory {}", Quoted(to), Quoted(from))]
    FileOverDirectory {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// Two sources of this run lead to one target; the later one is refused.
    #[error("will not overwrite just-created {} with {}", Quoted(to), Quoted(from))]
    JustCreated {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// The source's content cannot be read.
    #[error("cannot open {} for reading: {}", Quoted(path), Cause(*source))]
    Open {
        /// The source.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// Reading stopped half-way.
    #[error("error reading {}: {}", Quoted(path), Cause(*source))]
    Read {
        /// The source.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// Writing stopped half-way.
    #[error("error writing {}: {}", Quoted(path), Cause(*source))]
    Write {
        /// The target.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The stage of the target cannot be created.
    #[error("cannot create {what} {}: {}", Quoted(path), Cause(*source))]
    Create {
        /// "regular file", "directory", "symbolic link", "fifo" or "special file".
        what: &'static str,
        /// The target.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The source is a kind of file that cannot be copied.
    #[error("cannot copy {}: unknown file type", Quoted(path))]
    UnknownKind {
        /// The source.
        path: PathBuf,
    },
    /// A property of the source cannot be given to the target.
    #[error("preserving {what} for {}: {}", Quoted(path), Cause(*source))]
    Preserve {
        /// "times", "permissions", "ownership" or "extended attributes".
        what: &'static str,
        /// The target.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The copy is whole at its target, but the source cannot be removed.
    #[error("cannot remove {}: {}", Quoted(path), Cause(*source))]
    Remove {
        /// The source.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The source was there, and is gone: somebody else has moved or removed it. Nothing of it was published.
    #[error("{} vanished before it could be moved", Quoted(path))]
    Vanished {
        /// The source.
        path: PathBuf,
    },
    /// The source went while it was on its way, after it was published.
    #[error("{} vanished while it was being moved; {} holds what was read of it", Quoted(from), Quoted(to))]
    VanishedOnTheWay {
        /// The source.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// The source changed after it was copied. It stays.
    #[error(
        "{} changed while it was being moved; it stays, and {} holds what was read before",
        Quoted(from),
        Quoted(to)
    )]
    Changed {
        /// The source, which stays.
        from: PathBuf,
        /// The target.
        to: PathBuf,
    },
    /// The source changed while it was being read, so nothing of it was published.
    #[error("{} changed while it was being read; it stays", Quoted(path))]
    ChangedWhileRead {
        /// The source, which stays.
        path: PathBuf,
    },
    /// The target's file system could not make the copy durable. The source stays.
    #[error("cannot make {} durable: {}; {} stays", Quoted(to), Cause(*source), Quoted(from))]
    NotDurable {
        /// The source, which stays.
        from: PathBuf,
        /// The target.
        to: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// What appeared in a moved directory while it was moved, and so was kept.
    #[error("{} is not empty: what appeared or changed in it during the move is in {}", Quoted(from), Quoted(kept))]
    LeftBehind {
        /// The source directory.
        from: PathBuf,
        /// Where the rest of it is now.
        kept: PathBuf,
    },
    /// A directory was to be removed, and the copy that an ended run has made of it is gone.
    #[error("{}: its copy is not there any more: it is kept, and to be moved again", Quoted(kept))]
    CopyGone {
        /// The source directory.
        from: PathBuf,
        /// Where it is now.
        kept: PathBuf,
    },
    /// A directory's stage was left for the next run to finish.
    #[error(
        "interrupted while copying {}: {} bytes of it are staged in {}; the same command finishes the job, 'rm -r' of the stage discards it",
        Quoted(from),
        bytes,
        Quoted(stage)
    )]
    Interrupted {
        /// The source directory, which is untouched.
        from: PathBuf,
        /// Where its stage is.
        stage: PathBuf,
        /// How much of it has been copied.
        bytes: u64,
    },
    /// The run was stopped before this source's turn.
    #[error("not moved: {}", Quoted(path))]
    NotReached {
        /// The source, which is untouched.
        path: PathBuf,
    },
    /// The destination is not a directory, but must be one.
    #[error("target {}: {}", Quoted(path), Cause(*source))]
    Target {
        /// DEST.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The argument of `-t` is not a directory.
    #[error("target directory {}: {}", Quoted(path), Cause(*source))]
    TargetDirectory {
        /// The argument of `-t`.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// A pattern matched nothing.
    #[error("no match for pattern {}", Quoted(pattern))]
    NoMatch {
        /// The pattern.
        pattern: PathBuf,
    },
    /// A pattern is malformed.
    #[error("invalid pattern {}: {reason}", Quoted(pattern))]
    BadPattern {
        /// The pattern.
        pattern: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A directory cannot be listed for a pattern.
    #[error("cannot read directory {}: {}", Quoted(path), Cause(*source))]
    ReadDirectory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// What an ended run has left at the target cannot be read. Going on might do twice what is done.
    #[error("cannot read what an interrupted run left in {}: {}", Quoted(path), Cause(*source))]
    Leftovers {
        /// The target directory.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// The list of sources cannot be read.
    #[error("cannot read list {}: {}", Quoted(path), Cause(*source))]
    ReadList {
        /// The list's path, or `-`.
        path: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
    /// A name in the list cannot be a file name.
    #[error("invalid name in list, {}: {reason}", Quoted(name))]
    BadName {
        /// The name.
        name: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}
