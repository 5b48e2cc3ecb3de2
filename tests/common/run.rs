//! Runs pmove in a hermetic environment, with a time limit, and says everything when an expectation fails.
//!
//! Nothing of the caller's environment reaches pmove but `PATH`; standard input is empty unless given.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::fs::must;
pub use super::output::Output;

/// One run of pmove, to be described and then started with [`Pmove::run`].
#[derive(Debug)]
pub struct Pmove {
    program: OsString,
    called: Option<String>,
    args: Vec<OsString>,
    cwd: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
    /// Shell commands that set what a process inherits and `std` cannot set.
    prelude: String,
    /// A program, with its arguments, that runs pmove: strace.
    under: Vec<OsString>,
    user: Option<(u32, u32)>,
    timeout: Duration,
}

/// A run that has not ended yet. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    readers: [Option<JoinHandle<Vec<u8>>>; 2],
    started: Instant,
    timeout: Duration,
    command: String,
    cwd: Option<PathBuf>,
}

impl Default for Pmove {
    fn default() -> Self {
        Self::new()
    }
}

impl Pmove {
    /// pmove without arguments.
    #[must_use]
    pub fn new() -> Self {
        Self::other(env!("CARGO_BIN_EXE_pmove"))
    }

    /// Another program in pmove's place: `mv`, to compare with it, or a shell.
    #[must_use]
    pub fn other(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            called: None,
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
            stdin: Vec::new(),
            prelude: String::new(),
            under: Vec::new(),
            user: None,
            timeout: Duration::from_mins(1),
        }
    }

    /// Runs it through a link of this name.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        self.called = Some(name.to_owned());
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// The working directory. Without one it is `/proc`, where a test that forgot it can do no harm.
    #[must_use]
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// One more variable in the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What it reads from standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        bytes.as_ref().clone_into(&mut self.stdin);
        self
    }

    /// The umask, which is 022 otherwise.
    #[must_use]
    pub fn umask(mut self, umask: u32) -> Self {
        write!(self.prelude, "umask {umask:04o} && ").expect("a String takes everything");
        self
    }

    /// A limit as the shell's `ulimit` takes it: `-n 64`, `-f 100`.
    #[must_use]
    pub fn limit(mut self, limit: &str) -> Self {
        write!(self.prelude, "ulimit {limit} && ").expect("a String takes everything");
        self
    }

    /// As another user and group; needs root.
    #[must_use]
    pub fn user(mut self, (uid, gid): (u32, u32)) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// Run by another program, whose arguments come first. The last call is the outermost.
    #[must_use]
    pub fn under(mut self, program: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let program: Vec<OsString> = program.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        self.under.splice(0..0, program);
        self
    }

    /// How long it may take, which is a minute otherwise. After that it is killed and the test fails.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Output {
        self.spawn().wait()
    }

    /// Starts it.
    #[must_use]
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        let mut command = self.command();
        let line = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        let mut stdin = child.stdin.take().expect("piped");
        let input = std::mem::take(&mut self.stdin);
        // Threads, so that neither side waits for the other. A program need not read all of its input.
        thread::spawn(move || stdin.write_all(&input).is_ok());
        let readers =
            [Some(reader(child.stdout.take().expect("piped"))), Some(reader(child.stderr.take().expect("piped")))];
        Running { child, readers, started: Instant::now(), timeout: self.timeout, command: line, cwd: self.cwd }
    }

    /// The command itself, for what this wrapper does not do (a terminal, a closed standard output).
    #[must_use]
    pub fn command(&self) -> Command {
        let program = self.program();
        // Through a shell for the umask and limits: setting them between fork and exec takes unsafe code, and
        // setting them here would change them for all tests of this process.
        let prelude = format!("umask 0022 && {}exec \"$@\"", self.prelude);
        // Whoever started the tests may have had signals ignored (nohup, a shell's background), which pmove would leave so: what is
        // watched is to behave, and to be counted, alike everywhere. (Not for the others: they need nothing but a shell.)
        let watched: &[&str] = if self.under.is_empty() { &[] } else { &["env", "--default-signal"] };
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &prelude, "sh"]).args(watched).args(&self.under).arg(program).args(&self.args);
        command.current_dir(self.cwd.as_deref().unwrap_or(Path::new("/proc")));
        command.env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        // A group of its own, so that a timeout can end it together with what it started.
        command.process_group(0);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// What to execute: the program, a copy that another user can reach, or a link of another name to either.
    fn program(&self) -> OsString {
        let path = Path::new(&self.program);
        let is_hidden = self.user.is_some() && path.is_absolute() && !is_reachable(path);
        if !is_hidden && self.called.is_none() {
            return self.program.clone();
        }
        BIN.with(|bin| {
            let program = if is_hidden { reachable_copy(bin.path(), path) } else { path.to_owned() };
            self.called.as_ref().map_or_else(|| program.clone(), |name| link_to(&program, bin.path(), name)).into()
        })
    }
}

