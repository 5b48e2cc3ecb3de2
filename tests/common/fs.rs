//! Places to test in: a scratch directory on disk, another one on a second file system, and who may run there.
//!
//! A place that cannot be had is a panic that says what is missing. No test passes by not having run.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The magic number by which `statfs` knows tmpfs (`linux/magic.h`).
const TMPFS_MAGIC: i128 = 0x0102_1994;

/// A user that is not root and owns nothing: `nobody`.
#[must_use]
pub fn ordinary_user() -> (u32, u32) {
    (65534, 65534)
}

/// Whether this process is root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Panics unless the test runs as root.
#[track_caller]
pub fn require_root() {
    assert!(is_root(), "this test needs root: run 'sudo cargo test -- --include-ignored', or .ci/run as root");
}

/// A directory that is removed with everything in it when it goes out of scope.
#[derive(Debug)]
pub struct Scratch(Option<TempDir>);

impl Scratch {
    /// A new directory in `base`, of mode 0700.
    #[must_use]
    pub fn new_in(base: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("pmove-test-").tempdir_in(base);
        Self(Some(dir.unwrap_or_else(|error| panic!("cannot create a directory in {}: {error}", base.display()))))
    }

    /// The same directory, owned by `user`, so that pmove can work in it without being root.
    #[must_use]
    pub fn owned_by(self, user: (u32, u32)) -> Self {
        chown(&*self, Some(user.0), Some(user.1)).expect("chown of the scratch directory");
        self
    }
}

impl Deref for Scratch {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.0.as_ref().expect("present until dropped").path()
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        self
    }
}

impl Drop for Scratch {
    /// By `rm`, because `std` holds a descriptor for each level (a tree of 5,000 levels would stay), and because
    /// it must not wander into a mount that a failed test left behind.
    fn drop(&mut self) {
        let Some(dir) = self.0.take() else { return };
        let path = dir.path();
        if !remove(path) {
            // An ordinary user cannot empty a directory of mode 0555.
            succeeds(Command::new("chmod").args(["-R", "u+rwx", "--"]).arg(path));
            remove(path);
        }
        // What is still there, TempDir tries once more, and no test fails for it.
    }
}

fn remove(path: &Path) -> bool {
    succeeds(Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(path))
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// A directory on disk: in `$PMOVE_TEST_DIR` if that is set, else in `/tmp`, or, where that is a tmpfs,
/// below `target`.
#[must_use]
pub fn scratch() -> Scratch {
    Scratch::new_in(&disk())
}

/// A directory on another file system than [`scratch`]: on `/dev/shm`.
#[must_use]
pub fn other() -> Scratch {
    let shm = Path::new("/dev/shm");
    let metadata = fs::metadata(shm).unwrap_or_else(|error| panic!("tests across devices need /dev/shm: {error}"));
    let disk = disk();
    let here = fs::metadata(&disk).unwrap_or_else(|error| panic!("{}: {error}", disk.display()));
    assert_ne!(
        metadata.dev(),
        here.dev(),
        "tests across devices need /dev/shm and {} on two file systems; set PMOVE_TEST_DIR to a directory on disk",
        disk.display()
    );
    Scratch::new_in(shm)
}

fn disk() -> PathBuf {
    if let Some(dir) = std::env::var_os("PMOVE_TEST_DIR") {
        return dir.into();
    }
    let is_tmpfs = |path: &str| rustix::fs::statfs(path).is_ok_and(|s| i128::from(s.f_type) == TMPFS_MAGIC);
    if is_tmpfs("/tmp") { env!("CARGO_TARGET_TMPDIR").into() } else { "/tmp".into() }
}

/// Runs a tool that a fixture needs and gives back what it printed, or why it failed, in its own words.
pub fn tool(command: &mut Command) -> Result<String, String> {
    let line = format!("{command:?}");
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{line}: {error} (is it installed?)"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    Err(format!("{line}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()))
}

/// Like [`tool`], but a failure ends the test.
#[track_caller]
pub fn must(command: &mut Command) -> String {
    tool(command).unwrap_or_else(|why| panic!("{why}"))
}

/// Copies `from` to the new path `to` by `cp -a`, which keeps all that a snapshot compares.
#[track_caller]
pub fn copy(from: &Path, to: &Path) {
    must(Command::new("cp").args(["-a", "--"]).arg(from).arg(to));
}
