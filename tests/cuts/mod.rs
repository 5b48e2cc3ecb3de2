//! Cutting the power while files are moved, and comparing what is left with what was there.
//!
//! Goes with `mod common;` and `mod promises;`.

#![allow(dead_code, unreachable_pub, reason = "an executable exports nothing; `pub` marks what the tests use")]

mod scene;
pub mod story;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use rustix::process::Signal;

use crate::common::mount::{FsType, LoopFs};
use crate::common::power::{Dice, Machine, Side};
use crate::common::run::Output;
use crate::common::snapshot::{Entry, Snapshot};
use crate::promises::{injected, litter, names};

pub use scene::{Program, Scene};

/// One kind of file system, and how often its power is cut.
pub struct Harness {
    kind: FsType,
    /// Where disks lie that are cut by being copied.
    shelf: Option<LoopFs>,
    cuts: u64,
    /// None: 1, with a first cut that is not left to the dice.
    seed: Option<u64>,
    /// How long a run takes that is left alone.
    durations: RefCell<HashMap<(Program, Scene), Duration>>,
}

/// What came of all cuts of one scene.
#[derive(Debug, Default)]
pub struct Score {
    what: String,
    /// Before anything was at its target, meanwhile, and after the end of the run.
    moments: [u64; 3],
    /// Files, and cuts, after which they were lost.
    lost: u64,
    losing: u64,
    torn: u64,
    pub lost_after_exit_0: u64,
    /// What was found, cut by cut.
    faults: Vec<String>,
}

/// When the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    After(Duration),
    /// The run has ended.
    End,
}

/// How the power goes: all that may differ from cut to cut.
#[derive(Debug)]
struct Cut {
    moment: Moment,
    /// The process ends with the power; else it goes on, and meets nothing but errors.
    kills: bool,
    first: Side,
    /// The kernel has just written out what one side holds.
    flushes_source: bool,
    flushes_target: bool,
}

impl Cut {
    /// `longest` is a little more than a run takes.
    fn toss(dice: &mut Dice, longest: Duration) -> Self {
        let micros = u64::try_from(longest.as_micros()).unwrap();
        let moment =
            if dice.below(5) == 0 { Moment::End } else { Moment::After(Duration::from_micros(dice.below(micros))) };
        let first = if dice.toss() { Side::Source } else { Side::Target };
        Self { moment, kills: dice.toss(), first, flushes_source: dice.toss(), flushes_target: dice.below(4) == 0 }
    }
}

/// The directories of sources and of targets.
struct Dirs {
    from: PathBuf,
    to: PathBuf,
}

impl Dirs {
    fn of(machine: &Machine) -> Self {
        Self { from: machine.path(Side::Source).join("from"), to: machine.path(Side::Target).join("to") }
    }
}

/// What was there before.
struct Before {
    sources: Snapshot,
    targets: Snapshot,
}

impl Harness {
    /// `cuts` for each scene, unless `PMOVE_TEST_CUTS` says otherwise.
    pub fn new(kind: FsType, cuts: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
        let shelf = (kind == FsType::Btrfs).then(Machine::shelf);
        let (cuts, seed) = (number("PMOVE_TEST_CUTS").unwrap_or(cuts), number("PMOVE_TEST_SEED"));
        Self { kind, shelf, cuts, seed, durations: RefCell::default() }
    }

    /// Cuts once a run, as often as asked for; the first time at the run's end, with the sources' removal on disk.
    pub fn cut_once(&self, program: Program, scene: Scene) -> Score {
        let mut score = Score { what: format!("{:?} {program:?} {scene:?}", self.kind), ..Score::default() };
        for index in 0..self.cuts {
            let seed = self.seed.unwrap_or(1) + index;
            let mut dice = Dice::new(seed);
            let (mut machine, before) = self.ready(scene);
            let mut cut = Cut::toss(&mut dice, self.longest(program, scene));
            if index == 0 && self.seed.is_none() {
                cut = Cut { moment: Moment::End, flushes_source: true, ..cut };
            }
            let ended = run_and_cut(&machine, program, scene, &cut);
            machine.boot();
            score.add(&machine, &before, &ended, &format!("seed {seed}, {cut:?}"));
        }
        score.print();
        score
    }

