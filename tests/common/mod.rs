//! What the integration tests share: trees to move, snapshots to compare, ways to run pmove, and file systems.
//!
//! Used with `mod common;` from each `tests/*.rs`. Nothing here looks into pmove's own modules: what these
//! tests know of pmove is its executable.

#![allow(dead_code, reason = "every test executable compiles all of this and uses its part")]
#![allow(unreachable_pub, reason = "`pub` marks what the tests use; an executable exports nothing anyway")]
#![allow(clippy::unnecessary_debug_formatting, reason = "reports must tell names of any bytes apart")]

mod content;
pub mod fs;
pub mod mount;
mod output;
pub mod power;
pub mod run;
pub mod snapshot;
pub mod trace;
pub mod tree;
