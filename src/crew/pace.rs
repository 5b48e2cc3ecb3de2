//! How many workers should be at work, from what they say of their work. Pure: time is given, nothing is started here.
//!
//! Where a server is at one end, the first guess comes from the share of its time in which a worker waits: whoever computes
//! for a tenth of it leaves room for nine others. Near disks are waited for because of barriers, which says nothing. In both
//! cases more workers are tried now and then where workers wait, and only what gets done counts: more are kept where more
//! is done, fewer where as much is.

#![allow(clippy::cast_precision_loss, reason = "rates and widths, of which no digit beyond the third matters")]

use std::time::Duration;

/// A worker that computes for less than one part in so many of its time is waiting: for a server, or a slow disk. Less
/// than that is also what a machine with other work to do looks like.
const WAITING: f64 = 4.0;

/// So many steps, and so much of the workers' time, have to be seen before the first guess.
const FEW: u64 = 3;
const GLIMPSE: Duration = Duration::from_millis(6);

/// After so much of the workers' time without a guess, it stays at what it began with for now.
const LONG_LOOK: Duration = Duration::from_millis(100);

/// How long a width is tried: long enough for a batch's barrier to be a part of it, and not all. What was begun before it is
/// not counted: the pause ahead of it.
const INTERVAL: Duration = Duration::from_millis(150);
const PAUSE: Duration = Duration::from_millis(50);

/// For how long a width is kept before others are tried: at first, and at the longest.
const PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(32);

/// By how much more has to be done for more workers to be kept, and how little less for fewer. Chosen by `tests`: nearer to
/// one, what swings is taken for a gain, and the width climbs without reason.
const GAIN: f64 = 1.1;
const LOSS: f64 = 0.97;

/// What a worker says of its last steps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    /// What they took, by the clock and of the processor.
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    pub(super) steps: u64,
}

impl Sample {
    fn add(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
        self.steps += other.steps;
    }

    /// How many workers one processor could serve: one, if they don't wait.
    pub(super) fn slack(&self) -> f64 {
        // A clock of ticks may say that nothing was computed.
        self.wall.as_secs_f64() / self.cpu.as_secs_f64().max(1e-5)
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.slack() >= WAITING
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Nothing is known.
    New,
    /// Another width than before; what was done with that. Steps a second.
    Trying { before: usize, rate: f64 },
    /// This one is good until then.
    Holding { until: Duration },
    /// For comparison, before another is tried.
    Measuring,
}

/// Decides how many workers may be at work.
#[derive(Debug)]
pub(super) struct Pacer {
    least: usize,
    most: usize,
    width: usize,
    /// No server is known to be involved: waits come from what others do, or from this run's own barriers.
    is_near: bool,
    phase: Phase,
    patience: Duration,
    /// Whether the next to be tried is more; less, otherwise.
    climbs_next: bool,
    /// Since when steps are counted, and those.
    since: Duration,
    seen: Sample,
}

impl Pacer {
    /// Begins with `least`, the number of processors, and never goes below it, nor above `most`.
    pub(super) fn new(least: usize, most: usize) -> Self {
        Self {
            least,
            most: most.max(least),
            width: least,
            is_near: false,
            phase: Phase::New,
            patience: PATIENCE,
            climbs_next: true,
            since: Duration::ZERO,
            seen: Sample::default(),
        }
    }

    /// The same where all is near: no guess is made from how long workers wait, only trials.
    pub(super) fn near(self) -> Self {
        Self { is_near: true, ..self }
    }

