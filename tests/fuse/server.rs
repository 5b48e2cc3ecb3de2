//! The kernel's requests, one by one.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::io::Errno;

use super::serve::{Server, answer, bytes, empty, entry, locked};
use super::store::{Body, New, Node};
use super::{Holes, Op, Quirks};

/// `SEEK_DATA` (unistd.h).
const SEEK_DATA: i32 = 3;

/// How a file is opened: past the kernel's cache where counts or sizes are odd.
fn opening(quirks: &Quirks) -> FopenFlags {
    let direct = quirks.sizeless || quirks.slice != usize::MAX;
    if direct { FopenFlags::FOPEN_DIRECT_IO } else { FopenFlags::empty() }
}

/// The kind of file that a mode asks for (`S_IFMT`, inode(7)).
fn special(mode: u32) -> Body {
    match mode & 0o170_000 {
        0o010_000 => Body::Special(FileType::NamedPipe),
        0o020_000 => Body::Special(FileType::CharDevice),
        0o060_000 => Body::Special(FileType::BlockDevice),
        0o140_000 => Body::Special(FileType::Socket),
        _ => Body::File { data: Vec::new(), size: 0 },
    }
}

fn time(time: TimeOrNow) -> SystemTime {
    match time {
        TimeOrNow::SpecificTime(time) => match UNIX_EPOCH.duration_since(time) {
            // Before 1970 the crate takes the nanoseconds off where they are to be added.
            Ok(before) => {
                UNIX_EPOCH - Duration::from_secs(before.as_secs()) + Duration::from_nanos(before.subsec_nanos().into())
            }
            Err(_) => time,
        },
        TimeOrNow::Now => SystemTime::now(),
    }
}