    /// Cuts a run, and the next one, too, and lets the third come to its end.
    pub fn cut_twice_and_finish(&self, scene: Scene) -> Score {
        let mut score = Score { what: format!("{:?} twice {scene:?}", self.kind), ..Score::default() };
        for index in 0..self.cuts {
            let seed = self.seed.unwrap_or(1) + index;
            let mut dice = Dice::new(seed);
            let (mut machine, before) = self.ready(scene);
            let mut how = format!("seed {seed}");
            for _ in 0..2 {
                let cut = Cut::toss(&mut dice, self.longest(Program::Pmove, scene));
                let ended = run_and_cut(&machine, Program::Pmove, scene, &cut);
                machine.boot();
                let (Ended { output, before_the_cut }, Dirs { from, to }) = (&ended, Dirs::of(&machine));
                let left = [names(&from), names(&to)].map(|names| names.into_iter().take(9).collect::<Vec<_>>());
                how = format!(
                    "{how}\n    {cut:?}: {:?}, before the cut: {before_the_cut}\n{}    then {left:?} and {:?}",
                    output.code,
                    output.stderr_text(),
                    litter(&to)
                );
                score.add(&machine, &before, &ended, &how);
            }
            let Dirs { from, to } = Dirs::of(&machine);
            let output = scene.command(Program::Pmove, &from, &to).run();
            if let Err(why) = is_finished(&machine, &before, &output) {
                score.faults.push(format!("{how}: not finished: {why}\n{}", output.dump()));
            }
        }
        score.print();
        score
    }

    /// Cuts after a run whose target's disk has everything, the removal of records included, and whose source's disk has
    /// only what the run itself made durable. Then runs it again.
    #[track_caller]
    pub fn cut_after_the_target_was_written(&self, scene: Scene) {
        self.run_again(scene, |machine, dirs| {
            scene.command(Program::Pmove, &dirs.from, &dirs.to).run().ok();
            machine.flush(Side::Target);
            machine.cut(Side::Source);
        });
    }

    /// Kills a run that is about to retire its first source, reboots without losing anything, and runs it again.
    #[track_caller]
    pub fn reboot_before_retiring(&self, scene: Scene) {
        self.run_again(scene, |_, dirs| {
            let pmove = scene.command(Program::Pmove, &dirs.from, &dirs.to);
            let killed = injected(pmove, &["unlinkat:signal=KILL:when=1"]).run();
            assert!(killed.signal.is_some(), "{}", killed.dump());
        });
    }

    #[track_caller]
    fn run_again(&self, scene: Scene, first_run: impl Fn(&Machine, &Dirs)) {
        let (mut machine, before) = self.ready(scene);
        let dirs = Dirs::of(&machine);
        first_run(&machine, &dirs);
        machine.boot();
        let output = scene.command(Program::Pmove, &dirs.from, &dirs.to).run();
        if let Err(why) = is_finished(&machine, &before, &output) {
            panic!("{:?} {scene:?}: not finished: {why}\n{}", self.kind, output.dump());
        }
    }

    /// File systems with the scene on them, durable.
    fn ready(&self, scene: Scene) -> (Machine, Before) {
        let dir = self.shelf.as_ref().map_or(Path::new("/dev/shm"), LoopFs::path);
        let machine = Machine::new(self.kind, dir);
        let Dirs { from, to } = Dirs::of(&machine);
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        scene.build(&from, &to);
        machine.flush(Side::Source);
        machine.flush(Side::Target);
        let before = Before { sources: Snapshot::of(from), targets: Snapshot::of(to) };
        (machine, before)
    }

    /// A little more than what a run takes that is left alone.
    fn longest(&self, program: Program, scene: Scene) -> Duration {
        let mut durations = self.durations.borrow_mut();
        let measured = durations.entry((program, scene)).or_insert_with(|| {
            let (machine, _) = self.ready(scene);
            let Dirs { from, to } = Dirs::of(&machine);
            let begun = Instant::now();
            scene.command(program, &from, &to).run().ok();
            begun.elapsed()
        });
        *measured * 9 / 8
    }
}

/// What a run said, and whether that was before the cut.
struct Ended {
    output: Output,
    before_the_cut: bool,
}

fn run_and_cut(machine: &Machine, program: Program, scene: Scene, cut: &Cut) -> Ended {
    let Dirs { from, to } = Dirs::of(machine);
    let mut running = scene.command(program, &from, &to).spawn();
    match cut.moment {
        Moment::After(time) => thread::sleep(time),
        Moment::End => while running.is_running() {},
    }
    let before_the_cut = !running.is_running();
    if cut.kills {
        running.signal(Signal::KILL);
        while running.is_running() {}
    }
    for (side, flushes) in [(Side::Target, cut.flushes_target), (Side::Source, cut.flushes_source)] {
        if flushes {
            machine.flush(side);
        }
    }
    machine.cut(cut.first);
    // Whoever goes on without a disk has a time limit.
    Ended { output: running.wait(), before_the_cut }
}

