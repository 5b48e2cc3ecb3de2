//! The numbers that a run counts up, and one consistent look at them.
//!
//! Workers only ever add here, without locks and without events; whoever wants to know samples.
//! Nothing in here decides anything: the outcome of a run is in its `Summary`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is being waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Names change on one file system.
    #[default]
    Moving,
    /// Content goes to another file system.
    Copying,
    /// A barrier: what was copied must reach the device before it counts.
    MakingDurable,
    /// Sources are retired.
    Removing,
}

/// A counter with a cache line to itself, so that workers on one do not slow down those on another.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, n: u64) {
        // Relaxed everywhere: the numbers are shown, nothing is concluded from their order.
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters that workers add to and the live line samples ten times a second.
#[derive(Debug, Default)]
pub struct Counters {
    moved: Counter,
    copied: Counter,
    failed: Counter,
    skipped: Counter,
    known: Counter,
    known_bytes: Counter,
    listing_done: AtomicBool,
    sizes_done: AtomicBool,
    phase: AtomicU8,
    /// Directories that are being staged, oldest first. Locked once a directory, never once a file.
    staging: Mutex<Vec<PathBuf>>,
}

impl Counters {
    /// So many more files are known to be there to move.
    pub fn known(&self, files: u64) {
        self.known.add(files);
    }

    /// So many more bytes are known to be there to copy.
    pub fn known_bytes(&self, bytes: u64) {
        self.known_bytes.add(bytes);
    }

    /// No more files will become known. Only from here on is a number of files a total.
    pub fn listing_done(&self) {
        self.listing_done.store(true, Ordering::Relaxed);
    }

    /// The size of every known file is in [`Counters::known_bytes`]. Where sizes are learnt file by
    /// file while copying, this is never said, and the bytes known so far are not shown as a total.
    pub fn sizes_done(&self) {
        self.sizes_done.store(true, Ordering::Relaxed);
    }

    /// So many more files have been moved: they are at their targets and no longer at their sources.
    pub fn moved(&self, files: u64) {
        self.moved.add(files);
    }

    /// Bytes copied so far, durable or not.
    pub(crate) fn bytes_copied(&self) -> u64 {
        self.copied.get()
    }

    /// So many more bytes have been copied. Called once a slice, not once a file.
    pub fn copied(&self, bytes: u64) {
        self.copied.add(bytes);
    }

    /// So many more files could not be moved.
    pub fn failed(&self, files: u64) {
        self.failed.add(files);
    }

    /// So many more files stay where they are, as the policy wants it.
    pub fn skipped(&self, files: u64) {
        self.skipped.add(files);
    }

    /// What is being waited for now. The last word counts, whoever says it.
    pub fn phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// A directory is being staged, and does not show at its target, until the returned value is dropped.
    #[must_use = "the directory counts as staged only as long as this lives"]
    pub fn staging(self: &Arc<Self>, directory: impl Into<PathBuf>) -> Staging {
        let directory = directory.into();
        self.staged(|staged| staged.push(directory.clone()));
        Staging { counters: Arc::clone(self), directory }
    }

