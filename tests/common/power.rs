//! Power cuts: two file systems that lose power at the same moment, and come back as after a reboot.
//!
//! ext4 and xfs are cut by their shutdown ioctl: what has not reached the disk never will. btrfs has none; there the
//! disk itself is copied at one instant, by a reflink, and the copy takes its place. After a cut everything is attached
//! anew, so that device numbers change as they may at a reboot. Needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::fs::{Scratch, must, require_root, tool};
use super::mount::{FsType, LoopDevice, LoopFs, Mount};

/// Numbers that are random enough, and the same ones for the same seed (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that begin with `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// Heads or tails.
    pub fn toss(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Which of the two file systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// That of the sources.
    Source,
    /// That of the targets.
    Target,
}

/// A file system for sources and one for targets, on one disk.
#[derive(Debug)]
pub struct Machine {
    // Fields are dropped in this order: unmounted, detached, deleted.
    mounts: [Option<Mount>; 2],
    devices: Vec<LoopDevice>,
    kind: FsType,
    /// Of each file system. Bytes.
    size: u64,
    disk: Scratch,
}

impl Machine {
    /// A file system that disks can lie on whose power is cut by copying them.
    #[must_use]
    #[track_caller]
    pub fn shelf() -> LoopFs {
        LoopFs::new(FsType::Xfs, 4096)
    }

    /// Two empty file systems on a sparse disk in `dir`.
    #[must_use]
    #[track_caller]
    pub fn new(kind: FsType, dir: &Path) -> Self {
        Self::with_size(kind, dir, size(kind))
    }

    /// The same with `size` bytes for each.
    #[must_use]
    #[track_caller]
    pub fn with_size(kind: FsType, dir: &Path, size: u64) -> Self {
        require_root();
        let disk = Scratch::new_in(dir);
        let file = fs::File::create_new(disk.join("disk")).expect("a new file");
        file.set_len(2 * size).expect("a sparse file");
        let mut machine = Self { mounts: [None, None], devices: Vec::new(), kind, size, disk };
        machine.attach();
        for device in &machine.devices {
            must(kind.mkfs().arg(&device.0));
        }
        machine.mount();
        machine
    }

    /// Where one of them is mounted, the same place after [`Machine::boot`].
    #[must_use]
    pub fn path(&self, side: Side) -> &Path {
        self.mounts[side as usize].as_ref().expect("mounted, but in the middle of a boot").path()
    }

    /// Writes out what one of them holds, as the kernel may do at any time.
    #[track_caller]
    pub fn flush(&self, side: Side) {
        must(Command::new("sync").arg("-f").arg(self.path(side)));
    }

    /// Cuts the power. Only [`Machine::boot`] makes sense afterwards. Where the file systems go one after the other,
    /// `first` is the first.
    #[track_caller]
    pub fn cut(&self, first: Side) {
        if self.kind == FsType::Btrfs {
            let (from, to) = (self.disk.join("disk"), self.disk.join("copy"));
            must(Command::new("cp").arg("--reflink=always").arg(from).arg(to));
            return;
        }
        for index in [first as usize, 1 - first as usize] {
            let mount = self.mounts[index].as_ref().expect("mounted");
            // Without `-f`: not even finished transactions are written out.
            must(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(mount.path()));
        }
    }

    /// Comes back after a cut, or after nothing at all: with other devices, journal replay included.
    #[track_caller]
    pub fn boot(&mut self) {
        for mount in self.mounts.iter().flatten() {
            if let Err(why) = mount.unmount() {
                // Not lazily, as dropping would: the file system would go on and write what a power cut had lost.
                panic!("{why}");
            }
        }
        let old = std::mem::take(&mut self.devices);
        if self.kind == FsType::Btrfs {
            for device in &old {
                forget(&device.0);
            }
        }
        if self.disk.join("copy").exists() {
            fs::rename(self.disk.join("copy"), self.disk.join("disk")).expect("our own files");
        }
        // The old ones are detached only now, so that they are not found again.
        self.attach();
        drop(old);
        for (mount, device) in self.mounts.iter().zip(&self.devices) {
            let at = mount.as_ref().expect("it was mounted").path();
            must(Command::new("mount").args(["-t", self.kind.name()]).arg(&device.0).arg(at));
        }
    }

    fn attach(&mut self) {
        let size = self.size;
        for offset in [0, size] {
            let mut command = Command::new("losetup");
            // Direct: the file systems' pages are not cached a second time as the disk's.
            command.args(["--find", "--show", "--direct-io=on", "--offset", &offset.to_string()]);
            let device = must(command.args(["--sizelimit", &size.to_string()]).arg(self.disk.join("disk")));
            self.devices.push(LoopDevice(PathBuf::from(device)));
        }
    }

    fn mount(&mut self) {
        for (mount, device) in self.mounts.iter_mut().zip(&self.devices) {
            let mut command = Command::new("mount");
            let made = Mount::new(command.args(["-t", self.kind.name()]).arg(&device.0));
            *mount = Some(made.unwrap_or_else(|why| panic!("{why}")));
        }
    }
}

/// The kernel knows a btrfs by its device, and would not take an older state of it from another.
fn forget(device: &Path) {
    for _ in 0..250 {
        match tool(Command::new("btrfs").args(["device", "scan", "--forget"]).arg(device)) {
            // Somebody who has just made a mount namespace of his own has our mounts in it, for a moment.
            Err(why) if why.contains("busy") => thread::sleep(Duration::from_millis(20)),
            result => return result.map_or_else(|why| panic!("{why}"), drop),
        }
    }
    panic!("{} is still in use", device.display());
}

/// About the smallest that there is. Bytes.
fn size(kind: FsType) -> u64 {
    let mebibytes = match kind {
        FsType::Ext4 => 64,
        FsType::Xfs => 300,
        FsType::Btrfs => 128,
    };
    mebibytes << 20
}
