//! A fixture builder: describes a tree of files in a few lines and makes it.
//!
//! Every kind of file and every property that P7 names can be asked for. The result depends on neither the
//! umask nor the order of directories and their entries. Needs no tools.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags};

/// The xattrs in which the kernel hands out POSIX ACLs, whatever the file system keeps them in.
pub const ACL_ACCESS: &str = "system.posix_acl_access";
/// The ACL that a directory's new entries inherit.
pub const ACL_DEFAULT: &str = "system.posix_acl_default";

/// A tree to be made with [`Tree::build`]. What describes an entry (`mode`, `mtime`, …) follows the entry.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    path: PathBuf,
    kind: Kind,
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(String, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Kind {
    File(Vec<u8>),
    Sparse { size: u64, data: Vec<(u64, Vec<u8>)> },
    Dir,
    Symlink(PathBuf),
    HardLink(PathBuf),
    Special { kind: FileType, device: u64 },
}

impl Tree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Something of everything that an ordinary user can make, with properties that are easily lost.
    #[must_use]
    pub fn everything() -> Self {
        Self::new()
            .file("a.csv", "x")
            .mode(0o600)
            .mtime(1_000_000_000, 123_456_789)
            .xattr("user.k", b"v")
            .file("set-id", "s")
            .mode(0o6755)
            .file("d/deep/f", vec![7; 100_000])
            .dir("d")
            .mode(0o2750)
            .mtime(1, 1)
            .xattr("user.on", "dir")
            .file("acl", "a")
            .acl("u::rw-,u:1000:r--,g::r--,m::rw-,o::---")
            .dir("d/default")
            .default_acl("u::rwx,u:1000:r-x,g::r-x,m::rwx,o::---")
            .hard_link("b", "a.csv")
            .hard_link("d/c", "a.csv")
            .symlink("l", "a.csv")
            .mtime(-5, 999_999_999)
            .symlink("dangling", name(b"no\xff\nwhere"))
            .fifo("p")
            .mode(0o640)
            .socket("s")
            .file(name(b"bytes \xff\n\x1b"), "n")
            .file("empty", "")
            .sparse("big", 10 << 20, &[(4 << 20, b"data"), ((10 << 20) - 3, b"end")])
    }

    fn node(mut self, path: impl AsRef<Path>, kind: Kind) -> Self {
        let path = path.as_ref().to_owned();
        self.nodes.push(Node { path, kind, owner: None, mode: None, mtime: None, xattrs: Vec::new() });
        self
    }

    fn last(&mut self) -> &mut Node {
        self.nodes.last_mut().expect("a property follows the entry that it belongs to")
    }

    /// A regular file of mode 0644. Missing directories on its way are made too, here and below.
    #[must_use]
    pub fn file(self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Self {
        self.node(path, Kind::File(content.as_ref().to_owned()))
    }

    /// `count` regular files, the `i`-th with the path and the content that `describe(i)` gives.
    #[must_use]
    pub fn files(self, count: usize, describe: impl Fn(usize) -> (String, String)) -> Self {
        (0..count).map(describe).fold(self, |tree, (path, content)| tree.file(path, content))
    }

    /// A regular file of `size` bytes that is a hole but for `data`, given as offsets and bytes.
    #[must_use]
    pub fn sparse(self, path: impl AsRef<Path>, size: u64, data: &[(u64, &[u8])]) -> Self {
        let data = data.iter().map(|&(offset, bytes)| (offset, bytes.to_owned())).collect();
        self.node(path, Kind::Sparse { size, data })
    }

    /// A directory of mode 0755.
    #[must_use]
    pub fn dir(self, path: impl AsRef<Path>) -> Self {
        self.node(path, Kind::Dir)
    }

    /// A symbolic link to `target`, which need not exist.
    #[must_use]
    pub fn symlink(self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Self {
        let target = target.as_ref().to_owned();
        self.node(path, Kind::Symlink(target))
    }

    /// One more name for `existing`, an earlier entry of this tree (not a directory).
    #[must_use]
    pub fn hard_link(self, path: impl AsRef<Path>, existing: impl AsRef<Path>) -> Self {
        let existing = existing.as_ref().to_owned();
        self.node(path, Kind::HardLink(existing))
    }

    /// A FIFO of mode 0644.
    #[must_use]
    pub fn fifo(self, path: impl AsRef<Path>) -> Self {
        self.node(path, Kind::Special { kind: FileType::Fifo, device: 0 })
    }

    /// A socket of mode 0644 that nobody listens on.
    #[must_use]
    pub fn socket(self, path: impl AsRef<Path>) -> Self {
        self.node(path, Kind::Special { kind: FileType::Socket, device: 0 })
    }

    /// A character device; needs root.
    #[must_use]
    pub fn char_device(self, path: impl AsRef<Path>, major: u32, minor: u32) -> Self {
        let device = rustix::fs::makedev(major, minor);
        self.node(path, Kind::Special { kind: FileType::CharacterDevice, device })
    }

    /// A block device; needs root.
    #[must_use]
    pub fn block_device(self, path: impl AsRef<Path>, major: u32, minor: u32) -> Self {
        let device = rustix::fs::makedev(major, minor);
        self.node(path, Kind::Special { kind: FileType::BlockDevice, device })
    }

    /// The mode, set-id and sticky bits included. A symbolic link has none.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.last().mode = Some(mode);
        self
    }

    /// The owner; needs root unless it is the caller.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.last().owner = Some((uid, gid));
        self
    }

    /// The time of modification: seconds since 1970, and nanoseconds.
    #[must_use]
    pub fn mtime(mut self, seconds: i64, nanoseconds: u32) -> Self {
        self.last().mtime = Some((seconds, nanoseconds));
        self
    }

    /// An extended attribute, `user.…` (files and directories only) or, as root, `trusted.…`.
    #[must_use]
    pub fn xattr(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.last().xattrs.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// An access ACL as setfacl takes it, with numeric ids and nothing left out:
    /// `u::rw-,u:1000:r--,g::r--,m::rw-,o::---`. It decides the mode's permission bits.
    #[must_use]
    pub fn acl(self, text: &str) -> Self {
        self.xattr(ACL_ACCESS, acl(text))
    }

    /// A directory's default ACL, written as for [`Tree::acl`]. The tree's own entries do not inherit it.
    #[must_use]
    pub fn default_acl(self, text: &str) -> Self {
        self.xattr(ACL_DEFAULT, acl(text))
    }

    /// Makes the tree in `dir`, which exists.
    #[track_caller]
    pub fn build(&self, dir: impl AsRef<Path>) {
        let dir = dir.as_ref();
        for node in &self.nodes {
            let path = dir.join(&node.path);
            let make = || {
                make_parents(dir, &node.path)?;
                node.kind.make(&path, dir)?;
                if matches!(node.kind, Kind::Dir) { Ok(()) } else { node.describe(&path) }
            };
            make().unwrap_or_else(|error: std::io::Error| panic!("cannot make {}: {error}", path.display()));
        }
        // Directories last and bottom-up: an entry made later would change the time, and might not be allowed.
        let mut dirs: Vec<&Node> = self.nodes.iter().filter(|node| matches!(node.kind, Kind::Dir)).collect();
        dirs.sort_by_key(|node| std::cmp::Reverse(node.path.components().count()));
        for node in dirs {
            let path = dir.join(&node.path);
            node.describe(&path).unwrap_or_else(|error| panic!("cannot describe {}: {error}", path.display()));
        }
    }
}

fn make_parents(dir: &Path, path: &Path) -> std::io::Result<()> {
    let mut parents: Vec<&Path> = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()).collect();
    parents.reverse();
    parents.into_iter().try_for_each(|parent| make_dir(&dir.join(parent)))
}