    /// One look at all of it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        // What is done is read before what is known, so that it is never the larger one by mere chance.
        let [moved, copied, failed, skipped] =
            [&self.moved, &self.copied, &self.failed, &self.skipped].map(Counter::get);
        let (staging, staging_more) = self.staged(|staged| (staged.first().cloned(), staged.len().saturating_sub(1)));
        Snapshot {
            moved,
            copied,
            failed,
            skipped,
            known: self.known.get(),
            known_bytes: self.known_bytes.get(),
            listing_done: self.listing_done.load(Ordering::Relaxed),
            sizes_done: self.sizes_done.load(Ordering::Relaxed),
            phase: match self.phase.load(Ordering::Relaxed) {
                1 => Phase::Copying,
                2 => Phase::MakingDurable,
                3 => Phase::Removing,
                _ => Phase::Moving,
            },
            staging,
            staging_more,
        }
    }

    fn staged<R>(&self, with: impl FnOnce(&mut Vec<PathBuf>) -> R) -> R {
        // A panic elsewhere leaves the list whole: it only ever gains or loses one entry at a time.
        with(&mut self.staging.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// As long as this lives, the live line says that a directory is being staged.
#[derive(Debug)]
pub struct Staging {
    counters: Arc<Counters>,
    directory: PathBuf,
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.counters.staged(|staged| {
            if let Some(at) = staged.iter().position(|directory| *directory == self.directory) {
                staged.remove(at);
            }
        });
    }
}

/// What [`Counters`] held at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Files at their targets and no longer at their sources.
    pub moved: u64,
    /// Bytes copied, durable or not.
    pub copied: u64,
    /// Files that could not be moved.
    pub failed: u64,
    /// Files that stay, as the policy wants it.
    pub skipped: u64,
    /// Files known so far.
    pub known: u64,
    /// Bytes to copy known so far.
    pub known_bytes: u64,
    /// Whether `known` is final.
    pub listing_done: bool,
    /// Whether `known_bytes` covers every known file.
    pub sizes_done: bool,
    /// What is being waited for.
    pub phase: Phase,
    /// The directory that has been in staging for longest.
    pub staging: Option<PathBuf>,
    /// How many more directories are being staged.
    pub staging_more: usize,
}

impl Snapshot {
    /// Files that need no more work.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.moved + self.failed + self.skipped
    }

    /// How many files there are to move, once that is certain.
    #[must_use]
    pub fn total_files(&self) -> Option<u64> {
        (self.listing_done && self.settled() <= self.known).then_some(self.known)
    }

    /// How many bytes there are to copy, once that is certain. A source that grows, or a copy that is
    /// done again, can exceed what was known: then nothing is certain any more.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        let sized = self.sizes_done || (self.known == 1 && self.known_bytes > 0);
        (self.listing_done && sized && self.copied <= self.known_bytes).then_some(self.known_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_holds_what_was_counted() {
        let counters = Arc::new(Counters::default());
        counters.known(3);
        counters.known_bytes(10);
        counters.moved(1);
        counters.failed(1);
        counters.skipped(1);
        counters.copied(4);
        for phase in [Phase::Copying, Phase::MakingDurable, Phase::Removing, Phase::Moving] {
            counters.phase(phase);
            assert_eq!(counters.snapshot().phase, phase);
        }
        let seen = counters.snapshot();
        assert_eq!((seen.settled(), seen.known, seen.copied, seen.known_bytes), (3, 3, 4, 10));
    }

    #[test]
    fn h69_a_total_is_none_until_listing_and_sizes_are_done() {
        let counters = Counters::default();
        counters.known(2);
        counters.known_bytes(10);
        assert_eq!((counters.snapshot().total_files(), counters.snapshot().total_bytes()), (None, None));
        counters.listing_done();
        assert_eq!((counters.snapshot().total_files(), counters.snapshot().total_bytes()), (Some(2), None));
        counters.sizes_done();
        assert_eq!(counters.snapshot().total_bytes(), Some(10));
        counters.copied(11);
        assert_eq!(counters.snapshot().total_bytes(), None, "the source grew");
    }

    #[test]
    fn one_sized_file_needs_no_further_word() {
        let counters = Counters::default();
        counters.known(1);
        counters.listing_done();
        assert_eq!(counters.snapshot().total_bytes(), None);
        counters.known_bytes(10);
        assert_eq!(counters.snapshot().total_bytes(), Some(10));
    }

    #[test]
    fn directories_in_staging_come_and_go_independently() {
        let counters = Arc::new(Counters::default());
        let first = counters.staging("a");
        let second = counters.staging("b");
        let seen = counters.snapshot();
        assert_eq!((seen.staging, seen.staging_more), (Some("a".into()), 1));
        drop(first);
        assert_eq!(counters.snapshot().staging, Some("b".into()));
        drop(second);
        assert_eq!(counters.snapshot().staging, None);
    }
}
