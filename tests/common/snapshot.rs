//! A snapshot of a tree: everything that P7 names, to be compared with another one.
//!
//! What no move can keep is left out: inode numbers, atime, ctime, directory sizes. Symbolic links are never
//! followed, and no path is longer than one name, so that trees deeper than `PATH_MAX` can be compared too.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;

pub use super::content::Content;

/// How many differing entries [`Snapshot::diff`] spells out.
const MAX_DIFFERENCES: usize = 40;

/// Everything below one path, by relative path; the path itself is `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    // Keys are bytes: comparing paths component by component takes minutes on a tree of 5,000 levels.
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// One file, as far as a move has to keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Regular file, directory, symbolic link, …
    pub kind: FileType,
    /// The twelve bits of mode: permissions, set-id, sticky. A symbolic link's say nothing.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// In bytes; 0 for what is neither a regular file nor a symbolic link.
    pub size: u64,
    /// What a regular file holds.
    pub content: Content,
    /// Where a regular file's data is: offsets of start and end, in whole pages. `None` after `without_holes`.
    pub data: Option<Vec<(u64, u64)>>,
    /// Where a symbolic link leads.
    pub target: Option<PathBuf>,
    /// The number of a device, else 0.
    pub device: u64,
    /// The first of the paths in this tree that are hard links to the same file, if there are several.
    pub link_group: Option<PathBuf>,
    /// Extended attributes, POSIX ACLs (`system.posix_acl_…`) among them.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

impl Snapshot {
    /// Looks at `path` and everything below it. Panics where it cannot: what was not seen cannot be compared.
    #[must_use]
    #[track_caller]
    pub fn of(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        Walk::default()
            .run(path)
            .unwrap_or_else(|error| panic!("cannot take a snapshot of {}: {error}", path.display()))
    }

    /// The same without holes, for file systems that do not keep them alike.
    #[must_use]
    pub fn without_holes(self) -> Self {
        self.edit(|_, entry| entry.data = None)
    }

    /// The same without the path itself, for a directory that something was moved into or out of.
    #[must_use]
    pub fn without_root(mut self) -> Self {
        self.entries.remove(b".".as_slice());
        self
    }

    /// The same with some properties set to what is expected.
    #[must_use]
    pub fn edit(mut self, mut change: impl FnMut(&Path, &mut Entry)) -> Self {
        for (path, entry) in &mut self.entries {
            change(as_path(path), entry);
        }
        self
    }

    /// One entry.
    #[must_use]
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&Entry> {
        self.entries.get(path.as_ref().as_os_str().as_bytes())
    }

    /// Every path, in the order of their bytes.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.entries.keys().map(|path| as_path(path))
    }

    /// How many entries there are, `.` included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// What differs, one entry a line with its fields below; empty if nothing does.
    #[must_use]
    pub fn diff(&self, other: &Self) -> String {
        let gone = self
            .entries
            .iter()
            .filter(|(path, _)| !other.entries.contains_key(*path))
            .map(|(path, entry)| (path, format!("- {:?} ({:?}) only on the left\n", as_path(path), entry.kind)));
        let rest = other.entries.iter().filter_map(|(path, right)| match self.entries.get(path) {
            None => Some((path, format!("+ {:?} ({:?}) only on the right\n", as_path(path), right.kind))),
            Some(left) if left != right => Some((path, format!("! {:?}\n{}", as_path(path), left.diff(right)))),
            Some(_) => None,
        });
        let mut found: Vec<(&Vec<u8>, String)> = gone.chain(rest).collect();
        found.sort();
        let mut text: String = found.iter().take(MAX_DIFFERENCES).map(|(_, line)| line.as_str()).collect();
        if found.len() > MAX_DIFFERENCES {
            writeln!(text, "… and {} more", found.len() - MAX_DIFFERENCES).expect("a String takes everything");
        }
        text
    }
}

/// Panics with the differences unless both snapshots are the same.
#[track_caller]
pub fn assert_same(left: &Snapshot, right: &Snapshot) {
    assert!(left == right, "the trees differ (left → right):\n{}", left.diff(right));
}

