//! What to do when the kernel says that the target exists. Decisions only: no system call.

use crate::sys::Stat;

/// What the user wants done with a target that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Replace it: the default, and `-f`.
    Overwrite,
    /// Leave both alone, and say nothing: `-n`.
    Skip,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Replace,
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
}

/// Decides about a target that exists. `just_created`: by another source of this run.
pub(crate) fn resolve(policy: Policy, source: &Stat, target: &Stat, just_created: bool) -> Verdict {
    match policy {
        Policy::Skip => Verdict::Skip,
        // Also two hard links of one inode: replacing one by the other would be a rename that does nothing.
        Policy::Overwrite if source.id == target.id => Verdict::Refuse(Refusal::SameFile),
        Policy::Overwrite if just_created => Verdict::Refuse(Refusal::JustCreated),
        Policy::Overwrite => match (source.is_dir(), target.is_dir()) {
            (true, false) => Verdict::Refuse(Refusal::DirectoryOverFile),
            (false, true) => Verdict::Refuse(Refusal::FileOverDirectory),
            // Of two directories the kernel replaces an empty one only.
            _ => Verdict::Replace,
        },
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
