//! The other way: each thread has a ring and so many lanes, each lane one file at a time; the thread sleeps only
//! when all lanes wait for the kernel. The lanes are futures, so that a lane reads as the plain way does.

use std::cell::RefCell;
use std::ffi::CString;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use anyhow::{Context as _, Result};
use compio_buf::{BufResult, IntoInner, IoBuf};
use compio_driver::op::{CloseFile, CreateDir, FileStat, OpenFile, ReadAt, Rename, Sync as SyncFile, Unlink, WriteAt};
use compio_driver::{OpCode, Proactor, PushEntry};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustix::fs::Mode;

use crate::jobs::{BUFFER, CREATE, Job, Look, Phase, Plan, READ, Sides, shrunk};
use crate::threads::look;
use crate::{Args, Descriptors, Fsync};

pub(crate) fn work(sides: &Sides, plan: &Plan, args: &Args) -> Result<()> {
    let ring = Ring::new(sides, args)?;
    plan.follow(|phase| ring.run(phase, args.depth))
}

/// One thread's way to the kernel.
struct Ring {
    proactor: RefCell<Proactor>,
    source: Rc<OwnedFd>,
    target: Rc<OwnedFd>,
    descriptors: Descriptors,
    fsync: Fsync,
}

/// Remembers that a lane can go on, so that the thread does not sleep.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Ring {
    fn new(sides: &Sides, args: &Args) -> Result<Self> {
        // Room for the ring's own wake-up call besides. A ring of one thread needs no locks in the kernel, and
        // is told of completions only when it asks: the cheapest way there is.
        let capacity = (args.depth + 1).next_power_of_two();
        let proactor = Proactor::builder().capacity(capacity).single_issuer(true).defer_taskrun(true).build()?;
        Ok(Self {
            proactor: RefCell::new(proactor),
            source: Rc::new(sides.source.try_clone()?),
            target: Rc::new(sides.target.try_clone()?),
            descriptors: args.descriptors,
            fsync: args.fsync,
        })
    }

    fn run(&self, phase: &Phase, depth: u32) -> Result<()> {
        let mut lanes: FuturesUnordered<_> = (0..depth).map(|_| self.lane(phase)).collect();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        loop {
            woken.0.store(false, Ordering::Relaxed);
            match lanes.poll_next_unpin(&mut context) {
                Poll::Ready(Some(result)) => result?,
                Poll::Ready(None) => return Ok(()),
                Poll::Pending if woken.0.load(Ordering::Relaxed) => {}
                Poll::Pending => match self.proactor.borrow_mut().poll(None) {
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
                    _ => {}
                },
            }
        }
    }

    /// Asks the kernel for one thing, and gives way to the other lanes until it is done.
    async fn ask<T: OpCode + 'static>(&self, op: T) -> Result<(usize, T)> {
        let mut waiting = match self.proactor.borrow_mut().push(op) {
            PushEntry::Ready(BufResult(result, op)) => return Ok((result?, op)),
            PushEntry::Pending(key) => Some(key),
        };
        let BufResult(result, op) = poll_fn(|context| {
            let mut proactor = self.proactor.borrow_mut();
            match waiting.take().map(|key| proactor.pop(key)) {
                Some(PushEntry::Ready(done)) => Poll::Ready(done),
                Some(PushEntry::Pending(key)) => {
                    proactor.update_waker(&key, context.waker());
                    waiting = Some(key);
                    Poll::Pending
                }
                None => Poll::Pending,
            }
        })
        .await;
        Ok((result?, op))
    }

    async fn lane(&self, phase: &Phase) -> Result<()> {
        let mut buffer = Vec::new();
        while let Some(job) = phase.take() {
            match job {
                Job::Rename(path) => {
                    let (source, target) = (Rc::clone(&self.source), Rc::clone(&self.target));
                    self.ask(Rename::new(source, path.clone(), target, path.clone())).await?;
                }
                Job::MakeDir(path) => {
                    let mode = Mode::from_raw_mode(0o755);
                    self.ask(CreateDir::new(Rc::clone(&self.target), path.clone(), mode)).await?;
                }
                Job::Copy(path) => buffer = self.copy(path, buffer).await?,
                Job::RemoveDir(path) => {
                    self.ask(Unlink::new(Rc::clone(&self.source), path.clone(), true)).await?;
                }
            }
        }
        Ok(())
    }

    /// Copies a file and removes its source; the buffer goes with each call, as the kernel may write to it at any time.
    async fn copy(&self, path: &CString, mut buffer: Vec<u8>) -> Result<Vec<u8>> {
        let source = self.open(&self.source, path, Mode::empty(), READ).await?;
        let look = self.look(&source).await?;
        let target = self.open(&self.target, path, look.mode, CREATE).await?;
        buffer.resize(BUFFER, 0);
        let mut done = 0;
        while done < look.size {
            let (read, op) = self.ask(ReadAt::new(Rc::clone(&source), done, buffer)).await?;
            buffer = op.into_inner();
            if read == 0 {
                return Err(shrunk(path));
            }
            let mut written = 0;
            while written < read {
                let part = buffer.slice(written..read);
                let (count, op) = self.ask(WriteAt::new(Rc::clone(&target), done + written as u64, part)).await?;
                buffer = op.into_inner().into_inner();
                written += count;
            }
            done += read as u64;
        }
        // No ring can do this, so it is made plainly on both sides of the comparison.
        rustix::fs::futimens(&target, &look.times)?;
        if self.fsync == Fsync::Each {
            self.ask(SyncFile::new(Rc::clone(&target), false)).await?;
        }
        self.close(source).await?;
        self.close(target).await?;
        self.ask(Unlink::new(Rc::clone(&self.source), path.clone(), false)).await?;
        Ok(buffer)
    }

    async fn open(
        &self,
        dir: &Rc<OwnedFd>,
        path: &CString,
        mode: Mode,
        flags: rustix::fs::OFlags,
    ) -> Result<Rc<OwnedFd>> {
        let (_, op) = self.ask(OpenFile::new(Rc::clone(dir), path.clone(), flags, mode)).await?;
        Ok(Rc::new(op.into_inner()))
    }

    async fn look(&self, file: &Rc<OwnedFd>) -> Result<Look> {
        match self.descriptors {
            Descriptors::Ring => Ok(self.ask(FileStat::new(Rc::clone(file))).await?.1.into_inner().into()),
            Descriptors::Plain => Ok(look(file)?),
        }
    }

    async fn close(&self, file: Rc<OwnedFd>) -> Result<()> {
        let file = Rc::into_inner(file).context("a call still has the file")?;
        if self.descriptors == Descriptors::Ring {
            self.ask(CloseFile::new(file)).await?;
        }
        Ok(())
    }
}
