//! How fast it goes and how long it will take: pure arithmetic on samples of the counters.
//!
//! Time is passed in as what has elapsed since the start, so that nothing here reads a clock.

use std::time::Duration;

use super::counters::Snapshot;

/// The time constant, in seconds, of the rate that is shown: it should follow what happens.
const SHOWN: f64 = 3.0;
/// The time constant, in seconds, of the rate that the ETA is made from: it should not jump about
/// between the copying and the barriers of one batch.
const STEADY: f64 = 15.0;
/// An ETA beyond this says no more than that things stand still.
const LONGEST_ETA: Duration = Duration::from_hours(100 * 24);

/// An exponential moving average of a rate.
#[derive(Clone, Copy, Debug)]
struct Average {
    time_constant: f64,
    value: f64,
    /// How much of the average rests on samples rather than on the initial zero.
    weight: f64,
}

impl Average {
    fn new(time_constant: f64) -> Self {
        Self { time_constant, value: 0.0, weight: 0.0 }
    }

    /// Takes in that `amount` was done in `seconds`, which must be more than zero.
    fn add(&mut self, amount: u64, seconds: f64) {
        let kept = (-seconds / self.time_constant).exp();
        self.value = self.value * kept + float(amount) / seconds * (1.0 - kept);
        self.weight = self.weight * kept + (1.0 - kept);
    }

    fn per_second(&self) -> f64 {
        if self.weight > 0.0 { self.value / self.weight } else { 0.0 }
    }
}

/// Follows one quantity: what there is of it, how fast it grows.
#[derive(Clone, Copy, Debug)]
struct Flow {
    last: u64,
    shown: Average,
    steady: Average,
}

impl Flow {
    fn new() -> Self {
        Self { last: 0, shown: Average::new(SHOWN), steady: Average::new(STEADY) }
    }

    /// Returns whether anything was added since the last sample.
    fn sample(&mut self, now: u64, seconds: f64) -> bool {
        let grown = now.saturating_sub(self.last);
        self.last = now;
        self.shown.add(grown, seconds);
        self.steady.add(grown, seconds);
        grown > 0
    }
}

/// What the live line needs to know beside the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    pub(super) bytes_per_second: f64,
    pub(super) files_per_second: f64,
    /// Whether bytes were copied since the last sample.
    pub(super) flowing: bool,
    pub(super) eta: Option<Duration>,
}

/// Turns samples into a [`Pace`].
#[derive(Debug)]
pub(super) struct Estimator {
    at: Duration,
    bytes: Flow,
    files: Flow,
    pace: Pace,
}

impl Estimator {
    pub(super) fn new() -> Self {
        Self { at: Duration::ZERO, bytes: Flow::new(), files: Flow::new(), pace: Pace::default() }
    }

    /// Takes in what the counters hold when `elapsed` has passed since the start.
    pub(super) fn sample(&mut self, seen: &Snapshot, elapsed: Duration) -> Pace {
        let seconds = elapsed.saturating_sub(self.at).as_secs_f64();
        if seconds > 0.0 {
            self.at = elapsed;
            self.pace.flowing = self.bytes.sample(seen.copied, seconds);
            self.files.sample(seen.settled(), seconds);
            self.pace.bytes_per_second = self.bytes.shown.per_second();
            self.pace.files_per_second = self.files.shown.per_second();
            self.pace.eta = eta(seen, self.bytes.steady.per_second(), self.files.steady.per_second());
        }
        self.pace
    }
}

/// How long the rest takes: by its bytes, where all sizes are known and bytes are left, else by files.
/// None while the total is open, while nothing moves, and when nothing countable is left: what then
/// remains (a barrier, removing) cannot be foretold.
fn eta(seen: &Snapshot, bytes_per_second: f64, files_per_second: f64) -> Option<Duration> {
    let files = seen.total_files()?;
    let bytes_left = seen.total_bytes().map_or(0, |total| total - seen.copied);
    let seconds = match (bytes_left, files - seen.settled()) {
        (0, 0) => return None,
        (0, files_left) => float(files_left) / files_per_second,
        (bytes_left, _) => float(bytes_left) / bytes_per_second,
    };
    // A rate of zero makes this infinite, which is no duration.
    let eta = Duration::try_from_secs_f64(seconds).ok()?;
    (eta < LONGEST_ETA).then_some(eta)
}

#[expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]
fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn all_known(known: u64, known_bytes: u64) -> Snapshot {
        Snapshot { known, known_bytes, listing_done: true, sizes_done: true, ..Snapshot::default() }
    }

    #[test]
    fn the_first_sample_is_the_mean_rate() {
        let mut average = Average::new(3.0);
        assert!(average.per_second().abs() < 1e-9);
        average.add(50, 0.5);
        assert!((average.per_second() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn the_average_follows_a_change_and_does_not_depend_on_how_often_it_is_sampled() {
        let (mut often, mut seldom) = (Average::new(3.0), Average::new(3.0));
        for _ in 0..100 {
            often.add(10, 0.1);
        }
        for _ in 0..10 {
            seldom.add(100, 1.0);
        }
        assert!((often.per_second() - seldom.per_second()).abs() < 1e-6);
        for _ in 0..30 {
            often.add(0, 0.1);
        }
        let after_one_time_constant = often.per_second();
        assert!((30.0..45.0).contains(&after_one_time_constant), "{after_one_time_constant}");
    }

    #[test]
    fn the_eta_goes_by_bytes_where_sizes_are_known() {
        let seen = Snapshot { copied: 100, moved: 9, ..all_known(10, 400) };
        assert_eq!(eta(&seen, 10.0, 1000.0), Some(seconds(30)));
    }

    #[test]
    fn the_eta_goes_by_files_where_sizes_are_not_known() {
        let seen = Snapshot { copied: 100, moved: 4, failed: 1, sizes_done: false, ..all_known(10, 110) };
        assert_eq!(eta(&seen, 1e9, 0.5), Some(seconds(10)));
    }

    #[test]
    fn h69_no_eta_while_the_total_is_open_or_nothing_moves_or_only_a_barrier_is_left() {
        let open = Snapshot { listing_done: false, ..all_known(10, 400) };
        assert_eq!(eta(&open, 10.0, 1.0), None);
        assert_eq!(eta(&all_known(10, 400), 0.0, 0.0), None);
        assert_eq!(eta(&all_known(10, 400), 1e-9, 0.0), None);
        let all_copied_and_moved = Snapshot { copied: 400, moved: 10, ..all_known(10, 400) };
        assert_eq!(eta(&all_copied_and_moved, 10.0, 1.0), None);
        let all_copied = Snapshot { copied: 400, ..all_known(1, 400) };
        assert_eq!(eta(&all_copied, 10.0, 0.0), None);
    }

    #[test]
    fn samples_make_a_pace() {
        let mut estimator = Estimator::new();
        let pace = estimator.sample(&Snapshot { copied: 100, moved: 2, ..all_known(4, 200) }, seconds(1));
        assert!(pace.flowing);
        assert!((pace.bytes_per_second - 100.0).abs() < 1e-6);
        assert!((pace.files_per_second - 2.0).abs() < 1e-6);
        assert_eq!(pace.eta.map(|eta| eta.as_millis().div_ceil(10)), Some(100));
        let same = Snapshot { copied: 100, moved: 2, ..all_known(4, 200) };
        assert_eq!(estimator.sample(&same, seconds(1)), pace, "no time has passed");
        assert!(!estimator.sample(&same, seconds(2)).flowing);
    }
}
