//! Removing a stage: a hidden tree of our own making.

use rustix::io::Errno;

use crate::sys::{Dir, FileKind, Listing, Stat, give_mode, rename_replacing, unlink, unlink_dir};

/// Removes the tree `name` in the stage directory `dir`. `fresh` gives names that nothing there has.
///
/// Every directory is moved up beside its root before it is emptied, so that depth costs neither stack nor
/// descriptors nor path length.
pub(crate) fn clear_tree(dir: &Dir, name: &[u8], mut fresh: impl FnMut() -> Vec<u8>) -> Result<(), Errno> {
    let mut heap = vec![name.to_vec()];
    while let Some(name) = heap.pop() {
        let here = match dir.open_child(&name) {
            Ok(here) => here,
            Err(Errno::NOENT) => continue,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                unlink(dir, &name)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        // A staged directory may have its final mode already, which need not let us in.
        if here.stat().mode & 0o700 != 0o700 {
            open_up(dir, &name)?;
        }
        let mut listing = Listing::of(&here)?;
        loop {
            let chunk = listing.next_chunk()?;
            if chunk.is_empty() {
                break;
            }
            for entry in chunk {
                let is_dir = match entry.kind {
                    FileKind::Unknown => Stat::at(&here, &entry.name)?.is_dir(),
                    kind => kind == FileKind::Directory,
                };
                if is_dir {
                    let fresh = fresh();
                    if rename_replacing(&here, &entry.name, dir, &fresh).is_err() {
                        // Moving a directory changes its "..", which takes write permission in it.
                        open_up(&here, &entry.name)?;
                        rename_replacing(&here, &entry.name, dir, &fresh)?;
                    }
                    heap.push(fresh);
                } else {
                    unlink(&here, &entry.name)?;
                }
            }
        }
        unlink_dir(dir, &name)?;
    }
    Ok(())
}

/// Lets its owner into the directory `name`.
fn open_up(dir: &Dir, name: &[u8]) -> Result<(), Errno> {
    crate::sys::special_mode(dir, name, 0o700).or_else(|error| {
        let readable = dir.open_child(name)?.readable().map_err(|_| error)?;
        give_mode(&readable, 0o700)
    })
}