thread_local! {
    /// Copies of pmove and links to it. Every test has its own thread, and with that this directory goes.
    static BIN: TempDir = {
        let dir = tempfile::Builder::new().prefix("pmove-bin-").tempdir().expect("a temporary directory");
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("chmod of our own directory");
        dir
    };
}

/// Whether users who own nothing of it can execute `path`: a build below `/root` they cannot.
fn is_reachable(path: &Path) -> bool {
    path.ancestors().all(|part| fs::metadata(part).is_ok_and(|metadata| metadata.mode() & 0o001 != 0))
}

/// Copied by `install`: if this process held a descriptor that can write to the copy, a test that starts a program
/// at that moment would inherit it, and executing the copy would fail with ETXTBSY.
fn reachable_copy(bin: &Path, program: &Path) -> PathBuf {
    let copy = bin.join("copy").join(program.file_name().expect("a program has a name"));
    if !copy.exists() {
        must(Command::new("install").args(["-D", "-m", "0755", "--"]).arg(program).arg(&copy));
    }
    copy
}

fn link_to(program: &Path, bin: &Path, name: &str) -> PathBuf {
    let link = bin.join(name);
    if fs::read_link(&link).is_ok_and(|target| target != program) {
        fs::remove_file(&link).expect("removing our own link");
    }
    if !link.is_symlink() {
        symlink(program, &link).expect("a link to the program");
    }
    link
}

fn reader(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("reading from a pipe");
        bytes
    })
}

impl Running {
    /// Sends a signal to it and to whatever runs it or is run by it.
    pub fn signal(&self, signal: Signal) {
        match rustix::process::kill_process_group(self.group(), signal) {
            // It has ended already, which is for `wait` to find out.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("cannot signal {}: {error}", self.command),
        }
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The process: pmove's own, unless something runs it that stays.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("waiting for our own child").is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let mut pause = Duration::from_micros(200);
        let mut timed_out = false;
        let mut ended = None;
        // Its end is not enough: a program that it left running may hold the pipes open.
        let status = loop {
            ended = ended.or_else(|| self.child.try_wait().expect("waiting for our own child"));
            if let Some(status) = ended
                && self.readers.iter().flatten().all(JoinHandle::is_finished)
            {
                break status;
            }
            if !timed_out && self.started.elapsed() > self.timeout {
                timed_out = true;
                self.signal(Signal::KILL);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        let mut collect = |n: usize| {
            let reader = self.readers[n].take().expect("collected once");
            reader.join().expect("a reader does not panic")
        };
        let (stdout, stderr) = (collect(0), collect(1));
        let (command, cwd) = (std::mem::take(&mut self.command), self.cwd.take());
        let output = Output { code: status.code(), signal: status.signal(), stdout, stderr, command, cwd };
        assert!(!timed_out, "took longer than {:?} and was killed\n{}", self.timeout, output.dump());
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Reaped already means that the number may be another process's by now.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
            self.child.wait().expect("waiting for our own child");
        }
    }
}
