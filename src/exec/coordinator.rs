//! The coordinating thread: takes candidates, cuts batches, keeps the number of items in flight bounded, and is the
//! only one that talks to the user.

mod asking;
mod goals;
mod merging;
mod placing;
mod settling;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError};
use std::time::Duration;

use crate::error::{MoveError, Quoted};
use crate::input::PATIENCE;
use crate::item::{Batch, Conflict, Gathered, Item, Outcome, Settled};
use crate::plan::{Planned, Planner};
use crate::report::{Phase, Reporter, Summary};
use crate::source::{Candidate, Stream};
use crate::transfer::{Context, Deferred, PublishedTree, Target, TreeJob};

use asking::Question;
use goals::Goals;
use merging::Merging;

use super::engine::{Engine, Event};
use super::groups::{Added, Groups};
use super::tally::Tally;
use super::work::{Here, work};

/// Items of a batch that is copied. Large enough that handing it over costs nothing, small enough that all workers
/// have some.
const BATCH: usize = 256;

/// Items of a batch that is renamed. The next one is collected meanwhile, and one waits.
const RENAME_BATCH: usize = 512;

/// Items of a batch that is copied on one mount, from one subvolume to another: where there are such, a barrier takes long,
/// whatever little it is for.
const COPIED_ON_ONE_MOUNT: usize = 2048;

/// Items in flight: what waits for a barrier counts, and holds a descriptor each.
const IN_FLIGHT: usize = 8192;

/// Trees that may be on their way at once.
const TREES: usize = 64;

/// Runs one move from the first candidate to the last message.
pub(crate) struct Coordinator<'a> {
    context: Arc<Context>,
    planner: Planner,
    tally: Tally<'a>,
    engine: Option<(Engine, Receiver<Event>)>,
    open: Option<Batch<Target>>,
    /// How many items the batch before it had: for so many, the next one has room from the start.
    usual_items: usize,
    in_flight: usize,
    permits: usize,
    goals: Goals,
    merging: Merging,
    groups: Groups,
    questions: Vec<Question>,
    trees: VecDeque<TreeJob>,
    is_staging_tree: bool,
    /// Trees begun and not settled.
    trees_open: usize,
    held: Vec<PublishedTree>,
    /// Directories that had to be retired before others that share links with them were met.
    retired_early: usize,
    /// More than there are descriptors for: they are to be retired, or forgotten, soon.
    too_many_held: bool,
}

impl<'a> Coordinator<'a> {
    pub(crate) fn new(context: Arc<Context>, planner: Planner, reporter: &'a mut Reporter) -> Self {
        let tally = Tally::new(Arc::clone(&context), reporter);
        // An item that waits holds its staged file; should it be a batch of its own, also its directory and its record.
        // Where there are many target directories, each batch may be one of few items.
        let each = if context.policy.merge || planner.keeps_paths() { 12 } else { 6 };
        if context.policy.merge || planner.keeps_paths() {
            context.expect_others_below(planner.target());
        }
        let permits = context.most_items(each).min(IN_FLIGHT);
        Self {
            goals: Goals::new(context.descriptors),
            merging: Merging::default(),
            context,
            planner,
            tally,
            engine: None,
            open: None,
            usual_items: 0,
            in_flight: 0,
            permits,
            groups: Groups::default(),
            questions: Vec::new(),
            trees: VecDeque::new(),
            is_staging_tree: false,
            trees_open: 0,
            held: Vec::new(),
            retired_early: 0,
            too_many_held: false,
        }
    }

    /// Moves everything that `candidates` yields.
    pub(crate) fn run(mut self, candidates: Stream) -> anyhow::Result<Summary> {
        let result = self.move_all(candidates);
        // Also where no threads could be had: what was made at the target is taken back.
        self.close();
        let summary = self.tally.close();
        result.map(|()| summary)
    }

