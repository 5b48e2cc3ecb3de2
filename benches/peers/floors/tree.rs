//! One directory with all that is below it, across devices. Threads take directories and runs of files from one
//! stack, deepest first. Not durable: each file goes as soon as it is copied. Durable: all is copied under another
//! name, synced, renamed, the new name synced, and only then is the source removed, by all threads again.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, Mode, Timestamps};

use super::files::{Carrier, Entry, entries, on_threads, open_dir, open_dir_at, times, unlink};
use super::{Staging, Tree, What};

/// Files that a thread takes at a time.
const RUN: usize = 64;

/// What the copy is called until it is whole.
const STAGE: &std::ffi::CStr = c".floor-stage";

/// A directory on both sides.
struct Node {
    parent: Option<Arc<Node>>,
    name: CString,
    source: OwnedFd,
    target: OwnedFd,
    times: Timestamps,
    /// What must be done before the directory itself: runs of files, directories in it, and listing it.
    pending: AtomicUsize,
    /// The runs of files, for the removal.
    runs: Mutex<Vec<Arc<Vec<CString>>>>,
    /// Directories in it.
    inner: AtomicUsize,
}

#[derive(Clone)]
enum Task {
    List(Arc<Node>),
    Copy(Arc<Node>, Arc<Vec<CString>>),
    Unlink(Arc<Node>, Arc<Vec<CString>>),
    Finish(Arc<Node>),
}

/// A stack of tasks, empty for good when nobody is at work any more.
#[derive(Default)]
struct Stack {
    tasks: Vec<Task>,
    busy: usize,
    failed: bool,
}

struct Walk<'a> {
    args: &'a Tree,
    above_source: OwnedFd,
    stack: Mutex<Stack>,
    changed: Condvar,
    nodes: Mutex<Vec<Arc<Node>>>,
    copied: AtomicUsize,
}

pub(super) fn run(args: &Tree) -> Result<()> {
    let name = CString::new(args.sides.source.file_name().context("SOURCE has no name")?.as_bytes())?;
    let above_source = open_dir(args.sides.source.parent().context("SOURCE has no parent")?)?;
    let above_target = open_dir(&args.sides.target)?;
    let stack = Mutex::new(Stack::default());
    let (nodes, copied) = (Mutex::default(), AtomicUsize::new(0));
    let walk = Walk { args, above_source, stack, changed: Condvar::new(), nodes, copied };
    let staged = if args.durable == What::Everything { STAGE } else { &name };
    let root = walk.node(None, &name, &walk.above_source, &above_target, staged)?;
    walk.stack().tasks.push(Task::List(root));
    if args.durable == What::Nothing {
        return on_threads(args.means.threads, &|| walk.work());
    }
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| walk.sync_meanwhile(&above_target));
        let copying = on_threads(args.means.threads, &|| walk.work());
        walk.copied.store(usize::MAX, Ordering::Relaxed);
        walk.changed.notify_all();
        copying.and(syncing.join().unwrap_or_else(|_| Err(anyhow::anyhow!("syncing panicked"))))
    })?;
    rustix::fs::syncfs(&above_target)?;
    rustix::fs::renameat(&above_target, STAGE, &above_target, &name)?;
    rustix::fs::fsync(&above_target)?;
    walk.queue_removal();
    on_threads(args.means.threads, &|| walk.work())
}

