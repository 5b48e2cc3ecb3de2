//! File systems to measure on: on images in /dev/shm, so that no real disk's habits are measured, and a
//! directory on the real disk for comparison. All mounts are in a mount namespace of the benchmark's own, and all
//! images are unlinked as soon as they are attached: however it ends, nothing stays behind but empty directories.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// What directories and images are called.
const PREFIX: &str = "pmove-bench-";

/// A kind of file system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fs {
    Ext4,
    /// With reflinks, as `mkfs.xfs` makes it
    Xfs,
    Tmpfs,
    /// Whatever /var/tmp is on
    Real,
}

/// Where sources and targets are.
#[derive(Clone, Copy)]
pub(crate) enum Layout {
    One(Fs),
    Across(Fs, Fs),
    /// Two subvolumes of one btrfs
    Subvolumes,
    /// One xfs, seen through two mounts, between which nothing can be renamed
    BindMounts,
}

/// What a file system must hold.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) mib: u64,
    pub(crate) inodes: u64,
}

/// A place for sources and one for targets. They are gone when this is dropped.
pub(crate) struct Sides {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    /// Dropped in this order: what is mounted upon another comes first.
    _disks: Vec<Disk>,
}

/// Leaves the mount namespace that everybody else is in.
pub(crate) fn apart() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("no mount namespace of our own: this needs root")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("cannot keep mounts to ourselves")
}

impl Layout {
    /// Makes the file systems.
    pub(crate) fn make(self, room: Room) -> Result<Sides> {
        let (source, target, disks) = match self {
            Self::One(fs) => {
                let disk = Disk::make(fs, room)?;
                (disk.path("in"), disk.path("out"), vec![disk])
            }
            Self::Across(from, to) => {
                let (from, to) = (Disk::make(from, room)?, Disk::make(to, room)?);
                (from.path("in"), to.path("out"), vec![from, to])
            }
            Self::Subvolumes => {
                let disk = Disk::image(&["mkfs.btrfs", "-q", "-f"], room)?;
                for name in ["from", "to"] {
                    command(Command::new("btrfs").args(["subvolume", "create"]).arg(disk.path(name)))?;
                }
                (disk.path("from/in"), disk.path("to/out"), vec![disk])
            }
            Self::BindMounts => {
                let disk = Disk::make(Fs::Xfs, room)?;
                let again = Disk::bind(&disk)?;
                (disk.path("in"), again.path("out"), vec![again, disk])
            }
        };
        Ok(Sides { source, target, _disks: disks })
    }

    /// The programs that it takes.
    pub(crate) fn needs(self) -> Vec<&'static str> {
        let of = |fs| match fs {
            Fs::Ext4 => vec!["losetup", "mkfs.ext4"],
            Fs::Xfs => vec!["losetup", "mkfs.xfs"],
            Fs::Tmpfs | Fs::Real => vec![],
        };
        match self {
            Self::One(fs) => of(fs),
            Self::Across(from, to) => [of(from), of(to)].concat(),
            Self::Subvolumes => vec!["losetup", "mkfs.btrfs", "btrfs"],
            Self::BindMounts => of(Fs::Xfs),
        }
    }
}

enum Standing {
    Mounted,
    Plain,
}

struct Disk {
    dir: TempDir,
    standing: Standing,
}

impl Disk {
    fn make(fs: Fs, room: Room) -> Result<Self> {
        match fs {
            // Nothing is left for the kernel to initialise while we measure, and the journal is as large as on
            // disks of a usual size: a smaller one has to be emptied in the middle of a run.
            Fs::Ext4 => {
                let (inodes, now) = (room.inodes.to_string(), "lazy_itable_init=0,lazy_journal_init=0");
                Self::image(&["mkfs.ext4", "-q", "-F", "-N", &inodes, "-J", "size=128", "-E", now], room)
            }
            Fs::Xfs => Self::image(&["mkfs.xfs", "-q", "-f", "-l", "size=128m"], room),
            Fs::Tmpfs => {
                let dir = directory("/tmp")?;
                mount(Some("none"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=4g,nr_inodes=0"))?;
                Ok(Self { dir, standing: Standing::Mounted })
            }
            Fs::Real => Ok(Self { dir: directory("/var/tmp")?, standing: Standing::Plain }),
        }
    }

    /// A file system on an image. The image is preallocated, so that writing to it never allocates, and attached
    /// with direct I/O, so that nothing is cached twice.
    fn image(mkfs: &[&str], room: Room) -> Result<Self> {
        let image = tempfile::Builder::new().prefix(PREFIX).tempfile_in("/dev/shm")?;
        command(Command::new("fallocate").args(["-l", &format!("{}MiB", room.mib)]).arg(image.path()))?;
        let attach =
            |direct: &[&str]| command(Command::new("losetup").args(direct).args(["-f", "--show"]).arg(image.path()));
        let device = attach(&["--direct-io=on"]).or_else(|_| {
            eprintln!("losetup --direct-io=on is refused: what is written is cached twice");
            attach(&[])
        })?;
        // Detaching takes effect when the last one lets go of the device: at the unmounting, or right here if mounting fails.
        let detached = Detached(device.trim().to_owned());
        let (program, options) = mkfs.split_first().context("no mkfs")?;
        command(Command::new(program).args(options).arg(&detached.0))?;
        let dir = directory("/tmp")?;
        command(Command::new("mount").arg(&detached.0).arg(dir.path()))?;
        Ok(Self { dir, standing: Standing::Mounted })
    }

    fn bind(other: &Self) -> Result<Self> {
        let (dir, none): (_, Option<&str>) = (directory("/tmp")?, None);
        mount(Some(other.dir.path()), dir.path(), none, MsFlags::MS_BIND, none)?;
        Ok(Self { dir, standing: Standing::Mounted })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if matches!(self.standing, Standing::Mounted)
            && let Err(error) = umount2(self.dir.path(), MntFlags::MNT_DETACH)
        {
            eprintln!("{}: cannot unmount: {error}", self.dir.path().display());
        }
    }
}

struct Detached(String);

impl Drop for Detached {
    fn drop(&mut self) {
        if let Err(error) = command(Command::new("losetup").args(["-d", &self.0])) {
            eprintln!("{error:#}");
        }
    }
}

fn directory(below: &str) -> Result<TempDir> {
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(below).with_context(|| format!("{below}: no directory"))
}

/// Runs what must succeed, and returns what it prints.
pub(crate) fn command(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Looks a program up as a shell would, and where root's programs are.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places.map(|place| place.join(name)).find(|path| is_program(path))
}

/// Whether there is a program.
pub(crate) fn is_program(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
}