    fn move_all(&mut self, mut candidates: Stream) -> anyhow::Result<()> {
        let mut next = self.next_of(&mut candidates);
        // One look ahead, if it costs no waiting: a single item needs no threads.
        let mut ahead = (!candidates.would_wait(Duration::ZERO)).then(|| candidates.next());
        let is_only = matches!(ahead, Some(None));
        while let Some(candidate) = next {
            if self.context.stop.is_set() {
                self.tally.warn("stopped: not all sources were looked at");
                break;
            }
            match candidate {
                Ok(candidate) => {
                    self.take(candidate, is_only)?;
                    self.merge_met()?;
                }
                Err(error) => self.tally.refuse(None, error),
            }
            next = if let Some(ahead) = ahead.take() {
                ahead
            } else {
                // Whoever writes the list takes their time: what is there is moved, and said, meanwhile.
                if candidates.would_wait(Duration::ZERO) {
                    self.drain()?;
                }
                self.next_of(&mut candidates)
            };
        }
        // A merge lists as it goes.
        if !self.context.policy.merge {
            self.context.counters.listing_done();
        }
        self.settle_all(Gathered::All)
    }

    /// The next candidate; none once the run is to end. Reading would go on after a signal, so it must not begin before
    /// there is something to read.
    fn next_of(&self, candidates: &mut Stream) -> Option<crate::error::Result<Candidate>> {
        while candidates.would_wait(PATIENCE) {
            if self.context.stop.is_set() {
                return None;
            }
        }
        candidates.next()
    }

    fn take(&mut self, candidate: Candidate, is_only: bool) -> anyhow::Result<()> {
        self.context.counters.known(1);
        let mut planned = self.planner.plan(candidate);
        if let Planned::Wait(candidate) = planned {
            self.settle_all(Gathered::SoFar)?;
            planned = self.planner.plan_settled(candidate);
        }
        match planned {
            Planned::Item { source, below, item } => self.place(source, below.as_deref(), item, is_only),
            Planned::Alone { source, below, item } => self.place_alone(source, below.as_deref(), item, is_only),
            Planned::MovedBefore { order } => {
                self.tally.finish(order, Outcome::MovedBefore, None, Vec::new());
                Ok(())
            }
            Planned::Refused { order, error } => {
                self.tally.refuse(order, error);
                Ok(())
            }
            // It was planned as settled.
            Planned::Wait(_) => Ok(()),
        }
    }

    /// Ends an item.
    fn end(&mut self, settled: Settled) {
        let Settled { order, within, paths, outcome, warnings, .. } = settled;
        let stays = matches!(outcome, Outcome::Skipped | Outcome::Declined | Outcome::Failed(_));
        self.merging.note_end(within, stays);
        self.tally.finish(order, outcome, paths, warnings);
    }

    /// Ends an item that has failed before it was handed to anybody.
    fn refuse(&mut self, item: &Item, error: Box<MoveError>) {
        self.merging.note_end(item.within, true);
        self.tally.refuse(item.order, error);
    }