impl Entry {
    fn fields(&self) -> [(&'static str, String); 12] {
        let Self { kind, mode, uid, gid, mtime, size, content, data, target, device, link_group, xattrs } = self;
        [
            ("kind", format!("{kind:?}")),
            ("mode", format!("{mode:04o}")),
            ("uid", uid.to_string()),
            ("gid", gid.to_string()),
            ("mtime", format!("{}.{:09}", mtime.0, mtime.1)),
            ("size", size.to_string()),
            ("content", content.to_string()),
            ("data", format!("{data:?}")),
            ("target", format!("{target:?}")),
            ("device", format!("{device:#x}")),
            ("link group", format!("{link_group:?}")),
            ("xattrs", xattrs.iter().map(attribute).collect::<Vec<_>>().join(" ")),
        ]
    }

    /// The fields that differ, a line each.
    #[must_use]
    pub fn diff(&self, other: &Self) -> String {
        let pairs = self.fields().into_iter().zip(other.fields());
        let differing = pairs.filter(|(left, right)| left != right);
        let lines = differing.map(|((name, left), (_, right))| format!("    {name}: {left} → {right}\n"));
        lines.collect::<Vec<_>>().concat()
    }
}

fn attribute((name, value): (&OsString, &Vec<u8>)) -> String {
    format!("{name:?}=\"{}\"", value.escape_ascii())
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// The state of one look through a tree. One directory is open at a time: going up is `..`, which is right
/// as long as nobody moves the tree meanwhile, and costs no descriptors.
#[derive(Default)]
struct Walk {
    entries: BTreeMap<Vec<u8>, Entry>,
    /// The paths of files with several links, by device and inode.
    links: HashMap<(u64, u64), Vec<Vec<u8>>>,
    /// A buffer for content.
    buffer: Vec<u8>,
}

impl Walk {
    fn run(mut self, root: &Path) -> rustix::io::Result<Snapshot> {
        let parent = match root.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let (parent, name) = match root.file_name() {
            Some(name) => (open_dir(CWD, parent.as_os_str())?, name),
            None => (open_dir(CWD, root.as_os_str())?, OsStr::new(".")),
        };
        if self.record(parent.as_fd(), name, b".".to_vec())? == FileType::Directory {
            self.descend(open_dir(parent.as_fd(), name)?)?;
        }
        for paths in self.links.into_values().filter(|paths| paths.len() > 1) {
            let first = paths.iter().min().map(|path| as_path(path).to_owned());
            for path in paths {
                self.entries.get_mut(&path).expect("recorded").link_group.clone_from(&first);
            }
        }
        Ok(Snapshot { entries: self.entries })
    }

    fn descend(&mut self, root: OwnedFd) -> rustix::io::Result<()> {
        let mut prefix = Vec::new();
        let mut levels = vec![self.list(root.as_fd(), &prefix)?];
        let mut current = root;
        while let Some(pending) = levels.last_mut() {
            let Some(name) = pending.pop() else {
                levels.pop();
                if !levels.is_empty() {
                    current = open_dir(current.as_fd(), OsStr::new(".."))?;
                    let parent = prefix[..prefix.len() - 1].iter().rposition(|&byte| byte == b'/');
                    prefix.truncate(parent.map_or(0, |slash| slash + 1));
                }
                continue;
            };
            let length = prefix.len();
            prefix.extend_from_slice(name.as_bytes());
            let opened = open_dir(current.as_fd(), &name).and_then(|fd| {
                prefix.push(b'/');
                self.list(fd.as_fd(), &prefix).map(|subdirs| (fd, subdirs))
            });
            match opened {
                Ok((fd, subdirs)) => {
                    current = fd;
                    levels.push(subdirs);
                }
                Err(Errno::ACCESS) => {
                    if prefix.last() == Some(&b'/') {
                        prefix.pop();
                    }
                    self.entries.get_mut(&prefix).expect("recorded").content = Content::Unreadable;
                    prefix.truncate(length);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Records a directory's entries and gives back those that are directories.
    fn list(&mut self, dir: BorrowedFd, prefix: &[u8]) -> rustix::io::Result<Vec<OsString>> {
        let mut subdirs = Vec::new();
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let path = [prefix, name].concat();
            let name = OsStr::from_bytes(name);
            if self.record(dir, name, path)? == FileType::Directory {
                subdirs.push(name.to_owned());
            }
        }
        Ok(subdirs)
    }

    fn record(&mut self, dir: BorrowedFd, name: &OsStr, path: Vec<u8>) -> rustix::io::Result<FileType> {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut entry = Entry::from_stat(kind, &stat);
        entry.xattrs = xattrs(dir, name)?;
        match kind {
            FileType::RegularFile => {
                let (content, data) = Content::read(dir, name, entry.size, &mut self.buffer)?;
                (entry.content, entry.data) = (content, Some(data));
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes();
                entry.target = Some(OsString::from_vec(target).into());
            }
            _ => {}
        }
        if kind != FileType::Directory && stat.st_nlink > 1 {
            self.links.entry((stat.st_dev, stat.st_ino)).or_default().push(path.clone());
        }
        self.entries.insert(path, entry);
        Ok(kind)
    }
}

impl Entry {
    /// What `stat` tells; the rest is filled in by whoever opens the file.
    fn from_stat(kind: FileType, stat: &Stat) -> Self {
        let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        let has_size = matches!(kind, FileType::RegularFile | FileType::Symlink);
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).expect("below a second")),
            size: if has_size { u64::try_from(stat.st_size).expect("not negative") } else { 0 },
            content: Content::None,
            data: None,
            target: None,
            device: if is_device { stat.st_rdev } else { 0 },
            link_group: None,
            xattrs: BTreeMap::new(),
        }
    }
}

fn open_dir(dir: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

/// Reads all extended attributes, of symbolic links and special files too, which cannot be opened: the path
/// through /proc is short however deep the directory is.
fn xattrs(dir: BorrowedFd, name: &OsStr) -> rustix::io::Result<BTreeMap<OsString, Vec<u8>>> {
    let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
    let mut names = Vec::new();
    // Nearly every file has none, and one call says so.
    let length = match rustix::fs::llistxattr_query(&path) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error),
    };
    if length > 0 {
        names.resize(length, 0);
        let filled = rustix::fs::llistxattr(&path, &mut names[..])?;
        names.truncate(filled);
    }
    let mut found = BTreeMap::new();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        // How xfs stores the ACLs that are listed under their own names anyway; only root sees it.
        if name.starts_with(b"trusted.SGI_ACL_") {
            continue;
        }
        let mut value = vec![0; 64 * 1024];
        let length = rustix::fs::lgetxattr(&path, name, &mut value[..])?;
        value.truncate(length);
        found.insert(OsString::from_vec(name.to_owned()), value);
    }
    Ok(found)
}