    /// A server is involved after all: what was seen so far says nothing of it.
    pub(super) fn note_far(&mut self, now: Duration) {
        if self.is_near {
            self.is_near = false;
            self.phase = Phase::New;
            self.restart(now);
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// No more than these can be had.
    pub(super) fn limit(&mut self, most: usize) {
        self.most = most.max(1);
        self.least = self.least.min(self.most);
        self.width = self.width.min(self.most);
    }

    /// Whether everything is of interest: the first guess is due as soon as it can be made.
    pub(super) fn is_new(&self) -> bool {
        self.phase == Phase::New && self.least < self.most
    }

    /// Takes in what a worker has done by `now`, which is counted from the beginning.
    pub(super) fn note(&mut self, now: Duration, sample: Sample) {
        if now < self.since {
            return;
        }
        self.seen.add(sample);
        let interval = now.saturating_sub(self.since);
        if self.phase == Phase::New {
            self.guess(now);
        } else if interval >= INTERVAL {
            // Where there was not enough to do for all, nothing is learnt. (What is not said yet when an interval ends is missing
            // from it, too.)
            const ENOUGH: f64 = 0.6;
            let busy = self.seen.wall.as_secs_f64() / interval.as_secs_f64();
            if busy >= ENOUGH * self.width as f64 {
                self.conclude(now, self.seen.steps as f64 / interval.as_secs_f64());
            } else {
                self.restart(now);
            }
        }
    }

    fn guess(&mut self, now: Duration) {
        if self.seen.steps < FEW || self.seen.wall < GLIMPSE {
            return;
        }
        let rate = self.least as f64 * self.seen.steps as f64 / self.seen.wall.as_secs_f64();
        if !self.is_near && self.seen.is_waiting() && self.least < self.most {
            let width = self.with_slack();
            self.attempt(now, width, rate);
        } else if self.seen.wall >= LONG_LOOK {
            self.hold(now);
        }
    }

    /// As many as would keep the processors busy if nothing else were in their way.
    fn with_slack(&self) -> usize {
        let fitting = self.least as f64 * self.seen.slack();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a few dozen")]
        let fitting = fitting.min(self.most as f64) as usize;
        fitting.clamp(self.least, self.most)
    }

    fn conclude(&mut self, now: Duration, rate: f64) {
        match self.phase {
            Phase::New => {}
            Phase::Trying { before, rate: with } if self.width > before => {
                if rate < with * GAIN {
                    self.give_way(now, before);
                } else if self.width < self.most && self.seen.is_waiting() {
                    self.attempt(now, (2 * self.width).min(self.most), rate);
                } else {
                    self.patience = PATIENCE;
                    self.hold(now);
                }
            }
            Phase::Trying { before, rate: with } => {
                if rate < with * LOSS {
                    self.give_way(now, before);
                } else if self.width > self.least {
                    self.attempt(now, (self.width / 2).max(self.least), rate.max(with));
                } else {
                    self.hold(now);
                }
            }
            Phase::Holding { until } if now < until => self.restart(now),
            Phase::Holding { .. } => {
                self.phase = Phase::Measuring;
                self.restart(now);
            }
            Phase::Measuring => self.probe(now, rate),
        }
    }

    /// Tries another width than the one that has been kept for a while: more and fewer in turn, if either makes sense.
    fn probe(&mut self, now: Duration, rate: f64) {
        let may_climb = self.width < self.most && self.seen.is_waiting();
        let may_fall = self.width > self.least;
        let climbs = may_climb && (self.climbs_next || !may_fall);
        self.climbs_next = !climbs;
        match (climbs, may_fall) {
            (true, _) => self.attempt(now, (2 * self.width).min(self.most), rate),
            (false, true) => self.attempt(now, (self.width / 2).max(self.least), rate),
            (false, false) => self.hold(now),
        }
    }

    fn attempt(&mut self, now: Duration, width: usize, rate: f64) {
        self.phase = Phase::Trying { before: self.width, rate };
        self.width = width;
        self.restart(now + PAUSE);
    }

    /// It was better before.
    fn give_way(&mut self, now: Duration, before: usize) {
        self.width = before;
        self.patience = (2 * self.patience).min(MOST_PATIENCE);
        self.hold(now);
    }

    fn hold(&mut self, now: Duration) {
        self.phase = Phase::Holding { until: now + self.patience };
        self.restart(now);
    }

    fn restart(&mut self, since: Duration) {
        self.since = since;
        self.seen = Sample::default();
    }
}

#[cfg(test)]
mod tests;