/// A directory of mode 0755, unless there is one already.
fn make_dir(path: &Path) -> std::io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
    }
}

impl Kind {
    fn make(&self, path: &Path, dir: &Path) -> std::io::Result<()> {
        match self {
            Self::Dir => return make_dir(path),
            Self::Symlink(target) => return symlink(target, path),
            Self::HardLink(existing) => return fs::hard_link(dir.join(existing), path),
            Self::File(content) => File::create_new(path)?.write_all(content)?,
            Self::Sparse { size, data } => {
                let file = File::create_new(path)?;
                // The size first: xfs preallocates behind the end of a file that grows, and that is no hole.
                file.set_len(*size)?;
                data.iter().try_for_each(|(offset, bytes)| file.write_all_at(bytes, *offset))?;
            }
            Self::Special { kind, device } => {
                rustix::fs::mknodat(CWD, path, *kind, Mode::from_raw_mode(0o644), *device)?;
            }
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o644))
    }
}

impl Node {
    /// Gives an entry its properties, in the order in which none of them undoes another: a change of owner
    /// clears set-id bits and capabilities, a read-only mode keeps an ordinary user from setting xattrs, and a
    /// mode set after an ACL would rewrite the ACL's mask.
    fn describe(&self, path: &Path) -> std::io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            lchown(path, Some(uid), Some(gid))?;
        }
        let (acls, plain): (Vec<_>, Vec<_>) = self.xattrs.iter().partition(|(name, _)| name.starts_with("system."));
        for (name, value) in plain {
            rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty())?;
        }
        if let Some(mode) = self.mode {
            assert!(!matches!(self.kind, Kind::Symlink(_)), "a symbolic link has no mode: {}", path.display());
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        for (name, value) in acls {
            rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty())?;
        }
        if let Some((seconds, nanoseconds)) = self.mtime {
            set_mtime(path, seconds, nanoseconds)?;
        }
        Ok(())
    }
}

