//! Standard output and standard error: nothing on success, nothing raw, and nothing that goes wrong with them
//! stops a move.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;
mod promises;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::fs::must;
use common::run::{Output, Pmove};
use common::tree::{self, Tree};
use promises::{Sides, across, everywhere, names, one_device};

fn make(dir: &Path) {
    Tree::new().files(400, |i| (format!("f{i:03}"), format!("content {i}"))).build(dir);
}

/// Runs `script` with pmove as `$0` and the target as `$1`.
fn shell(sides: &Sides, script: &str) -> Output {
    let pmove = env!("CARGO_BIN_EXE_pmove");
    Pmove::other("/bin/bash").args(["-c", script, pmove]).arg(&*sides.to).cwd(&sides.from).run()
}

#[track_caller]
fn assert_moved(sides: &Sides, output: &Output) {
    assert_eq!((names(&sides.from).len(), names(&sides.to).len()), (0, 400), "{}", output.dump());
    sides.assert_no_litter();
}

#[test]
fn h66_nothing_is_printed_on_success_in_a_pipe() {
    for sides in everywhere() {
        make(&sides.from);
        let output = sides.pmove().arg("*").arg(&*sides.to).run();
        output.ok().stdout_is("").stderr_is("");
        assert_moved(&sides, &output);
    }
}

#[test]
fn h66_a_reader_that_goes_away_does_not_stop_the_move() {
    for sides in everywhere() {
        // More than a pipe holds.
        Tree::new().files(3000, |i| (format!("f{i:04}"), String::new())).build(&sides.from);
        let output = shell(&sides, "\"$0\" -v f* \"$1\" | head -1; echo \"${PIPESTATUS[0]}\"");
        output.stderr_has("pmove: write error: Broken pipe\n");
        let text = output.stdout_text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 2 && lines[0].contains("'f0000' -> ") && lines[1] == "1", "{}", output.dump());
        assert_eq!((names(&sides.from).len(), names(&sides.to).len()), (0, 3000));
    }
}

#[test]
fn h66_a_full_standard_output_is_an_error_and_the_move_is_done() {
    for sides in everywhere() {
        make(&sides.from);
        let output = shell(&sides, "\"$0\" -v f* \"$1\" >/dev/full");
        output.fails_with(1).stderr_has("pmove: write error: No space left on device\n");
        assert_moved(&sides, &output);
        let output = shell(&sides, "\"$0\" --help >/dev/full");
        output.fails_with(1).stderr_is("pmove: write error: No space left on device\n");
    }
}

#[test]
fn h66_without_output_a_full_or_closed_one_is_fine() {
    for script in [
        "\"$0\" f* \"$1\" >/dev/full",
        "\"$0\" f* \"$1\" >&-",
        "\"$0\" f* \"$1\" >&- 2>&- <&-",
        "\"$0\" f* \"$1\" 2>/dev/full",
    ] {
        for sides in everywhere() {
            make(&sides.from);
            let output = shell(&sides, script);
            output.ok().stdout_is("").stderr_is("");
            assert_moved(&sides, &output);
        }
    }
}

#[test]
fn h66_a_closed_standard_output_is_never_a_file_of_the_move() {
    // The first file that is opened gets the free number: what is printed must not end up in it.
    for sides in everywhere() {
        make(&sides.from);
        let before = promises::files(&sides.from);
        let output = shell(&sides, "\"$0\" -v gone f* \"$1\" >&- 2>&- <&-");
        output.fails_with(1);
        assert!(promises::files(&sides.to) == before);
        assert_moved(&sides, &output);
    }
}

#[test]
fn h66_a_closed_or_full_standard_error_does_not_stop_the_move() {
    for script in ["\"$0\" gone f* \"$1\" 2>&-", "\"$0\" gone f* \"$1\" 2>/dev/full"] {
        for sides in everywhere() {
            make(&sides.from);
            let output = shell(&sides, script);
            output.fails_with(1);
            assert_moved(&sides, &output);
        }
    }
    let sides = one_device();
    make(&sides.from);
    let output = shell(&sides, "\"$0\" gone f* gone \"$1\" 2>&1 >/dev/null | true; echo \"${PIPESTATUS[0]}\"");
    output.stdout_is("1\n");
    assert_moved(&sides, &output);
}

#[test]
fn h37_no_control_character_reaches_the_outside_raw() {
    for sides in everywhere() {
        let odd = tree::name(b"\x1b[2J\n\r\x07\xff\x7f");
        Tree::new().file(&odd, "x").file("\u{202e}gnp.exe", "x").build(&sides.from);
        let (one, two) = (sides.pmove().args(["-v", "*"]).arg(&*sides.to).run(), {
            sides.pmove().args(["-v", "--"]).arg(&odd).arg("\u{9b}31m").arg(&*sides.to).run()
        });
        for bytes in [&one.stdout, &one.stderr, &two.stdout, &two.stderr] {
            let is_raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{fffd}';
            assert!(!String::from_utf8_lossy(bytes).contains(is_raw), "{}{}", one.dump(), two.dump());
        }
        assert_eq!(one.stdout_text().lines().filter(|line| line.contains(" -> ")).count(), 2);
        two.fails_with(1).stderr_has("cannot stat ''$'\\033''[2J'$'\\n\\r\\a\\377\\177'");
    }
}

#[test]
#[ignore = "needs strace"]
fn h69_progress_is_not_for_pipes_unless_asked_for() {
    let sides = across();
    Tree::new().file("big", vec![1; 80 << 20]).build(&sides.from);
    let output = promises::injected(sides.pmove().arg("big").arg(&*sides.to), &["linkat:delay_enter=1200ms"]).run();
    output.ok().stdout_is("").stderr_is("");
    fs::rename(sides.to.join("big"), sides.to.join("moved")).unwrap();
    Tree::new().file("big", vec![1; 8 << 20]).build(&sides.from);
    let pmove = sides.pmove().args(["--progress", "always", "big"]).arg(&*sides.to);
    let output = promises::injected(pmove, &["linkat:delay_enter=2500ms"]).run();
    let text = output.ok().stderr_text();
    assert!(text.contains("8.0 MiB") && !text.contains(['\x1b', '\r']), "{text:?}");
}

#[test]
#[ignore = "needs strace"]
fn h69_a_terminal_sees_one_live_line_and_short_moves_are_silent() {
    let sides = across();
    let run = |script: &str| {
        // script(1) gives it a terminal.
        let line = script.replace("PMOVE", env!("CARGO_BIN_EXE_pmove")).replace("TO", &sides.to.display().to_string());
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(&*sides.from).env("TERM", "xterm");
        must(&mut command)
    };
    make(&sides.from);
    assert_eq!(run("PMOVE f* TO"), "");
    Tree::new().file("big", vec![1; 8 << 20]).build(&sides.from);
    let seen = run("strace -fqqo /dev/null --trace=linkat --inject=linkat:delay_enter=2s PMOVE big TO");
    assert!(seen.contains("MiB") && seen.contains('\r') && !seen.contains('\n'), "{seen:?}");
}