impl Walk<'_> {
    fn stack(&self) -> std::sync::MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a source directory and makes its copy.
    fn node(
        &self,
        parent: Option<Arc<Node>>,
        name: &CString,
        from: &OwnedFd,
        to: &OwnedFd,
        new: &std::ffi::CStr,
    ) -> Result<Arc<Node>> {
        let source = open_dir_at(from, name)?;
        let stat = rustix::fs::fstat(&source)?;
        rustix::fs::mkdirat(to, new, Mode::from_raw_mode(stat.st_mode))?;
        let target = open_dir_at(to, new)?;
        let node = Arc::new(Node {
            parent,
            name: name.clone(),
            source,
            target,
            times: times(&stat),
            pending: AtomicUsize::new(1),
            runs: Mutex::default(),
            inner: AtomicUsize::new(0),
        });
        if self.args.durable == What::Everything {
            self.nodes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&node));
        }
        Ok(node)
    }

    fn work(&self) -> Result<()> {
        let mut carrier = Carrier::new(&self.args.means, Staging::Named);
        while let Some(task) = self.take() {
            let result = self.perform(task, &mut carrier);
            let mut stack = self.stack();
            stack.busy -= 1;
            stack.failed |= result.is_err();
            let over = stack.failed || stack.busy == 0 && stack.tasks.is_empty();
            drop(stack);
            if over {
                self.changed.notify_all();
            }
            result?;
        }
        Ok(())
    }

    fn take(&self) -> Option<Task> {
        let mut stack = self.stack();
        loop {
            if stack.failed {
                return None;
            }
            if let Some(task) = stack.tasks.pop() {
                stack.busy += 1;
                return Some(task);
            }
            if stack.busy == 0 {
                return None;
            }
            stack = self.changed.wait(stack).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn perform(&self, task: Task, carrier: &mut Carrier) -> Result<()> {
        match task {
            Task::List(node) => self.list(&node),
            Task::Copy(node, names) => {
                for name in names.iter() {
                    drop(carrier.carry(&node.source, &node.target, name)?);
                    if self.args.durable == What::Nothing {
                        unlink(&node.source, name)?;
                    }
                }
                if self.args.durable == What::Everything {
                    self.copied.fetch_add(names.len(), Ordering::Relaxed);
                    node.runs.lock().unwrap_or_else(PoisonError::into_inner).push(names);
                }
                self.done(&node, true)
            }
            Task::Unlink(node, names) => {
                for name in names.iter() {
                    unlink(&node.source, name)?;
                }
                self.done(&node, false)
            }
            Task::Finish(node) => self.done(&node, false),
        }
    }

    fn list(&self, node: &Arc<Node>) -> Result<()> {
        let (mut files, mut tasks) = (Vec::new(), Vec::new());
        for entry in entries(&node.source)? {
            match entry {
                Entry::File(name) => files.push(name),
                Entry::Dir(name) => {
                    let inner = self.node(Some(Arc::clone(node)), &name, &node.source, &node.target, &name)?;
                    tasks.push(Task::List(inner));
                }
            }
        }
        node.inner.store(tasks.len(), Ordering::Relaxed);
        let mut files = files.into_iter().peekable();
        while files.peek().is_some() {
            tasks.push(Task::Copy(Arc::clone(node), Arc::new(files.by_ref().take(RUN).collect())));
        }
        node.pending.fetch_add(tasks.len(), Ordering::AcqRel);
        self.stack().tasks.append(&mut tasks);
        self.changed.notify_all();
        self.done(node, true)
    }

    /// One thing less is to be done in a directory; after the last it is finished itself, and then perhaps its parent.
    fn done(&self, node: &Arc<Node>, copying: bool) -> Result<()> {
        let mut node = Arc::clone(node);
        while node.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            let above = node.parent.as_ref().map_or(&self.above_source, |parent| &parent.source);
            if copying {
                rustix::fs::futimens(&node.target, &node.times)?;
            }
            if !copying || self.args.durable == What::Nothing {
                rustix::fs::unlinkat(above, &node.name, AtFlags::REMOVEDIR)?;
            }
            let Some(parent) = node.parent.clone() else { break };
            node = parent;
        }
        Ok(())
    }

    /// Calls `syncfs` while copying goes on, so that the last one finds little to do.
    fn sync_meanwhile(&self, target: &OwnedFd) -> Result<()> {
        let mut synced = 0;
        loop {
            let copied = self.copied.load(Ordering::Relaxed);
            if copied == usize::MAX || self.args.batch == 0 {
                return Ok(());
            }
            if copied - synced >= self.args.batch {
                synced = copied;
                rustix::fs::syncfs(target)?;
            } else {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }

    fn queue_removal(&self) {
        let nodes = std::mem::take(&mut *self.nodes.lock().unwrap_or_else(PoisonError::into_inner));
        let mut stack = self.stack();
        for node in nodes {
            let runs = std::mem::take(&mut *node.runs.lock().unwrap_or_else(PoisonError::into_inner));
            node.pending.store(runs.len() + node.inner.load(Ordering::Relaxed) + 1, Ordering::Release);
            stack.tasks.extend(runs.into_iter().map(|run| Task::Unlink(Arc::clone(&node), run)));
            stack.tasks.push(Task::Finish(node));
        }
    }
}