    /// Moves the one item on this thread. A directory that must be copied is worth threads all the same.
    fn move_here(&mut self) -> anyhow::Result<()> {
        let Some(batch) = self.open.take() else { return Ok(()) };
        self.in_flight += batch.items.len();
        let (events, told) = std::sync::mpsc::channel();
        work(&self.context, batch, &Here(events));
        for event in told {
            self.handle(event)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match self.open.take() {
            Some(batch) => {
                self.usual_items = batch.items.len();
                self.dispatch(batch)
            }
            None => Ok(()),
        }
    }

    /// Hands a batch to a worker, once there are permits for its items.
    fn dispatch(&mut self, batch: Batch<Target>) -> anyhow::Result<()> {
        let same_mount = batch.target.is_on_mount_of(&batch.source);
        let copies = !same_mount || self.has_met_copies();
        let policy = &self.context.policy;
        let gives_names = policy.backup.is_some() || policy.conflict == Conflict::KeepBoth;
        let permits = match self.permits {
            // Where descriptors are short, one batch at a time has them.
            _ if self.context.named_stages => 1,
            // Which name is the next that is free depends on what came before. Between devices it may depend on the workers.
            _ if same_mount && gives_names => 1,
            permits if copies => permits,
            permits => permits.min(2 * RENAME_BATCH),
        };
        while self.in_flight > 0 && self.in_flight + batch.items.len() > permits {
            self.wait()?;
        }
        self.in_flight += batch.items.len();
        self.context.counters.phase(if same_mount { Phase::Moving } else { Phase::Copying });
        let engine = &self.engine()?.0;
        if copies {
            engine.batch(batch);
        } else {
            engine.renames(batch);
        }
        // Take what has been told meanwhile, so that it is said early.
        while let Some(event) = self.engine.as_ref().and_then(|(_, told)| told.try_recv().ok()) {
            self.handle(event)?;
        }
        Ok(())
    }

    /// Whether something on one mount had to be copied all the same.
    fn has_met_copies(&self) -> bool {
        self.engine.as_ref().is_some_and(|(engine, _)| engine.has_met_copies())
    }

    fn engine(&mut self) -> anyhow::Result<&(Engine, Receiver<Event>)> {
        if self.engine.is_none() {
            self.engine = Some(Engine::start(&self.context)?);
        }
        self.engine.as_ref().ok_or_else(|| anyhow::anyhow!("no threads"))
    }

    /// Waits until everything in flight is settled, but for hard-link groups that are being collected.
    fn drain(&mut self) -> anyhow::Result<()> {
        self.flush()?;
        while self.in_flight > 0 {
            self.wait()?;
            self.retire_some()?;
        }
        self.answer_questions()
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        // Whatever is waited for, it may need the next tree to be staged first.
        self.begin_tree()?;
        let told = self.engine()?.1.recv();
        match told {
            Ok(event) => self.handle(event),
            // All senders are gone: cannot be while the engine lives.
            Err(RecvError) => anyhow::bail!("the workers are gone"),
        }
    }

    fn handle(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Settled(settled) => {
                self.in_flight -= settled.len();
                for settled in settled {
                    self.trees_open -= usize::from(settled.is_tree);
                    self.end(settled);
                }
                self.begin_tree()?;
            }
            Event::Deferred(deferred) => {
                for deferred in deferred {
                    self.put_off(deferred)?;
                }
                self.begin_tree()?;
            }
            Event::NotATree(deferred) => {
                self.trees_open -= 1;
                self.put_off(*deferred)?;
            }
            Event::LaneLeft => self.engine()?.0.staff_lane(),
            Event::TreeStaged => {
                self.is_staging_tree = false;
                self.begin_tree()?;
            }
            Event::Held(tree) => {
                self.in_flight -= 1;
                self.trees_open -= 1;
                self.held.push(*tree);
                if self.held.len() >= self.context.open_dirs {
                    self.too_many_held = true;
                }
            }
            // What else is under way ends as if the process had been killed: nothing is lost by that.
            Event::Panicked(path) => anyhow::bail!(
                "internal error while moving {}: please report it; the same command finishes the job",
                Quoted(&path)
            ),
        }
        Ok(())
    }

    /// Takes in what no worker could settle.
    fn put_off(&mut self, deferred: Deferred) -> anyhow::Result<()> {
        match deferred {
            Deferred::Tree { source, target, item } => {
                self.trees.push_back(TreeJob { source, target, item, reuse: None });
            }
            Deferred::Ask { source, target, item } => {
                self.in_flight -= 1;
                self.note_question(source, target, item);
            }
            Deferred::Merge { source, target, item } => {
                self.in_flight -= 1;
                self.merging.meet(source, &target, item);
            }
            Deferred::Linked { source, target, item, file, links } => {
                self.in_flight -= 1;
                match self.groups.add(file, links, &source, &target, item) {
                    Added::Collected => {}
                    // Its members had permits until now, or just a moment ago.
                    Added::Complete(collected) => self.begin_group(collected)?,
                    // It will have gone with the first.
                    Added::Repeated(item, error) => self.refuse(&item, error),
                }
            }
        }
        Ok(())
    }

    /// Begins with the next directory, if none is being staged: all workers help with one, and links between
    /// directories find what they link to.
    fn begin_tree(&mut self) -> anyhow::Result<()> {
        // A staged tree holds descriptors until it is published.
        let most = if self.context.named_stages { 1 } else { TREES };
        if self.is_staging_tree || self.trees_open >= most {
            return Ok(());
        }
        if let Some(job) = self.trees.pop_front() {
            self.is_staging_tree = true;
            self.trees_open += 1;
            self.engine()?.0.tree(job);
        }
        Ok(())
    }
}
