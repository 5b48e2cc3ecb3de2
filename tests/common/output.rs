//! How a run of pmove ended, and what a test expects of it.
//!
//! An expectation that does not hold panics with everything that helps to see why: the command, the working
//! directory and its tree, the exit status, and both outputs.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::Signal;

/// How many lines of the working directory's tree a failure shows.
const MAX_LISTING: usize = 100;

/// How a run ended and what it wrote.
#[derive(Debug)]
pub struct Output {
    /// The exit status, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Everything it wrote to standard output.
    pub stdout: Vec<u8>,
    /// Everything it wrote to standard error.
    pub stderr: Vec<u8>,
    pub(super) command: String,
    pub(super) cwd: Option<PathBuf>,
}

impl Output {
    /// What a process came to that was not started by [`super::run::Pmove::spawn`].
    #[must_use]
    pub fn new(status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8>, command: String) -> Self {
        Self { code: status.code(), signal: status.signal(), stdout, stderr, command, cwd: None }
    }

    /// It ended with 0.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.fails_with(0)
    }

    /// It ended with this status.
    #[track_caller]
    pub fn fails_with(&self, code: i32) -> &Self {
        self.expect(self.code == Some(code), &format!("expected exit status {code}"))
    }

    /// This signal ended it.
    #[track_caller]
    pub fn dies_by(&self, signal: Signal) -> &Self {
        self.expect(self.signal == Some(signal.as_raw()), &format!("expected its end by {signal:?}"))
    }

    /// It wrote exactly this to standard error.
    #[track_caller]
    pub fn stderr_is(&self, text: &str) -> &Self {
        self.expect(self.stderr == text.as_bytes(), &format!("expected this on stderr, and nothing else:\n{text}"))
    }

    /// This is part of what it wrote to standard error.
    #[track_caller]
    pub fn stderr_has(&self, text: &str) -> &Self {
        let found = String::from_utf8_lossy(&self.stderr).contains(text);
        self.expect(found, &format!("expected this on stderr, among other things:\n{text}"))
    }

    /// It wrote exactly this to standard output.
    #[track_caller]
    pub fn stdout_is(&self, text: impl AsRef<[u8]>) -> &Self {
        let text = text.as_ref();
        let what = format!("expected this on stdout, and nothing else:\n{}", String::from_utf8_lossy(text));
        self.expect(self.stdout == text, &what)
    }

    /// What it wrote to standard output, as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What it wrote to standard error, as text.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    #[track_caller]
    fn expect(&self, holds: bool, what: &str) -> &Self {
        assert!(holds, "{what}\n{}", self.dump());
        self
    }

    /// Everything that helps to see what happened.
    #[must_use]
    pub fn dump(&self) -> String {
        let listing = self.cwd.as_deref().map_or_else(|| "(none given)".to_owned(), listing);
        format!(
            "command: {}\ncwd: {:?}\nexit status: {:?}, signal: {:?}\n--- stdout\n{}\n--- stderr\n{}\n--- cwd\n{listing}",
            self.command,
            self.cwd,
            self.code,
            self.signal,
            self.stdout_text(),
            self.stderr_text(),
        )
    }
}

/// The tree below `dir`, as `find -ls` would show it.
fn listing(dir: &Path) -> String {
    let mut lines = Vec::new();
    list_into(dir, dir, &mut lines);
    if lines.len() > MAX_LISTING {
        lines.truncate(MAX_LISTING);
        lines.push("…".to_owned());
    }
    lines.join("\n")
}

fn list_into(root: &Path, dir: &Path, lines: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else {
        lines.push(format!("?            {:?}: cannot be listed", dir.strip_prefix(root).unwrap_or(dir)));
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if lines.len() > MAX_LISTING {
            return;
        }
        let Ok(metadata) = path.symlink_metadata() else { continue };
        let name = path.strip_prefix(root).unwrap_or(&path);
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => 'd',
            kind if kind.is_symlink() => 'l',
            kind if kind.is_fifo() => 'p',
            kind if kind.is_socket() => 's',
            kind if kind.is_char_device() => 'c',
            kind if kind.is_block_device() => 'b',
            _ => '-',
        };
        let target = fs::read_link(&path).map(|target| format!(" -> {target:?}")).unwrap_or_default();
        let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        lines.push(format!(
            "{kind} {mode:04o} {} {uid}:{gid} {:>9} {name:?}{target}",
            metadata.nlink(),
            metadata.len()
        ));
        if metadata.is_dir() {
            list_into(root, &path, lines);
        }
    }
}
