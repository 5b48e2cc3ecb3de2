//! What a file costs, in numbers that do not depend on how busy the machine is: system calls and instructions.
//!
//! Each form of moving is run on a small corpus and on a larger one, and the difference divided by that of the numbers of
//! files, so that what a run costs once drops out. The figures are compared with those in `benches/`; `benches/README.md`
//! tells how to read and renew them.

#[path = "../common/mod.rs"]
mod common;
mod figures;
mod forms;
mod measure;

use figures::{Calls, Instructions};
use forms::{Disks, Form};

#[test]
#[ignore = "needs root, loop mounts and strace"]
fn a_file_costs_the_system_calls_that_it_did() {
    let disks = Disks::new();
    let found = Calls::new(Form::all().map(|form| (form.to_string(), measure::calls(form, &disks))));
    found.compare_or_bless();
}

#[test]
#[ignore = "needs root, loop mounts and valgrind"]
fn a_file_costs_the_instructions_that_it_did() {
    let disks = Disks::new();
    // What cannot be compared is better known before a minute has gone by than behind it.
    let Some(known) = Instructions::known() else { return };
    let count = |form: Form| {
        let found = measure::instructions(form, &disks);
        // How the heap happens to lie may change a figure once, but not three times in the same direction.
        let again = |_| measure::instructions(form, &disks);
        if known.is_as_it_was(&form.to_string(), found) { found } else { (0..2).map(again).fold(found, f64::min) }
    };
    let found = Form::without_openat2().map(|form| (form.to_string(), count(form))).collect();
    known.compare_or_bless(found);
}