/// Sets a file's time of modification, also a symbolic link's own.
pub fn set_mtime(path: &Path, seconds: i64, nanoseconds: u32) -> std::io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
    };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// A name of any bytes.
#[must_use]
pub fn name(bytes: &[u8]) -> PathBuf {
    std::ffi::OsStr::from_bytes(bytes).into()
}

/// An ACL's text as the bytes that the kernel takes: version 2, then tag, permissions and id of each entry, in
/// the order of the tags, little-endian (`linux/posix_acl_xattr.h`).
#[must_use]
pub fn acl(text: &str) -> Vec<u8> {
    let mut entries: Vec<(u16, u32, u16)> = text.split(',').map(acl_entry).collect();
    entries.sort_unstable();
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn acl_entry(text: &str) -> (u16, u32, u16) {
    let fields: Vec<&str> = text.split(':').collect();
    let [who, id, permissions] = fields[..] else { panic!("not an ACL entry: {text}") };
    // ACL_USER_OBJ, ACL_USER and so on; an entry without an id has the "undefined" one.
    let tag = match (who, id.is_empty()) {
        ("u", true) => 0x01,
        ("u", false) => 0x02,
        ("g", true) => 0x04,
        ("g", false) => 0x08,
        ("m", true) => 0x10,
        ("o", true) => 0x20,
        _ => panic!("not an ACL entry: {text}"),
    };
    let id = if id.is_empty() { u32::MAX } else { id.parse().expect("a numeric id") };
    let bit = |letter, value| if permissions.contains(letter) { value } else { 0 };
    (tag, id, bit('r', 4) | bit('w', 2) | bit('x', 1))
}

/// Makes `levels` directories called `name`, one in the other, in `dir`: deeper than any path can say.
pub fn nest(dir: &Path, name: &str, levels: usize) -> std::io::Result<()> {
    use rustix::fs::{OFlags, mkdirat, open, openat};
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut current = open(dir, flags, Mode::empty())?;
    for _ in 0..levels {
        mkdirat(&current, name, Mode::from_raw_mode(0o755))?;
        current = openat(&current, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(())
}