/// Whether two entries are the same file, whatever other names and holes it has.
fn is_same(left: Option<&Entry>, right: Option<&Entry>) -> bool {
    let plain = |entry: &Entry| Entry { data: None, link_group: None, ..entry.clone() };
    matches!((left, right), (Some(left), Some(right)) if plain(left) == plain(right))
}

impl Score {
    fn add(&mut self, machine: &Machine, before: &Before, ended: &Ended, how: &str) {
        let Ended { output, before_the_cut } = ended;
        let Dirs { from, to } = Dirs::of(machine);
        let (sources, targets) = (Snapshot::of(from), Snapshot::of(&to));
        let is_dir = |entry: Option<&Entry>| entry.is_some_and(|entry| entry.kind == FileType::Directory);
        let (mut lost, mut torn, mut moved) = (Vec::new(), Vec::new(), 0);
        for path in before.sources.paths().filter(|path| !is_dir(before.sources.get(path))) {
            let was = before.sources.get(path);
            let is_moved = is_same(was, targets.get(path));
            moved += u64::from(is_moved);
            if !is_moved && !is_same(was, sources.get(path)) {
                lost.push(path.to_owned());
            }
        }
        for path in targets.paths().filter(|path| !path.starts_with(litter_of(path))) {
            let now = targets.get(path);
            let is_known = is_same(now, before.sources.get(path)) || is_same(now, before.targets.get(path));
            // A directory is there with all that is in it, or not at all.
            let is_whole = path == Path::new(".") || is_dir(now) && is_complete(path, &before.sources, &targets);
            if !is_known && !is_whole {
                torn.push(path.to_owned());
            }
        }
        let moment = if moved == 0 && !before_the_cut { 0 } else { 1 + usize::from(*before_the_cut) };
        self.moments[moment] += 1;
        self.lost += lost.len() as u64;
        self.losing += u64::from(!lost.is_empty());
        self.torn += torn.len() as u64;
        if *before_the_cut && output.code == Some(0) {
            self.lost_after_exit_0 += lost.len() as u64;
        }
        if !lost.is_empty() || !torn.is_empty() {
            let left = litter(&to);
            self.faults.push(format!("{how}: lost {lost:?}, torn {torn:?}, hidden {left:?}\n{}", output.dump()));
        }
    }

    /// Nothing was lost or torn, and what was to be finished was.
    #[track_caller]
    pub fn assert_nothing_is_lost(&self) {
        let first = self.faults.first();
        assert!(first.is_none(), "{}: {} faults, the first:\n{}", self.what, self.faults.len(), first.unwrap());
    }

    /// A line of the table, where somebody asked for it.
    #[expect(clippy::print_stderr, reason = "a measurement's report")]
    fn print(&self) {
        let Self { what, moments: [before, meanwhile, after], lost, losing, torn, .. } = self;
        let faults = self.faults.len();
        eprintln!(
            "{what}: {before} before, {meanwhile} meanwhile, {after} ended; lost {lost} in {losing} cuts, torn {torn}, \
             faults {faults}"
        );
    }
}

/// The part of a path that only pmove gives, or one that no path begins with.
fn litter_of(path: &Path) -> PathBuf {
    let first = path.components().next().map(|first| first.as_os_str().to_owned()).unwrap_or_default();
    if first.as_encoded_bytes().starts_with(b".pmove-") { first.into() } else { "/".into() }
}

fn is_complete(dir: &Path, sources: &Snapshot, targets: &Snapshot) -> bool {
    let within = sources.paths().filter(|path| path.starts_with(dir) && *path != dir);
    sources.get(dir).is_some() && within.into_iter().all(|path| targets.get(path).is_some())
}

/// Everything is at its target, once, and nothing else is anywhere.
fn is_finished(machine: &Machine, before: &Before, output: &Output) -> Result<(), String> {
    let Dirs { from, to } = Dirs::of(machine);
    let says_gone = output.code == Some(1) && output.stderr_text().contains("cannot stat");
    if output.code != Some(0) && !says_gone {
        return Err("it failed".into());
    }
    let (mut whole, moved) = (before.sources.clone().without_root().without_holes(), Snapshot::of(&to));
    // Old targets that nothing was moved over cannot be: every one has a source.
    let moved = moved.without_root().without_holes();
    if whole != moved {
        return Err(format!("source → target:\n{}", whole.diff(&moved)));
    }
    whole = Snapshot::of(&from).without_root();
    if whole.len() > 0 || !litter(&to).is_empty() {
        return Err(format!("left: {:?}, {:?}", whole.paths().collect::<Vec<_>>(), litter(&to)));
    }
    Ok(())
}
