//! The tree in memory: inodes by number, names in directories. Knows nothing of FUSE's requests.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};
use rustix::io::Errno;

use super::{Flags, Holes, Quirks};

pub(super) type Result<T> = std::result::Result<T, Errno>;

#[derive(Debug)]
pub(super) enum Body {
    /// What is behind `data` up to `size` reads as zeros.
    File {
        data: Vec<u8>,
        size: u64,
    },
    Dir(BTreeMap<OsString, Entry>),
    Symlink(OsString),
    Special(FileType),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) ino: u64,
    /// Where a listing goes on after this entry.
    pub(super) cookie: u64,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) body: Body,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) links: u32,
    pub(super) device: u32,
    pub(super) times: [SystemTime; 3],
    pub(super) xattrs: BTreeMap<OsString, Vec<u8>>,
    /// How often it is open.
    pub(super) open: u32,
    /// The name and the directory that it got last.
    pub(super) name: OsString,
    pub(super) parent: u64,
    /// Something that was written to it is lost.
    pub(super) spoilt: bool,
}

/// A new file, before it has a name.
pub(super) struct New {
    pub(super) body: Body,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) device: u32,
}

#[derive(Debug)]
pub(super) struct Store {
    nodes: HashMap<u64, Node>,
    next: u64,
    used: u64,
}

const ROOT: u64 = 1;

impl Node {
    fn new(new: New) -> Self {
        let now = SystemTime::now();
        let links = if matches!(new.body, Body::Dir(_)) { 2 } else { 0 };
        Self {
            body: new.body,
            mode: new.mode & 0o7777,
            owner: new.owner,
            links,
            device: new.device,
            times: [now; 3],
            xattrs: BTreeMap::new(),
            open: 0,
            name: OsString::new(),
            parent: ROOT,
            spoilt: false,
        }
    }

    pub(super) fn is_dir(&self) -> bool {
        matches!(self.body, Body::Dir(_))
    }

    pub(super) fn kind(&self) -> FileType {
        match self.body {
            Body::File { .. } => FileType::RegularFile,
            Body::Dir(_) => FileType::Directory,
            Body::Symlink(_) => FileType::Symlink,
            Body::Special(kind) => kind,
        }
    }

    pub(super) fn touch(&mut self) {
        self.times[2] = SystemTime::now();
    }

    fn written(&mut self) {
        let now = SystemTime::now();
        self.times[1] = now;
        self.times[2] = now;
    }

