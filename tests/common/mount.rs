//! File systems made for one test: ext4, xfs and btrfs in loop-mounted images, tmpfs, bind mounts, overlays.
//!
//! All of it needs root. What cannot be mounted is a panic with the tool's own words; what was mounted is
//! unmounted when it goes out of scope, also when the test fails.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::fs::{Scratch, must, require_root, tool};

/// A mounted file system.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
    /// The directory made for it, where it was not mounted on one of the test's own.
    made: bool,
}

impl Mount {
    /// A tmpfs of at most `size` bytes. Mode 0755, owned by root.
    #[must_use]
    #[track_caller]
    pub fn tmpfs(size: u64) -> Self {
        let options = format!("size={size},mode=0755");
        Self::new(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]))
            .unwrap_or_else(|why| panic!("{why}"))
    }

    /// `from`, once more, at the existing directory (or file) `at`.
    #[must_use]
    #[track_caller]
    pub fn bind(from: &Path, at: &Path) -> Self {
        require_root();
        must(Command::new("mount").args(["--bind", "--"]).arg(from).arg(at));
        Self { at: at.to_owned(), made: false }
    }

    /// An overlay of `upper` over `lower`. `work` is an empty directory beside `upper`.
    #[must_use]
    #[track_caller]
    pub fn overlay(lower: &Path, upper: &Path, work: &Path) -> Self {
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        Self::new(Command::new("mount").args(["-t", "overlay", "-o", &options, "overlay"]))
            .unwrap_or_else(|why| panic!("{why}"))
    }

    /// What somebody else has mounted at the directory `at`, which was made for it.
    #[must_use]
    pub fn made_at(at: PathBuf) -> Self {
        Self { at, made: true }
    }

    /// Mounts at a new directory, which is the command's last argument.
    pub(super) fn new(command: &mut Command) -> Result<Self, String> {
        require_root();
        let at = tempfile::Builder::new().prefix("pmove-mount-").tempdir_in("/tmp").expect("a directory in /tmp");
        // So that tests can let an ordinary user in.
        fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).expect("chmod of our own directory");
        tool(command.arg(at.path()))?;
        Ok(Self { at: at.keep(), made: true })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }

    pub(super) fn unmount(&self) -> Result<(), String> {
        // A test in another thread that is about to start a program has our descriptors, too, for a moment.
        let mut result = Ok(());
        for _ in 0..50 {
            result = tool(Command::new("umount").arg("--").arg(&self.at)).map(drop);
            match &result {
                Err(why) if why.contains("busy") => thread::sleep(Duration::from_millis(20)),
                _ => break,
            }
        }
        result
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let result =
            self.unmount().or_else(|_| tool(Command::new("umount").arg("-l").arg("--").arg(&self.at)).map(drop));
        complain(&result);
        // Never with what is in it: it may still be mounted.
        if self.made {
            complain(&fs::remove_dir(&self.at).map_err(|error| error.to_string()));
        }
    }
}

/// Says what could not be cleaned up, without ending a test that may be failing already.
#[expect(clippy::print_stderr, reason = "a fixture's report, which the test harness captures")]
fn complain(result: &Result<(), String>) {
    if let Err(why) = result {
        eprintln!("left behind by a test: {why}");
    }
}

/// A file system that [`LoopFs`] can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsType {
    /// With 256-byte inodes, so that times have nanoseconds.
    Ext4,
    /// At least 300 MiB.
    Xfs,
    /// At least 114 MiB.
    Btrfs,
}

impl FsType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// As `mount -t` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// Neither discards nor initialises anything: the image is one big hole.
    pub(super) fn mkfs(self) -> Command {
        let (program, args): (_, &[&str]) = match self {
            Self::Ext4 => ("mkfs.ext4", &["-q", "-F", "-I", "256", "-E", "nodiscard,lazy_itable_init=1"]),
            Self::Xfs => ("mkfs.xfs", &["-q", "-f", "-K"]),
            Self::Btrfs => ("mkfs.btrfs", &["-q", "-f", "-K"]),
        };
        let mut command = Command::new(program);
        command.args(args);
        command
    }
}

/// A file system in an image, attached to a loop device and mounted.
#[derive(Debug)]
pub struct LoopFs {
    // Fields are dropped in this order: unmounted, detached, deleted.
    mount: Option<Mount>,
    device: LoopDevice,
    kind: FsType,
    image: Scratch,
}

#[derive(Debug)]
pub(super) struct LoopDevice(pub(super) PathBuf);

