//! The forms in which files are moved, and their corpora: how sources are named, and where to.
//!
//! All on ext4 in memory, made anew each time: what the machine's own disk is, or holds, must not matter.

use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::fs::must;
use crate::common::mount::{FsType, LoopFs};
use crate::common::run::{Output, Pmove};

/// How the sources are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    OneFile,
    Operands,
    Pattern,
    List,
    Tree,
}

/// Where to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    OneDevice,
    Across,
    AcrossUnsynced,
}

/// How many files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// One: what a run costs.
    One,
    /// So few, and so many: what a file costs.
    Between(u32, u32),
}

/// One way to move files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    naming: Naming,
    route: Route,
}

/// Files in a directory of a tree.
const IN_A_DIRECTORY: u32 = 32;

/// Bytes in a file.
const SIZE: usize = 4096;

const ROUTES: [Route; 3] = [Route::OneDevice, Route::Across, Route::AcrossUnsynced];

impl Form {
    /// All that are counted.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let namings = [Naming::OneFile, Naming::Operands, Naming::Pattern, Naming::List, Naming::Tree];
        namings.into_iter().flat_map(|naming| ROUTES.into_iter().map(move |route| Self { naming, route }))
    }

    /// Those in which valgrind can run pmove: that of Debian 12 does not know openat2(2), without which no tree is copied.
    pub(crate) fn without_openat2() -> impl Iterator<Item = Self> {
        Self::all().filter(|form| form.naming != Naming::Tree || form.route == Route::OneDevice)
    }

    /// Whole batches, and more of them in the larger corpus.
    pub(crate) fn amount(self) -> Amount {
        match (self.naming, self.route) {
            (Naming::OneFile, _) => Amount::One,
            (_, Route::OneDevice) => Amount::Between(1024, 5120),
            (_, Route::Across | Route::AcrossUnsynced) => Amount::Between(256, 1280),
        }
    }

    /// Makes a corpus of so many files, has `run` move it with `program`, and sees to it that all of them arrived.
    pub(crate) fn moved<T>(
        self,
        program: &Path,
        disks: &Disks,
        files: u32,
        run: impl FnOnce(Pmove) -> (Output, T),
    ) -> T {
        let source = disks.here.path();
        let target = if self.route == Route::OneDevice { source } else { disks.there.path() }.join("out");
        fs::create_dir(&target).expect("a directory on a file system of our own");
        let names = self.fill(source, files);
        let (output, result) = run(self.command(program, source, &target, &names));
        output.ok();
        let arrived = must(std::process::Command::new("find").arg(&target).args(["-type", "f", "-printf", "x"]));
        assert_eq!(u32::try_from(arrived.len()), Ok(files), "not all have arrived\n{}", output.dump());
        for leftover in [&target, &source.join("in")] {
            must(std::process::Command::new("rm").args(["-rf", "--"]).arg(leftover));
        }
        result
    }

    /// Makes the files, and returns their paths, relative to the directory in which it makes them.
    fn fill(self, root: &Path, files: u32) -> Vec<PathBuf> {
        let path = |number: u32| match self.naming {
            Naming::Tree => format!("in/{:04}/{number:06}.csv", number / IN_A_DIRECTORY).into(),
            _ => format!("in/{number:06}.csv").into(),
        };
        let paths: Vec<PathBuf> = (0..files).map(path).collect();
        for path in paths.iter().map(|path| root.join(path)) {
            fs::create_dir_all(path.parent().unwrap_or(root)).expect("a directory");
            fs::write(path, [b'x'; SIZE]).expect("a file");
        }
        paths
    }

    fn command(self, program: &Path, root: &Path, target: &Path, names: &[PathBuf]) -> Pmove {
        // With one worker, so that batches come in one order whatever else the machine is doing.
        let pmove = Pmove::other(program).args(["-j", "1"]).cwd(root).timeout(std::time::Duration::from_mins(10));
        let pmove = if self.route == Route::AcrossUnsynced { pmove.args(["--sync", "none"]) } else { pmove };
        let pmove = pmove.arg("-t").arg(target);
        match self.naming {
            Naming::OneFile | Naming::Operands => pmove.args(names),
            Naming::Pattern => pmove.arg("in/*.csv"),
            Naming::List => {
                // Not by a pipe: how much one read of it finds is a matter of chance.
                let lines: Vec<String> = names.iter().map(|name| format!("{}\n", name.display())).collect();
                fs::write(root.join("list"), lines.concat()).expect("a list");
                pmove.args(["--files-from", "list"])
            }
            Naming::Tree => pmove.arg("in"),
        }
    }
}

impl Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let naming = match self.naming {
            Naming::OneFile => "one file",
            Naming::Operands => "operands",
            Naming::Pattern => "pattern",
            Naming::List => "list",
            Naming::Tree => "tree",
        };
        let route = match self.route {
            Route::OneDevice => "one device",
            Route::Across => "across devices",
            Route::AcrossUnsynced => "across devices, --sync none",
        };
        write!(f, "{naming}, {route}")
    }
}

/// Two file systems.
#[derive(Debug)]
pub(crate) struct Disks {
    here: LoopFs,
    there: LoopFs,
}

impl Disks {
    pub(crate) fn new() -> Self {
        Self { here: LoopFs::new(FsType::Ext4, 512), there: LoopFs::new(FsType::Ext4, 512) }
    }
}
