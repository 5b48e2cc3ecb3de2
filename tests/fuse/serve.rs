//! How a request is served: late, perhaps wrongly, and what is answered.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use fuser::{FileAttr, Generation, INodeNo, ReplyAttr, ReplyEmpty, ReplyEntry, ReplyXattr, Request};
use rustix::io::Errno;

use super::store::{Body, New, Result, Store};
use super::{Op, Quirks, Shared};

#[derive(Debug)]
pub(super) struct Server {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Mutex<Store>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn answer(error: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(error.raw_os_error())
}

impl Server {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, store: Mutex::new(Store::new()) }
    }

    /// Serves one request about the file `ino`.
    pub(super) fn about<T>(
        &self,
        op: Op,
        ino: INodeNo,
        work: impl FnOnce(&mut Store, &Quirks) -> Result<T>,
    ) -> Result<T> {
        let name = locked(&self.store).node(ino.0).map(|node| node.name.clone()).unwrap_or_default();
        self.serve(op, &name, work)
    }

    /// Serves one request: late, and perhaps wrongly.
    pub(super) fn serve<T>(
        &self,
        op: Op,
        name: &OsStr,
        work: impl FnOnce(&mut Store, &Quirks) -> Result<T>,
    ) -> Result<T> {
        *locked(&self.shared.counts).entry(op).or_default() += 1;
        let (quirks, fault) = {
            let mut quirks = locked(&self.shared.quirks);
            let matching = |part: &str| name.to_string_lossy().contains(part);
            let fault = quirks
                .faults
                .iter_mut()
                .find(|fault| fault.op == op && fault.times > 0 && fault.name.is_none_or(matching))
                .map(|fault| {
                    fault.times -= 1;
                    (fault.error, fault.done)
                });
            (quirks.clone(), fault)
        };
        // Before any lock is taken: others are served meanwhile.
        if !quirks.delay.is_zero() {
            thread::sleep(quirks.delay);
        }
        match fault {
            Some((error, false)) => Err(error),
            Some((error, true)) => work(&mut locked(&self.store), &quirks).and(Err(error)),
            None => work(&mut locked(&self.store), &quirks),
        }
    }

    pub(super) fn make(&self, req: &Request, parent: INodeNo, name: &OsStr, new: (Body, u32, u32), reply: ReplyEntry) {
        let (body, mode, device) = new;
        let made = self.serve(Op::Make, name, |store, quirks| {
            let new = New { body, mode, owner: (req.uid(), req.gid()), device };
            let ino = store.make(quirks, parent.0, name, new)?;
            entry(store, quirks, ino)
        });
        self.reply_entry(made, reply);
    }

    pub(super) fn reply_entry(&self, entry: Result<FileAttr>, reply: ReplyEntry) {
        let remembered = locked(&self.shared.quirks).remembered;
        match entry {
            Ok(attributes) => reply.entry(&remembered, &attributes, Generation(0)),
            Err(error) => reply.error(answer(error)),
        }
    }

    pub(super) fn reply_attributes(&self, attributes: Result<FileAttr>, reply: ReplyAttr) {
        let remembered = locked(&self.shared.quirks).remembered;
        match attributes {
            Ok(attributes) => reply.attr(&remembered, &attributes),
            Err(error) => reply.error(answer(error)),
        }
    }

    /// Says what became of what was written, if it is lost.
    pub(super) fn finish(&self, op: Op, ino: INodeNo, reply: ReplyEmpty) {
        let finished = self.about(op, ino, |store, quirks| {
            let is_lost = store.node(ino.0)?.spoilt && (op == Op::Flush || quirks.fsync_works);
            if is_lost { Err(quirks.full) } else { Ok(()) }
        });
        empty(finished, reply);
    }
}

pub(super) fn entry(store: &Store, quirks: &Quirks, ino: u64) -> Result<FileAttr> {
    Ok(store.node(ino)?.attributes(ino, quirks))
}

pub(super) fn empty(result: Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(answer(error)),
    }
}

pub(super) fn bytes(result: Result<Vec<u8>>, size: u32, reply: ReplyXattr) {
    match result {
        Ok(bytes) if size == 0 => reply.size(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
        Ok(bytes) if bytes.len() <= size as usize => reply.data(&bytes),
        Ok(_) => reply.error(fuser::Errno::ERANGE),
        Err(error) => reply.error(answer(error)),
    }
}
