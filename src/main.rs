//! The `pmove` command: everything is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    pmove::cli::main(std::env::args_os())
}
