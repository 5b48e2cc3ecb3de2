//! Faults at every system call that pmove makes, inside this process: thousands of runs, each with one call (or two)
//! that fails, falls short, is the last one before a kill, or has somebody else doing something just before it.
//!
//! A sweep first counts the calls of a quiet run, then goes through them. So that it takes seconds, it takes some of
//! them only; `PMOVE_TEST_EXHAUSTIVE=1` takes all.

#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(clippy::print_stderr, reason = "how many runs there were is worth knowing")]
#![allow(unreachable_pub, reason = "`pub` marks what the tests share; an executable exports nothing anyway")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../promises/mod.rs"]
mod promises;

mod audit;
mod errors;
mod kills;
mod mended;
mod overtaken;
mod policies;
mod races;
mod seam;
mod shorts;
mod shutdown;
mod sweep;
mod world;
