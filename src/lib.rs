//! `pmove` is `mv` for many files: concurrent, as fast as the kernel allows, and safe enough to
//! trust with the only copy.
//!
//! The data goes one way, and each room only knows the ones to its right:
//!
//! ```text
//! cli ──► source ──► plan ──► exec ──► transfer ──► sys
//!         candidates items    batches  one item     system calls
//!                               └─ outcomes ─► report
//! ```
//!
//! `CONTRIBUTING.md` follows one file through every type.
#![forbid(unsafe_code)]

#[cfg(feature = "bench-parts")]
#[doc(hidden)]
pub mod bench_parts;
pub mod cli;
mod crew;
pub mod error;
mod exec;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod input;
mod item;
mod plan;
pub mod report;
pub mod source;
mod sys;
mod transfer;

/// For pmove's own tests, and in no release build: faults at system calls.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub use sys::fault;
