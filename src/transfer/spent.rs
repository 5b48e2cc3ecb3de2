//! Records and journals of what is retired. They go only once the sources' removal is durable as well.
//!
//! A power cut may bring back a source whose removal had not reached the disk. Were its record gone by then, the next
//! run would take the target for somebody else's: it would skip the source for ever under `-n`, and refuse a directory.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::io::Errno;

use crate::item::Place;
use crate::sys::{sync_removals, unlink};

use super::stage_dir::StageDir;
use super::{Context, SyncMode};

/// So many records and journals wait at most: one sync serves them all.
const MOST: usize = 64;

/// What is no longer needed, but for a power cut.
#[derive(Debug, Default)]
pub(crate) struct Spent(Mutex<Heap>, OnceLock<Errno>);

#[derive(Debug, Default)]
struct Heap {
    /// Names in the stage directory.
    records: Vec<Vec<u8>>,
    /// The directories that sources were removed from, each once.
    sources: Vec<Arc<Place>>,
}

impl Spent {
    /// Sources in these directories were retired, and `record` spoke of them.
    pub(crate) fn add<'a>(
        &self,
        context: &Context,
        stage_dir: &StageDir,
        record: Option<&[u8]>,
        sources: impl IntoIterator<Item = &'a Arc<Place>>,
    ) {
        let mut heap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heap.records.extend(record.map(<[u8]>::to_vec));
        for source in sources {
            if heap.sources.iter().all(|known| known.dir.id() != source.dir.id()) {
                heap.sources.push(Arc::clone(source));
            }
        }
        // Each source directory holds a descriptor.
        let most = MOST.min(context.descriptors / 16);
        let is_full = heap.records.len() >= most || heap.sources.len() >= most;
        drop(heap);
        if is_full || context.sync == SyncMode::None {
            // An error is remembered for the end.
            self.clear(context, stage_dir).ok();
        }
    }

    /// Makes the sources' removal durable, and removes the records.
    ///
    /// # Errors
    /// The sources' file system fails: they may come back, and so the records stay for the next run that meets them.
    pub(crate) fn clear(&self, context: &Context, stage_dir: &StageDir) -> Result<(), Errno> {
        let heap = self.take();
        let is_durable = sync_sources(context, [&heap]);
        self.remove(heap, is_durable, stage_dir)
    }

    /// The same for several target directories: their sources' file system is synced once.
    ///
    /// # Errors
    /// As above, for each.
    pub(crate) fn clear_all(context: &Context, all: &[(&Self, &StageDir)]) -> Vec<Result<(), Errno>> {
        let heaps: Vec<Heap> = all.iter().map(|(spent, _)| spent.take()).collect();
        let is_durable = sync_sources(context, &heaps);
        heaps.into_iter().zip(all).map(|(heap, (spent, stage_dir))| spent.remove(heap, is_durable, stage_dir)).collect()
    }

    fn take(&self) -> Heap {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes the records, if they are not needed any more. An error is remembered.
    fn remove(&self, heap: Heap, is_durable: Result<(), Errno>, stage_dir: &StageDir) -> Result<(), Errno> {
        if let Err(error) = is_durable {
            return Err(*self.1.get_or_init(|| error));
        }
        for record in heap.records {
            // One that stays is read by the next run, which finds everything done.
            unlink(stage_dir.dir(), &record).ok();
        }
        self.1.get().map_or(Ok(()), |&error| Err(error))
    }
}

/// Makes it durable that sources have gone from their directories.
fn sync_sources<'a>(context: &Context, heaps: impl IntoIterator<Item = &'a Heap>) -> Result<(), Errno> {
    match context.sync {
        SyncMode::Auto => sync_removals(heaps.into_iter().flat_map(|heap| &heap.sources).map(|source| &source.dir)),
        SyncMode::None => Ok(()),
    }
}
