//! Running the work: batches on a rayon pool, one coordinating thread, one thread that waits for barriers.
//!
//! The coordinator takes candidates from `source`, has them planned, cuts the items into batches and hands
//! these to workers, never more than there are permits for. Workers call `transfer` and send back what is
//! settled; they never print, prompt, or wait for a barrier. (One that waits for the other parts of its tree takes other work
//! meanwhile.) What is to be renamed has a lane of its own, in which one worker at a time takes batch after batch.

mod coordinator;
mod dry_run;
mod engine;
mod groups;
mod order;
mod tally;
mod work;

pub(crate) use coordinator::Coordinator;
pub(crate) use dry_run::dry_run;