impl Drop for LoopDevice {
    fn drop(&mut self) {
        complain(&tool(Command::new("losetup").arg("--detach").arg(&self.0)).map(drop));
    }
}

impl LoopFs {
    /// A new file system of `size` MiB; its image is sparse and in memory.
    #[must_use]
    #[track_caller]
    pub fn new(kind: FsType, size: u64) -> Self {
        Self::with_image_in(Path::new("/dev/shm"), kind, size)
    }

    /// The same with the image in `dir`: on a small tmpfs its write-back fails although every write succeeds.
    #[must_use]
    #[track_caller]
    pub fn with_image_in(dir: &Path, kind: FsType, size: u64) -> Self {
        Self::create(dir, kind, size, &mut kind.mkfs()).unwrap_or_else(|why| panic!("{why}"))
    }

    /// An ext4 that keeps directories of up to some 60 short names in their inodes, so that only what is in files needs
    /// blocks of its own. Nor has anything of it been put off: what the kernel makes zeros of later, it makes holes of in the
    /// image, which is in `dir`.
    #[must_use]
    #[track_caller]
    pub fn ext4_with_inline_directories(dir: &Path, size: u64) -> Self {
        let mut mkfs = FsType::Ext4.mkfs();
        mkfs.args(["-O", "inline_data", "-b", "4096", "-I", "2048", "-N", "4096"]);
        mkfs.args(["-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"]);
        Self::create(dir, FsType::Ext4, size, &mut mkfs).unwrap_or_else(|why| panic!("{why}"))
    }

    /// An ext4 on which [`LoopFs::fold`] can make directories that do not tell `a` from `A`, or why this
    /// kernel has none.
    pub fn casefold(size: u64) -> Result<Self, String> {
        Self::create(Path::new("/dev/shm"), FsType::Ext4, size, FsType::Ext4.mkfs().args(["-O", "casefold"]))
    }

    fn create(dir: &Path, kind: FsType, size: u64, mkfs: &mut Command) -> Result<Self, String> {
        require_root();
        let image = Scratch::new_in(dir);
        let file = image.join("image");
        let sized = fs::File::create_new(&file).and_then(|file| file.set_len(size << 20));
        sized.map_err(|error| format!("{}: {error}", file.display()))?;
        tool(mkfs.arg(&file))?;
        // Direct: the file system's pages are not cached a second time as the image's.
        let device = tool(Command::new("losetup").args(["--find", "--show", "--direct-io=on"]).arg(&file))?;
        let device = LoopDevice(device.into());
        let mount = Some(mount_device(kind, &device)?);
        Ok(Self { mount, device, kind, image })
    }

    /// Where it is mounted, the same place after [`LoopFs::remount`].
    #[must_use]
    pub fn path(&self) -> &Path {
        self.mount.as_ref().expect("mounted, but in the middle of a remount").path()
    }

    /// The loop device.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device.0
    }

    /// The image's file.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.image.join("image")
    }

    /// Unmounts it and mounts it again, journal replay included: what is there now was on the disk.
    #[track_caller]
    pub fn remount(&mut self) {
        let mount = self.mount.take().expect("mounted, but in the middle of a remount");
        let at = mount.at.clone();
        let unmounted = mount.unmount();
        // Not lazily, as dropping would: the file system would go on and write what a power cut had lost.
        if let Err(why) = unmounted {
            self.mount = Some(mount);
            panic!("{why}");
        }
        let mounted = tool(mount_command(self.kind, &self.device).arg(&at));
        mounted.unwrap_or_else(|why| panic!("after a remount: {why}"));
        self.mount = Some(mount);
    }

    /// Cuts the power (ext4 and xfs): what has not reached the disk never will, and all that can be done is
    /// [`LoopFs::remount`].
    #[track_caller]
    pub fn shutdown(&self) {
        must(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(self.path()));
    }

    /// Makes a directory that folds case.
    #[track_caller]
    pub fn fold(&self, name: &str) -> PathBuf {
        let dir = self.path().join(name);
        fs::create_dir(&dir).expect("a new directory");
        must(Command::new("chattr").args(["+F", "--"]).arg(&dir));
        dir
    }
}

fn mount_command(kind: FsType, device: &LoopDevice) -> Command {
    let mut command = Command::new("mount");
    command.args(["-t", kind.name()]).arg(&device.0);
    command
}

fn mount_device(kind: FsType, device: &LoopDevice) -> Result<Mount, String> {
    Mount::new(&mut mount_command(kind, device))
}
