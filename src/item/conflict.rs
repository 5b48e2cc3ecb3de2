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
#[allow(clippy::struct_excessive_bools, reason = "each is a fact that may hold on its own")]
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

/// Decides about a target that exists. In this order: merging, policies that need no look, same file, age, just created,
/// question, other names, kinds; as mv, where mv has them.
pub(crate) fn resolve(policy: &Policy, meeting: &Meeting<'_>) -> Verdict {
    let Meeting { source, target, .. } = *meeting;
    let is_same = source.id == target.id;
    // Under two spellings, where a directory folds names: it has no other.
    let is_same_name = meeting.is_same_name || is_same && (source.links == 1 || source.is_dir());
    if policy.merge && source.is_dir() && target.is_dir() && !is_same {
        return Verdict::Merge;
    }
    match policy.conflict {
        Conflict::Skip => return Verdict::Skip,
        // What keeps a merge from going on is worth saying; a link to a directory is none.
        Conflict::Fail if policy.merge && source.is_dir() != target.is_dir() => {
            return Verdict::Refuse(of_kinds(source));
        }
        Conflict::Fail => return Verdict::Refuse(Refusal::NotReplaced),
        _ => {}
    }
    let gets_new_name = policy.backup.is_some() || policy.conflict == Conflict::KeepBoth;
    // Also two hard links of one inode: replacing one by the other would be a rename that does nothing.
    if is_same_name || is_same && !gets_new_name || meeting.is_referent && !gets_new_name {
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
    if source.is_dir() != target.is_dir() {
        return Verdict::Refuse(of_kinds(source));
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

/// Why a directory and something else do not replace each other.
fn of_kinds(source: &Stat) -> Refusal {
    if source.is_dir() { Refusal::DirectoryOverFile } else { Refusal::FileOverDirectory }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Backup;
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

    const PLAIN: Policy = Policy { conflict: Conflict::Overwrite, ask: Ask::Never, backup: None, merge: false };

    fn with(conflict: Conflict) -> Policy {
        Policy { conflict, ..PLAIN }
    }

    fn backing_up(kind: BackupKind) -> Policy {
        Policy { backup: Some(Backup { kind, suffix: Box::from(&b"~"[..]) }), ..PLAIN }
    }

    fn meeting<'a>(source: &'a Stat, target: &'a Stat) -> Meeting<'a> {
        Meeting {
            source,
            target,
            is_same_name: false,
            is_referent: false,
            is_just_created: false,
            is_writable: true,
            is_agreed: false,
        }
    }

    #[test]
    fn p3_skip_and_fail_come_before_what_the_files_are() {
        let file = stat(1, FileKind::Regular);
        let same = Meeting { is_just_created: true, is_same_name: true, ..meeting(&file, &file) };
        assert_eq!(resolve(&with(Conflict::Skip), &same), Verdict::Skip);
        assert_eq!(resolve(&with(Conflict::Fail), &same), Verdict::Refuse(Refusal::NotReplaced));
    }

    #[test]
    fn h05_h13_one_inode_is_never_moved_onto_itself() {
        let file = stat(1, FileKind::Regular);
        let refused = Verdict::Refuse(Refusal::SameFile);
        for conflict in [Conflict::Overwrite, Conflict::ReplaceOlder, Conflict::DropIdentical] {
            assert_eq!(resolve(&with(conflict), &meeting(&file, &file)), refused);
        }
        // Under two names, one of them can get another.
        let linked = Stat { links: 2, ..file };
        assert_eq!(resolve(&backing_up(BackupKind::Simple), &meeting(&linked, &linked)), Verdict::BackUp);
        assert_eq!(resolve(&with(Conflict::KeepBoth), &meeting(&linked, &linked)), Verdict::KeepBoth);
        // In two spellings it may be one name.
        assert_eq!(resolve(&with(Conflict::KeepBoth), &meeting(&file, &file)), refused);
        let file = linked;
        let same_name = Meeting { is_same_name: true, ..meeting(&file, &file) };
        assert_eq!(resolve(&backing_up(BackupKind::Simple), &same_name), refused);
        assert_eq!(resolve(&with(Conflict::KeepBoth), &same_name), refused);
    }

    #[test]
    fn h08_what_this_run_created_is_not_overwritten() {
        let (a, b) = (stat(1, FileKind::Regular), stat(2, FileKind::Regular));
        let created = Meeting { is_just_created: true, ..meeting(&a, &b) };
        for policy in [PLAIN, backing_up(BackupKind::Simple), backing_up(BackupKind::Existing)] {
            assert_eq!(resolve(&policy, &created), Verdict::Refuse(Refusal::JustCreated));
        }
        assert_eq!(resolve(&backing_up(BackupKind::Numbered), &created), Verdict::BackUp);
        assert_eq!(resolve(&with(Conflict::KeepBoth), &created), Verdict::KeepBoth);
        assert_eq!(resolve(&PLAIN, &meeting(&a, &b)), Verdict::Replace);
    }

    #[test]
    fn directories_and_files_do_not_replace_each_other() {
        let (dir, file) = (stat(1, FileKind::Directory), stat(2, FileKind::Regular));
        assert_eq!(resolve(&PLAIN, &meeting(&dir, &file)), Verdict::Refuse(Refusal::DirectoryOverFile));
        assert_eq!(resolve(&PLAIN, &meeting(&file, &dir)), Verdict::Refuse(Refusal::FileOverDirectory));
        // Unless what is there gets another name.
        assert_eq!(resolve(&backing_up(BackupKind::Simple), &meeting(&dir, &file)), Verdict::BackUp);
    }

    #[test]
    fn only_what_is_older_is_replaced_by_an_update() {
        let at = |ino, sec| Stat { mtime: Time { sec, nsec: 0 }, ..stat(ino, FileKind::Regular) };
        let (old, new) = (at(1, 1), at(2, 2));
        let policy = with(Conflict::ReplaceOlder);
        assert_eq!(resolve(&policy, &meeting(&new, &old)), Verdict::ReplaceJudged);
        assert_eq!(resolve(&policy, &meeting(&old, &new)), Verdict::Skip);
        assert_eq!(resolve(&policy, &meeting(&old, &at(3, 1))), Verdict::Skip);
        // Directories have no age, and the age comes before the question.
        let (a, b) = (stat(1, FileKind::Directory), stat(2, FileKind::Directory));
        assert_eq!(resolve(&policy, &meeting(&a, &b)), Verdict::Replace);
        let asking = Policy { ask: Ask::Always, ..policy };
        assert_eq!(resolve(&asking, &meeting(&old, &new)), Verdict::Skip);
        assert_eq!(resolve(&asking, &meeting(&new, &old)), Verdict::Ask);
    }

    #[test]
    fn questions_are_asked_once_and_before_the_kinds_are_looked_at() {
        let (dir, file) = (stat(1, FileKind::Directory), stat(2, FileKind::Regular));
        let always = Policy { ask: Ask::Always, ..PLAIN };
        assert_eq!(resolve(&always, &meeting(&dir, &file)), Verdict::Ask);
        let agreed = Meeting { is_agreed: true, ..meeting(&dir, &file) };
        assert_eq!(resolve(&always, &agreed), Verdict::Refuse(Refusal::DirectoryOverFile));
        let other = stat(3, FileKind::Regular);
        assert_eq!(resolve(&always, &Meeting { is_agreed: true, ..meeting(&other, &file) }), Verdict::ReplaceJudged);
        let if_unwritable = Policy { ask: Ask::IfUnwritable, ..PLAIN };
        assert_eq!(resolve(&if_unwritable, &meeting(&other, &file)), Verdict::Replace);
        assert_eq!(resolve(&if_unwritable, &Meeting { is_writable: false, ..meeting(&other, &file) }), Verdict::Ask);
    }

    #[test]
    fn directories_merge_and_files_in_them_do_what_the_policy_says() {
        let (a, b) = (stat(1, FileKind::Directory), stat(2, FileKind::Directory));
        for conflict in [Conflict::Skip, Conflict::Fail, Conflict::Overwrite, Conflict::DropIdentical] {
            let merging = Policy { conflict, merge: true, ..PLAIN };
            assert_eq!(resolve(&merging, &meeting(&a, &b)), Verdict::Merge);
            assert_ne!(resolve(&merging, &meeting(&a, &a)), Verdict::Merge);
        }
        assert_eq!(resolve(&with(Conflict::DropIdentical), &meeting(&a, &b)), Verdict::Refuse(Refusal::NotReplaced));
    }
}
