//! One row: a set-up and a command line, run with both programs in fresh copies of the set-up.
//!
//! A line is `[NAME=VALUE...] [root] mv WORDS... [<INPUT]`. In words, `TO` is the other directory, `EMPTY` an empty word, `\x20`
//! a byte. `<y,n` is standard input of two lines, `<tty:y` the same from a terminal. Without `root`, an ordinary user acts.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::run::Pmove;
use crate::common::snapshot::Snapshot;
use crate::promises::ordinarily;
use crate::world::{Device, World, decode};

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) is_across: bool,
    pub(crate) setup: String,
    pub(crate) line: String,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) trees: Vec<Snapshot>,
}

impl Row {
    pub(crate) fn new(device: Device, setup: &str, line: &str) -> Self {
        Self { is_across: device == Device::Other, setup: setup.to_owned(), line: line.to_owned() }
    }

    /// How it is called in lists and messages.
    pub(crate) fn name(&self) -> String {
        format!("{} | {} | {}", if self.is_across { "other" } else { "same" }, self.setup, self.line)
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.line.split_whitespace()
    }

    /// What is typed.
    pub(crate) fn answers(&self) -> Vec<String> {
        let input = self.words().find_map(|word| word.strip_prefix('<'));
        let lines = input.map(|input| input.strip_prefix("tty:").unwrap_or(input).split(',').map(decode));
        lines.map(Iterator::collect).unwrap_or_default()
    }

    /// Those of its words that may be sources.
    pub(crate) fn sources(&self) -> Vec<String> {
        let words = self.words().skip_while(|word| *word != "mv").skip(1);
        let operands: Vec<&str> = words.filter(|word| !word.starts_with(['-', '<'])).collect();
        operands.iter().take(operands.len().saturating_sub(1)).map(|word| decode(word)).collect()
    }

    /// Runs `program` in a fresh copy of the set-up.
    pub(crate) fn run(&self, program: Pmove, world: &World) -> Outcome {
        let before_mv: Vec<&str> = self.words().take_while(|word| *word != "mv").collect();
        let is_root = before_mv.contains(&"root");
        world.make(&self.setup, is_root);
        let to = world.to.to_str().expect("a path of letters");
        let input: Vec<String> = self.answers().into_iter().map(|answer| answer + "\n").collect();
        let input = input.concat();
        let is_terminal = self.words().any(|word| word.starts_with("<tty:"));
        let mut program = program.cwd(&world.from);
        for (name, value) in before_mv.iter().filter_map(|word| word.split_once('=')) {
            program = program.env(name, decode(value));
        }
        let words = self.words().skip(before_mv.len() + 1).filter(|word| !word.starts_with('<'));
        for word in words {
            let word = if word == "EMPTY" { "" } else { word };
            program = program.arg(decode(&word.replace("TO", to)));
        }
        let program = if is_root { program } else { ordinarily(program) };
        let (code, stdout, stderr) = if is_terminal {
            at_a_terminal(program.command(), &input)
        } else {
            let output = program.stdin(input).run();
            (output.code, output.stdout_text(), output.stderr_text())
        };
        // In a UTF-8 locale mv has other quotes for what is no name.
        let plain = |text: String| text.replace(to, "TO").replace(['‘', '’'], "'");
        Outcome { code, stdout: plain(stdout), stderr: plain(stderr), trees: world.look() }
    }
}

/// Standard input is a terminal, on which somebody has typed `input` and the end of it.
fn at_a_terminal(mut command: Command, input: &str) -> (Option<i32>, String, String) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs: OwnedFd = rustix::fs::open(name, flags, Mode::empty()).unwrap();
    let mut ours = File::from(ours);
    ours.write_all(input.as_bytes()).and_then(|()| ours.write_all(b"\x04")).unwrap();
    let output = command.stdin(Stdio::from(theirs)).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
