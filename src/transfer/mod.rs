//! Moving one batch, or one tree: rename; else stage, publish, retire.
//!
//! Called by `exec` on whatever thread it likes; nothing here waits for another thread, prints, or knows
//! of pools. A copy goes through types that each know only one way on, so that P1's order cannot be broken
//! by a slip:
//!
//! ```text
//! Batch ──stage──► Staged ──publish(Durable)──► Published ──retire(Durable)──► settled
//! ```
//!
//! A [`Durable`](crate::sys::Durable) can only come from a barrier in `sys`.

mod carried;
mod compare;
mod content;
mod context;
mod dress;
mod finish;
mod flagless;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod judged;
mod made_dirs;
mod other_name;
mod publish;
mod record;
mod rename;
mod resume;
mod retire;
mod special;
mod spent;
mod stage;
mod stage_dir;
mod staged;
mod stamp;
mod swap;
mod target;
mod trail;
mod tree;
#[cfg(any(fuzzing, test))]
pub(crate) use tree::fuzzing as tree_fuzzing;

pub(crate) use context::{Context, Stop, SyncMode};
pub(crate) use made_dirs::MadeDirs;
pub(crate) use publish::{Publication, Published};
pub(crate) use rename::rename_batch;
pub(crate) use resume::{Leftovers, Resumed};
pub(crate) use stage::{Deferred, SHARE, is_worth_sharing, stage_batch};
pub(crate) use stage_dir::is_hidden_name;
pub(crate) use staged::Staged;
pub(crate) use target::Target;
pub(crate) use tree::{NotStaged, PublishedTree, StagedTree, TreeJob, stage_tree};
