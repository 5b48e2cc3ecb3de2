//! A model of what a move means: two trees in memory, a command line, and what both look like afterwards.
//!
//! It knows nothing of devices, threads, stages or barriers: what it says has to come out on one device and across
//! two, whatever the number of workers. It is as simple as it can be: one source after the other, as `mv` would do it.
//!
//! Goes with `mod common;` in the test that uses it.

#![allow(dead_code, reason = "every test executable compiles all of this and uses its part")]
#![allow(unreachable_pub, reason = "`pub` marks what the tests use; an executable exports nothing anyway")]

pub mod command;
pub mod compare;
pub mod expand;
pub mod find;
pub mod generate;
mod order;
pub mod rules;
pub mod world;