    pub(super) fn attributes(&self, ino: u64, quirks: &Quirks) -> FileAttr {
        let real = match &self.body {
            Body::File { size, .. } => *size,
            Body::Symlink(target) => target.len() as u64,
            Body::Dir(_) | Body::Special(_) => 0,
        };
        let is_file = matches!(self.body, Body::File { .. });
        let size = if quirks.sizeless && is_file { 0 } else { real };
        let blocks = if quirks.holes == Holes::Everywhere { u64::from(size > 0) } else { size.div_ceil(512) };
        let (mode, uid, gid) = quirks.all_alike.unwrap_or((self.mode, self.owner.0, self.owner.1));
        let time = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
            Ok(since) if quirks.whole_seconds => UNIX_EPOCH + Duration::from_secs(since.as_secs()),
            _ => time,
        };
        FileAttr {
            ino: INodeNo(ino),
            size,
            blocks,
            atime: time(self.times[0]),
            mtime: time(self.times[1]),
            ctime: time(self.times[2]),
            crtime: UNIX_EPOCH,
            kind: self.kind(),
            perm: u16::try_from(mode & 0o7777).unwrap_or_default(),
            nlink: self.links,
            uid,
            gid,
            rdev: self.device,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Store {
    pub(super) fn new() -> Self {
        let root = New { body: Body::Dir(BTreeMap::new()), mode: 0o755, owner: (0, 0), device: 0 };
        Self { nodes: HashMap::from([(ROOT, Node::new(root))]), next: ROOT, used: 0 }
    }

    pub(super) fn node(&self, ino: u64) -> Result<&Node> {
        self.nodes.get(&ino).ok_or(Errno::STALE)
    }

    pub(super) fn node_mut(&mut self, ino: u64) -> Result<&mut Node> {
        self.nodes.get_mut(&ino).ok_or(Errno::STALE)
    }

    pub(super) fn entries(&self, dir: u64) -> Result<&BTreeMap<OsString, Entry>> {
        match &self.node(dir)?.body {
            Body::Dir(entries) => Ok(entries),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn entries_mut(&mut self, dir: u64) -> Result<&mut BTreeMap<OsString, Entry>> {
        let node = self.node_mut(dir)?;
        node.written();
        match &mut node.body {
            Body::Dir(entries) => Ok(entries),
            _ => Err(Errno::NOTDIR),
        }
    }

    pub(super) fn lookup(&self, quirks: &Quirks, dir: u64, name: &OsStr) -> Result<u64> {
        check(quirks, name)?;
        self.entries(dir)?.get(&key(quirks, name)).map(|entry| entry.ino).ok_or(Errno::NOENT)
    }

    pub(super) fn make(&mut self, quirks: &Quirks, dir: u64, name: &OsStr, new: New) -> Result<u64> {
        check(quirks, name)?;
        if self.lookup(quirks, dir, name).is_ok() {
            return Err(Errno::EXIST);
        }
        self.next += 1;
        let ino = self.next;
        self.nodes.insert(ino, Node::new(new));
        self.attach(quirks, dir, name, ino)?;
        Ok(ino)
    }

    pub(super) fn link(&mut self, quirks: &Quirks, ino: u64, dir: u64, name: &OsStr) -> Result<()> {
        if self.lookup(quirks, dir, name).is_ok() {
            return Err(Errno::EXIST);
        }
        check(quirks, name)?;
        self.attach(quirks, dir, name, ino)
    }

    /// Gives a file a name that is free.
    fn attach(&mut self, quirks: &Quirks, dir: u64, name: &OsStr, ino: u64) -> Result<()> {
        self.next += 1;
        let entry = Entry { name: name.to_owned(), ino, cookie: self.next };
        let node = self.node_mut(ino)?;
        node.touch();
        name.clone_into(&mut node.name);
        node.parent = dir;
        let is_dir = node.is_dir();
        if !is_dir {
            node.links += 1;
        }
        self.entries_mut(dir)?.insert(key(quirks, name), entry);
        if is_dir {
            self.node_mut(dir)?.links += 1;
        }
        Ok(())
    }

    /// Takes a name away, and the file with its last one.
    fn detach(&mut self, quirks: &Quirks, dir: u64, name: &OsStr) -> Result<u64> {
        let entry = self.entries_mut(dir)?.remove(&key(quirks, name)).ok_or(Errno::NOENT)?;
        let node = self.node_mut(entry.ino)?;
        node.touch();
        if node.is_dir() {
            self.node_mut(dir)?.links -= 1;
        } else {
            node.links -= 1;
        }
        Ok(entry.ino)
    }

    fn forget_unused(&mut self, ino: u64) {
        let is_unused = |node: &Node| node.links == 0 && node.open == 0;
        if self.nodes.get(&ino).is_some_and(is_unused)
            && let Some(Node { body: Body::File { data, .. }, .. }) = self.nodes.remove(&ino)
        {
            self.used -= data.len() as u64;
        }
    }

    pub(super) fn unlink(&mut self, quirks: &Quirks, dir: u64, name: &OsStr) -> Result<()> {
        let ino = self.lookup(quirks, dir, name)?;
        let node = self.node(ino)?;
        if node.is_dir() {
            return Err(Errno::ISDIR);
        }
        let is_silly = name.as_bytes().starts_with(b".nfs");
        if quirks.silly_renames && node.open > 0 && node.links == 1 {
            if is_silly {
                return Err(Errno::BUSY);
            }
            self.detach(quirks, dir, name)?;
            return self.attach(quirks, dir, OsStr::new(&format!(".nfs{ino:08}")), ino);
        }
        self.detach(quirks, dir, name)?;
        self.forget_unused(ino);
        Ok(())
    }

    pub(super) fn rmdir(&mut self, quirks: &Quirks, dir: u64, name: &OsStr) -> Result<()> {
        let ino = self.lookup(quirks, dir, name)?;
        if !self.entries(ino)?.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.detach(quirks, dir, name)?;
        self.nodes.remove(&ino);
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        quirks: &Quirks,
        (dir, name): (u64, &OsStr),
        (to, new): (u64, &OsStr),
        noreplace: bool,
    ) -> Result<()> {
        check(quirks, new)?;
        let ino = self.lookup(quirks, dir, name)?;
        let is_dir = self.node(ino)?.is_dir();
        if let (true, Flags::Refused(error)) = (noreplace, quirks.flags) {
            return Err(error);
        }
        let existing = self.lookup(quirks, to, new).ok();
        if let Some(existing) = existing {
            if noreplace && quirks.flags == Flags::Known {
                return Err(Errno::EXIST);
            }
            // Of one file with two names nothing is renamed; of one name that is written otherwise, the case.
            if existing == ino && (dir, key(quirks, name)) != (to, key(quirks, new)) {
                return Ok(());
            }
            match (is_dir, self.node(existing)?.is_dir()) {
                (true, false) => return Err(Errno::NOTDIR),
                (false, true) => return Err(Errno::ISDIR),
                (true, true) if !self.entries(existing)?.is_empty() => return Err(Errno::NOTEMPTY),
                _ => {}
            }
            if existing != ino {
                self.detach(quirks, to, new)?;
                if is_dir {
                    self.nodes.remove(&existing);
                } else {
                    self.forget_unused(existing);
                }
            }
        }
        self.detach(quirks, dir, name)?;
        self.attach(quirks, to, new, ino)
    }

    pub(super) fn opened(&mut self, ino: u64) -> Result<()> {
        self.node_mut(ino).map(|node| node.open += 1)
    }

    pub(super) fn released(&mut self, quirks: &Quirks, ino: u64) -> Result<()> {
        let node = self.node_mut(ino)?;
        node.open -= 1;
        if node.open == 0 && node.name.as_bytes().starts_with(b".nfs") {
            let (dir, name) = (node.parent, node.name.clone());
            self.detach(quirks, dir, &name)?;
        }
        self.forget_unused(ino);
        Ok(())
    }

    pub(super) fn read(&self, ino: u64, offset: u64, len: usize) -> Result<Vec<u8>> {
        let Body::File { data, size } = &self.node(ino)?.body else { return Err(Errno::INVAL) };
        let len = len.min(usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX));
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let mut bytes = data[start..data.len().min(start + len)].to_vec();
        bytes.resize(len, 0);
        Ok(bytes)
    }

    pub(super) fn write(&mut self, quirks: &Quirks, ino: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        if end > quirks.most_bytes {
            return Err(Errno::FBIG);
        }
        let used = self.used;
        let node = self.node_mut(ino)?;
        node.written();
        let Body::File { data, size } = &mut node.body else { return Err(Errno::INVAL) };
        *size = end.max(*size);
        let added = end.saturating_sub(data.len() as u64);
        if used + added > quirks.room {
            node.spoilt = true;
            return Ok(());
        }
        let (start, end) = (to_index(offset)?, to_index(end)?);
        if data.len() < end {
            data.resize(end, 0);
        }
        data[start..end].copy_from_slice(bytes);
        self.used += added;
        Ok(())
    }

    pub(super) fn set_size(&mut self, quirks: &Quirks, ino: u64, new: u64) -> Result<()> {
        if new > quirks.most_bytes {
            return Err(Errno::FBIG);
        }
        let node = self.node_mut(ino)?;
        node.written();
        let Body::File { data, size } = &mut node.body else { return Err(Errno::INVAL) };
        *size = new;
        let before = data.len();
        data.truncate(usize::try_from(new).unwrap_or(usize::MAX));
        let freed = (before - data.len()) as u64;
        self.used -= freed;
        Ok(())
    }
}

fn to_index(offset: u64) -> Result<usize> {
    usize::try_from(offset).map_err(|_| Errno::FBIG)
}

/// What a name is known by.
fn key(quirks: &Quirks, name: &OsStr) -> OsString {
    if quirks.folds_case { OsString::from_vec(name.as_bytes().to_ascii_lowercase()) } else { name.to_owned() }
}

fn check(quirks: &Quirks, name: &OsStr) -> Result<()> {
    match quirks.refused_names {
        Some((bytes, error)) if name.as_bytes().iter().any(|byte| bytes.contains(byte)) => Err(error),
        _ => Ok(()),
    }
}