impl Filesystem for Server {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // So that lookups in one directory do not wait for each other. Older kernels lack it.
        config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS).ok();
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.serve(Op::Lookup, name, |store, quirks| {
            let ino = store.lookup(quirks, parent.0, name)?;
            entry(store, quirks, ino)
        });
        self.reply_entry(found, reply);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let looked = self.about(Op::GetAttr, ino, |store, quirks| entry(store, quirks, ino.0));
        self.reply_attributes(looked, reply);
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let op = match (uid.or(gid), mode, size) {
            (Some(_), ..) => Op::Chown,
            (_, Some(_), _) => Op::Chmod,
            (.., Some(_)) => Op::SetSize,
            _ => Op::Times,
        };
        let set = self.about(op, ino, |store, quirks| {
            if let Some(size) = size {
                store.set_size(quirks, ino.0, size)?;
            }
            if let Some((_, alike_uid, alike_gid)) = quirks.all_alike
                && (uid.is_some_and(|uid| uid != alike_uid) || gid.is_some_and(|gid| gid != alike_gid))
            {
                return Err(Errno::PERM);
            }
            let node = store.node_mut(ino.0)?;
            node.owner = (uid.unwrap_or(node.owner.0), gid.unwrap_or(node.owner.1));
            node.mode = mode.map_or(node.mode, |mode| mode & 0o7777);
            let [before_atime, before_mtime, _] = node.times;
            node.times[0] = atime.map_or(before_atime, time);
            node.times[1] = mtime.map_or(before_mtime, time);
            node.touch();
            entry(store, quirks, ino.0)
        });
        self.reply_attributes(set, reply);
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.about(Op::ReadLink, ino, |store, _| match &store.node(ino.0)?.body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::INVAL),
        });
        match target {
            Ok(target) => reply.data(target.as_encoded_bytes()),
            Err(error) => reply.error(answer(error)),
        }
    }

    fn mknod(&self, req: &Request, dir: INodeNo, name: &OsStr, mode: u32, _umask: u32, rdev: u32, reply: ReplyEntry) {
        self.make(req, dir, name, (special(mode), mode, rdev), reply);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        self.make(req, parent, name, (Body::Dir(BTreeMap::new()), mode, 0), reply);
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        self.make(req, parent, name, (Body::Symlink(target.into()), 0o777, 0), reply);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.serve(Op::Make, name, |store, quirks| {
            let new = New { body: special(0), mode, owner: (req.uid(), req.gid()), device: 0 };
            let ino = store.make(quirks, parent.0, name, new)?;
            store.opened(ino)?;
            Ok((entry(store, quirks, ino)?, opening(quirks)))
        });
        let remembered = locked(&self.shared.quirks).remembered;
        match made {
            Ok((attributes, flags)) => {
                reply.created(&remembered, &attributes, Generation(0), FileHandle(0), flags);
            }
            Err(error) => reply.error(answer(error)),
        }
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.serve(Op::Unlink, name, |store, quirks| store.unlink(quirks, parent.0, name)), reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.serve(Op::RmDir, name, |store, quirks| store.rmdir(quirks, parent.0, name)), reply);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let is_dir = {
            let (store, quirks) = (locked(&self.store), locked(&self.shared.quirks));
            let ino = store.lookup(&quirks, parent.0, name);
            ino.is_ok_and(|ino| store.node(ino).is_ok_and(Node::is_dir))
        };
        let op = if is_dir { Op::RenameDir } else { Op::Rename };
        let noreplace = flags.contains(RenameFlags::RENAME_NOREPLACE);
        let renamed = self
            .serve(op, name, |store, quirks| store.rename(quirks, (parent.0, name), (newparent.0, newname), noreplace));
        empty(renamed, reply);
    }

    fn link(&self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let linked = self.serve(Op::Link, newname, |store, quirks| {
            store.link(quirks, ino.0, newparent.0, newname)?;
            entry(store, quirks, ino.0)
        });
        self.reply_entry(linked, reply);
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.about(Op::Open, ino, |store, quirks| {
            store.opened(ino.0)?;
            Ok(opening(quirks))
        });
        match opened {
            Ok(flags) => reply.opened(FileHandle(0), flags),
            Err(error) => reply.error(answer(error)),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read =
            self.about(Op::Read, ino, |store, quirks| store.read(ino.0, offset, quirks.slice.min(size as usize)));
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(answer(error)),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.about(Op::Write, ino, |store, quirks| {
            let data = &data[..data.len().min(quirks.slice)];
            store.write(quirks, ino.0, offset, data).map(|()| u32::try_from(data.len()).unwrap_or(u32::MAX))
        });
        match written {
            Ok(count) => reply.written(count),
            Err(error) => reply.error(answer(error)),
        }
    }

    fn flush(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        self.finish(Op::Flush, ino, reply);
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let quirks = locked(&self.shared.quirks).clone();
        empty(locked(&self.store).released(&quirks, ino.0), reply);
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.finish(Op::Fsync, ino, reply);
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        empty(self.about(Op::FsyncDir, ino, |_, _| Ok(())), reply);
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.about(Op::ReadDir, ino, |store, _| {
            let mut entries: Vec<_> =
                store.entries(ino.0)?.values().filter(|entry| entry.cookie > offset).cloned().collect();
            entries.sort_by_key(|entry| entry.cookie);
            let kind = |ino| store.node(ino).map_or(FileType::RegularFile, Node::kind);
            Ok(entries.into_iter().map(|entry| (kind(entry.ino), entry)).collect::<Vec<_>>())
        });
        match listed {
            Ok(entries) => {
                for (kind, entry) in entries {
                    if reply.add(INodeNo(entry.ino), entry.cookie, kind, &entry.name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(answer(error)),
        }
    }

    fn statfs(&self, _req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.about(Op::StatFs, ino, |_, _| Ok(())) {
            Ok(()) => reply.statfs(1 << 30, 1 << 29, 1 << 29, 1 << 20, 1 << 19, 4096, 255, 4096),
            Err(error) => reply.error(answer(error)),
        }
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let set = self.about(Op::SetXattr, ino, |store, _| {
            store.node_mut(ino.0)?.xattrs.insert(name.to_owned(), value.to_owned());
            Ok(())
        });
        empty(set, reply);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value =
            self.about(Op::GetXattr, ino, |store, _| store.node(ino.0)?.xattrs.get(name).cloned().ok_or(Errno::NODATA));
        bytes(value, size, reply);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let list = self.about(Op::ListXattr, ino, |store, _| {
            let end = |name: &OsString| [name.as_encoded_bytes(), b"\0"].concat();
            Ok(store.node(ino.0)?.xattrs.keys().flat_map(end).collect())
        });
        bytes(list, size, reply);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.about(Op::RemoveXattr, ino, |store, _| {
            store.node_mut(ino.0)?.xattrs.remove(name).map(drop).ok_or(Errno::NODATA)
        });
        empty(removed, reply);
    }

    fn lseek(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let found = self.about(Op::Seek, ino, |_, quirks| match (quirks.holes, whence) {
            (Holes::Unknown, _) => Err(Errno::NOSYS),
            (Holes::Everywhere, SEEK_DATA) => Err(Errno::NXIO),
            (Holes::Everywhere, _) => Ok(offset),
        });
        match found {
            Ok(offset) => reply.offset(offset),
            Err(error) => reply.error(answer(error)),
        }
    }
}
