//! System calls, and nothing else: the only room that changes files. Linux only for now; what differs on another
//! system goes into a module beside these, behind the same names.
//!
//! Everything here takes a directory that is held open and a name in it, never a path, except where
//! the user's own words are opened ([`Dir::open_named`]).

mod barrier;
mod content;
mod dir;
pub mod fault;
mod flagless;
mod kind;
mod limits;
mod listing;
mod metadata;
mod mount;
mod names;
mod stat;

pub(crate) use barrier::{Barrier, Durable, sync_removals};
pub(crate) use content::{
    Pipe, Transferred, append_all, clone_whole, close, copy_range, let_go, next_extent, read_at, reserve, set_size,
    write_all_at,
};
pub(crate) use dir::{
    Dir, create_dir, create_private_dir, create_special, create_symlink, follow, is_writable, lock, lock_and_wait,
    lock_shared, read_link,
};
pub(crate) use flagless::{
    Carried, carry, has_arrived, may_lack_flag, rename_by_link, rename_somehow, rename_without_flag,
};
pub(crate) use kind::FileKind;
pub(crate) use limits::{
    clear_umask, clock_offset, descriptor_limit, effective_user, exact_time, file_system_time, has_proc, memory,
    run_token, thread_time,
};
pub(crate) use listing::{Entry, Listing};
pub(crate) use metadata::{
    Attributes, copy_attributes, copy_link_attributes, give_mode, give_mode_held, give_owner, give_times,
    link_owner_and_times, remove_inherited_acl, special_mode,
};
pub(crate) use mount::{
    Durability, folded, folds_case, gains_by_reserving, has_local_clock, is_remote, keeps_owners, may_be_one_file,
};
pub(crate) use names::{
    Naming, NoReplace, create_named, create_unnamed, exchange, is_below, link, open_regular, publish_unnamed,
    rename_noreplace, rename_replacing, unlink, unlink_dir,
};
pub(crate) use stat::{FileId, Stat, Time, birth_of};
