//! What is neither a regular file nor a directory: symlinks, FIFOs, sockets, devices. Never opened; made anew
//! in a directory that nobody else can enter, and dressed there by name.

use std::path::Path;

use rustix::io::Errno;

use crate::error::{MoveError, Result};
use crate::sys::{
    Dir, FileKind, Stat, copy_link_attributes, create_special, create_symlink, link_owner_and_times, read_link,
    special_mode,
};

use super::Context;
use super::dress::Warnings;

/// Makes `to` (a name in a private directory) what `from` is. `paths` are source and target, for messages.
pub(crate) fn stage_special(
    context: &Context,
    from: (&Dir, &[u8]),
    stat: &Stat,
    to: (&Dir, &[u8]),
    paths: (&Path, &Path),
    warnings: &mut Warnings,
) -> Result<()> {
    let create = |source| MoveError::Create { what: stat.kind.word(), path: paths.1.to_owned(), source };
    let preserve = |what, source| MoveError::Preserve { what, path: paths.1.to_owned(), source };
    match stat.kind {
        FileKind::Symlink => {
            let content =
                read_link(from.0, from.1).map_err(|source| MoveError::Read { path: paths.0.to_owned(), source })?;
            create_symlink(&content, to.0, to.1).map_err(create)?;
        }
        FileKind::Fifo | FileKind::Socket | FileKind::CharDevice | FileKind::BlockDevice => {
            create_special(stat, to.0, to.1).map_err(create)?;
        }
        FileKind::Regular | FileKind::Directory | FileKind::Unknown => {
            return Err(Box::new(MoveError::UnknownKind { path: paths.0.to_owned() }));
        }
    }
    match link_owner_and_times(to.0, to.1, stat, true) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => {}
        Err(error) => return Err(Box::new(preserve("ownership", error))),
    }
    let attributes =
        copy_link_attributes(from, to).map_err(|source| MoveError::Read { path: paths.0.to_owned(), source })?;
    warnings.attributes(context, paths.1, &attributes);
    if stat.kind != FileKind::Symlink {
        let made = Stat::at(to.0, to.1).map_err(create)?;
        let mode = if made.uid == stat.uid { stat.mode } else { stat.mode & 0o1777 };
        warnings.or_fail(context, "permissions", paths.1, special_mode(to.0, to.1, mode))?;
    }
    // Attributes and mode leave mtime alone, but not every file system keeps to that.
    match link_owner_and_times(to.0, to.1, stat, false) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => Ok(()),
        Err(error) => Err(Box::new(preserve("times", error))),
    }
}
