//! Everything about a file but its content, in the order that never lets anybody in (P7): owner, extended
//! attributes and ACLs, mode, times. There is no inherited ACL to take away: the stage directory has none to
//! give.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;

use crate::error::{Cause, MoveError, Quoted, Result};
use crate::item::Warning;
use crate::sys::{Attributes, Stat, copy_attributes, effective_user, give_mode, give_owner, give_times};

use super::Context;
use super::target::Copying;

/// The permission bits, without set-id and sticky ones.
const PERMISSIONS: u32 = 0o777;
const SET_ID: u32 = 0o6000;

/// The mode with which a staged regular file is made: final, but for set-id bits, which must not be there before
/// the owner is right. The owner can always write, or attributes could not be set.
pub(crate) fn creation_mode(stat: &Stat) -> u32 {
    stat.mode & PERMISSIONS
}

/// What could not be kept, collected for the user.
#[derive(Debug, Default)]
pub(crate) struct Warnings(pub(crate) Vec<Warning>);

impl Warnings {
    /// Takes note of something, unless something of its kind has been told of already, or will be. What an item brings
    /// that is not moved in the end is not told, so only the telling counts.
    fn note(&mut self, context: &Context, kind: &str, text: impl FnOnce() -> String) {
        if !context.has_told(kind) && self.0.iter().all(|other| other.kind != kind) {
            self.0.push(Warning { kind: kind.to_owned(), text: text() });
        }
    }

    /// Takes note of what others have taken note of.
    pub(crate) fn add(&mut self, others: Self) {
        for Warning { kind, text } in others.0 {
            if self.0.iter().all(|known| known.kind != kind) {
                self.0.push(Warning { kind, text });
            }
        }
    }

    /// Takes note of attributes that were refused, each name once for a target.
    pub(crate) fn attributes(&mut self, context: &Context, path: &Path, attributes: &Attributes) {
        for (name, error) in &attributes.refused {
            // Attributes of a security module or of a file system are the target's own business where it does
            // not know them; mv is silent about them, too.
            if matches!(name.to_bytes(), b"security.selinux" | b"system.nfs4_acl" | b"btrfs.compression") {
                continue;
            }
            let name = String::from_utf8_lossy(name.to_bytes());
            self.note(context, &name, || {
                format!("setting attribute '{}' for {}: {}", name.escape_default(), Quoted(path), Cause(*error))
            });
        }
    }

    /// Takes note, once, that a name becomes a copy because a file cannot have one more link; any other error is a
    /// failure.
    pub(crate) fn links(&mut self, context: &Context, path: &Path, error: Errno) -> Result<()> {
        match error {
            Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS => {
                let text = || format!("preserving hard links for {}: {}", Quoted(path), Cause(error));
                self.note(context, "hard links", text);
                Ok(())
            }
            source => Err(Box::new(MoveError::Create { what: "regular file", path: path.to_owned(), source })),
        }
    }

    /// Takes note of what the target's file system cannot do at all, once; any other error is a failure.
    pub(crate) fn or_fail(
        &mut self,
        context: &Context,
        what: &'static str,
        path: &Path,
        result: std::result::Result<(), Errno>,
    ) -> Result<()> {
        match result {
            Ok(()) => Ok(()),
            Err(source @ (Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)) => {
                self.note(context, what, || format!("preserving {what} for {}: {}", Quoted(path), Cause(source)));
                Ok(())
            }
            Err(source) => Err(Box::new(MoveError::Preserve { what, path: path.to_owned(), source })),
        }
    }
}

/// How much is known of what was just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// A regular file, made with [`creation_mode`].
    File,
    /// A directory, made for its owner only.
    Dir,
}

/// Gives `to` everything of `from` but its content. `path` is the target's, for messages.
pub(crate) fn dress(
    context: &Context,
    copying: &Copying,
    (from, to): (&OwnedFd, &OwnedFd),
    stat: &Stat,
    made: Made,
    path: &Path,
    warnings: &mut Warnings,
) -> Result<()> {
    let preserve = |what, source| Box::new(MoveError::Preserve { what, path: path.to_owned(), source });
    let mut mode = stat.mode;
    if copying.owner_of_made(to).map_err(|error| preserve("ownership", error))? != (stat.uid, stat.gid)
        && !take_owner(to, stat).map_err(|error| preserve("ownership", error))?
    {
        mode &= !SET_ID;
    }
    let attributes =
        attributes(from, to, stat).map_err(|source| Box::new(MoveError::Read { path: path.to_owned(), source }))?;
    warnings.attributes(context, path, &attributes);
    if let Some(group) = attributes.group_without_acl {
        mode = mode & !0o070 | group << 3;
    }
    if made == Made::Dir || mode != creation_mode(stat) || attributes.touched_mode {
        warnings.or_fail(context, "permissions", path, give_mode(to, mode))?;
    }
    warnings.or_fail(context, "times", path, give_times(to, stat))
}

/// Gives the file to its owner, or at least to its group. Whether the owner is right now.
fn take_owner(to: &OwnedFd, stat: &Stat) -> std::result::Result<bool, Errno> {
    match give_owner(to, Some(stat.uid), stat.gid) {
        Ok(()) => Ok(true),
        // Not ours to give away (of an open file, EACCES is a server's word for that), or a file system without owners:
        // silent, as mv.
        Err(Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
            Ok(give_owner(to, None, stat.gid).is_ok() && stat.uid == effective_user())
        }
        Err(error) => Err(error),
    }
}

fn attributes(from: &OwnedFd, to: &OwnedFd, stat: &Stat) -> std::result::Result<Attributes, Errno> {
    let attributes = copy_attributes(from, to)?;
    let unwritable = stat.mode & 0o200 == 0 && attributes.refused.iter().any(|(_, error)| *error == Errno::ACCESS);
    if !unwritable {
        return Ok(attributes);
    }
    // setxattr asks for write permission on a file's user attributes: lend it to the owner.
    give_mode(to, creation_mode(stat) | 0o200)?;
    Ok(Attributes { touched_mode: true, ..copy_attributes(from, to)? })
}

impl Copying {
    /// The owner that a file of ours gets when it is made here: learnt from the first one.
    fn owner_of_made(&self, file: &OwnedFd) -> std::result::Result<(u32, u32), Errno> {
        if let Some(&owner) = self.made_owner.get() {
            return Ok(owner);
        }
        let stat = Stat::of(file)?;
        Ok(*self.made_owner.get_or_init(|| (stat.uid, stat.gid)))
    }
}
