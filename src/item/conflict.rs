//! What to do when the kernel says that the target exists. Decisions only: no system call.

use super::policy::{Ask, BackupKind, Conflict, Policy};
use crate::sys::Stat;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Replace it, whatever it is by then.
    Replace,
    /// Replace it, should it still be what was judged.
    ReplaceJudged,
    /// Give it another name, and take its place.
    BackUp,
    /// Take another name.
    KeepBoth,
    /// Compare the contents, then remove the source.
    Compare,
    /// Merge the source into it, entry by entry.
    Merge,
    /// Ask, then judge again.
    Ask,
    Skip,
    Refuse(Refusal),
}

/// Why a target is not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    SameFile,
    JustCreated,
    DirectoryOverFile,
    FileOverDirectory,
    /// The policy wants it so, and wants it to be a failure.
    NotReplaced,
}

/// What is known of a target that exists, and of its source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meeting<'a> {
    pub(crate) source: &'a Stat,
    pub(crate) target: &'a Stat,
    /// Source and target are one name in one directory.
    pub(crate) is_same_name: bool,
    /// The source is a symlink to the target, whose content would be lost.
    pub(crate) is_referent: bool,
    /// Another source of this run has put the target there.
    pub(crate) is_just_created: bool,
    /// The target can be written to.
    pub(crate) is_writable: bool,
    /// The user was asked about this very target, and has agreed.
    pub(crate) is_agreed: bool,
}

/// Decides about a target that exists. In mv's order: same file, age, question, kinds.
pub(crate) fn resolve(policy: &Policy, meeting: &Meeting<'_>) -> Verdict {
    let Meeting { source, target, .. } = *meeting;
    let is_same = source.id == target.id;
    if policy.merge && source.is_dir() && target.is_dir() && !is_same {
        return Verdict::Merge;
    }
    match policy.conflict {
        Conflict::Skip => return Verdict::Skip,
        Conflict::Fail => return Verdict::Refuse(Refusal::NotReplaced),
        _ => {}
    }
    let gets_new_name = policy.backup.is_some() || policy.conflict == Conflict::KeepBoth;
    // Also two hard links of one inode: replacing one by the other would be a rename that does nothing.
    if meeting.is_same_name || is_same && !gets_new_name || meeting.is_referent && !gets_new_name {
        return Verdict::Refuse(Refusal::SameFile);
    }
    if policy.conflict == Conflict::ReplaceOlder && !source.is_dir() && target.mtime >= source.mtime {
        return Verdict::Skip;
    }
    // A simple backup would be the only one of its name: the next one would destroy it.
    let numbers = policy.conflict == Conflict::KeepBoth
        || policy.backup.as_ref().is_some_and(|backup| backup.kind == BackupKind::Numbered);
    if meeting.is_just_created && !numbers {
        return Verdict::Refuse(Refusal::JustCreated);
    }
    let asks = match policy.ask {
        Ask::Never => false,
        Ask::IfUnwritable => !meeting.is_writable,
        Ask::Always => true,
    };
    if asks && !meeting.is_agreed {
        return Verdict::Ask;
    }
    if policy.conflict == Conflict::KeepBoth {
        return Verdict::KeepBoth;
    }
    if policy.backup.is_some() {
        return Verdict::BackUp;
    }
    match (source.is_dir(), target.is_dir()) {
        (true, false) => return Verdict::Refuse(Refusal::DirectoryOverFile),
        (false, true) => return Verdict::Refuse(Refusal::FileOverDirectory),
        _ => {}
    }
    match policy.conflict {
        Conflict::DropIdentical if source.is_dir() => Verdict::Refuse(Refusal::NotReplaced),
        Conflict::DropIdentical => Verdict::Compare,
        // Of two directories the kernel replaces an empty one only: nothing can be lost by that.
        _ if source.is_dir() => Verdict::Replace,
        Conflict::ReplaceOlder => Verdict::ReplaceJudged,
        _ if asks => Verdict::ReplaceJudged,
        _ => Verdict::Replace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FileId, FileKind, Time};

    fn stat(ino: u64, kind: FileKind) -> Stat {
        let time = Time { sec: 0, nsec: 0 };
        Stat {
            id: FileId { dev: 1, ino },
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            links: 1,
            size: 0,
            blocks: 0,
            device: (0, 0),
            atime: time,
            mtime: time,
            ctime: time,
            mount: 1,
            is_pinned: false,
            is_mount_root: false,
        }
    }

    #[test]
    fn p3_skip_wins_over_everything() {
        let file = stat(1, FileKind::Regular);
        assert_eq!(resolve(Policy::Skip, &file, &file, true), Verdict::Skip);
    }

    #[test]
    fn h05_h13_one_inode_is_never_moved_onto_itself() {
        let file = stat(1, FileKind::Regular);
        assert_eq!(resolve(Policy::Overwrite, &file, &file, false), Verdict::Refuse(Refusal::SameFile));
    }

    #[test]
    fn h08_what_this_run_created_is_not_overwritten() {
        let (a, b) = (stat(1, FileKind::Regular), stat(2, FileKind::Regular));
        assert_eq!(resolve(Policy::Overwrite, &a, &b, true), Verdict::Refuse(Refusal::JustCreated));
        assert_eq!(resolve(Policy::Overwrite, &a, &b, false), Verdict::Replace);
    }

    #[test]
    fn directories_and_files_do_not_replace_each_other() {
        let (dir, file) = (stat(1, FileKind::Directory), stat(2, FileKind::Regular));
        assert_eq!(resolve(Policy::Overwrite, &dir, &file, false), Verdict::Refuse(Refusal::DirectoryOverFile));
        assert_eq!(resolve(Policy::Overwrite, &file, &dir, false), Verdict::Refuse(Refusal::FileOverDirectory));
    }
}
