//! The door for `benches/parts.rs`: the pure parts of pmove, one by one.
//!
//! Open only with the feature `bench-parts`, which no release has; what it shows are not pmove's interfaces.

pub use crate::plan::bench_parts::Plan;
pub use crate::report::bench_parts::LiveLine;
pub use crate::source::bench_parts::{Patterns, count_names};
