//! Machines that are made up: so much is done with so many workers.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers, none below 0")]

use super::*;

/// What a step computes, and what a worker waits for besides, where it waits for nobody. Seconds.
#[derive(Clone, Copy)]
struct Machine {
    cpu: f64,
    wait: f64,
    /// With how many workers how much is done, compared to what would be if they were not in each other's way.
    yields: fn(f64) -> f64,
    /// How far what is measured is off, at most.
    noise: f64,
}

const PROCESSORS: usize = 2;
const TICK: f64 = 0.005;

impl Machine {
    /// Steps a second.
    fn rate(&self, width: usize) -> f64 {
        let width = width as f64;
        let free = width * (self.yields)(width) / (self.cpu + self.wait);
        free.min(PROCESSORS as f64 / self.cpu)
    }

    /// The widths, tick by tick.
    fn run(&self, seconds: f64) -> Vec<usize> {
        self.run_with(Pacer::new(PROCESSORS, 64), seconds)
    }

    fn run_with(&self, mut pacer: Pacer, seconds: f64) -> Vec<usize> {
        let mut done = 0.0;
        let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
        let mut widths = Vec::new();
        let mut now = 0.0;
        while now < seconds {
            now += TICK;
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let swing = 1.0 + self.noise * ((dice >> 33) as f64 / f64::from(1_u32 << 30) - 1.0);
            let rate = self.rate(pacer.width()) * swing;
            done += rate * TICK;
            let steps = done.floor();
            done -= steps;
            let sample = Sample {
                wall: Duration::from_secs_f64(pacer.width() as f64 * TICK),
                cpu: Duration::from_secs_f64(rate * TICK * self.cpu),
                steps: steps as u64,
            };
            pacer.note(Duration::from_secs_f64(now), sample);
            widths.push(pacer.width());
        }
        widths
    }

    /// What is done in so many seconds, as a share of what the best fixed width does.
    fn share_of_best(&self, seconds: f64) -> f64 {
        let done: f64 = self.run(seconds).into_iter().map(|width| self.rate(width) * TICK).sum();
        let best = (PROCESSORS..=64).map(|width| self.rate(width)).fold(0.0, f64::max);
        done / (best * seconds)
    }
}

fn freely(_: f64) -> f64 {
    1.0
}

#[test]
fn where_nobody_waits_there_are_as_many_as_processors() {
    for wait in [0.0, 0.000_02, 0.000_05] {
        let local = Machine { cpu: 0.000_04, wait, yields: freely, noise: 0.3 };
        assert_eq!(local.run(60.0).into_iter().max(), Some(2), "{wait}");
    }
}

#[test]
fn far_away_there_are_many_at_once() {
    let far = Machine { cpu: 0.000_2, wait: 0.012, yields: freely, noise: 0.1 };
    let widths = far.run(60.0);
    assert_eq!(widths[9], 64, "after 50 ms, when each has done four files: {:?}", &widths[..10]);
    assert!(far.share_of_best(1.0) > 0.95 && far.share_of_best(60.0) > 0.95);
}

#[test]
fn a_knee_is_found() {
    for (knee, least) in [(2.0, 0.85), (8.0, 0.85), (16.0, 0.85), (64.0, 0.93)] {
        for noise in [0.0, 0.2] {
            let yields: fn(f64) -> f64 = match knee as u32 {
                2 => |width| (2.0 / width).min(1.0),
                8 => |width| (8.0 / width).min(1.0),
                16 => |width| (16.0 / width).min(1.0),
                _ => freely,
            };
            let machine = Machine { cpu: 0.000_1, wait: 0.01, yields, noise };
            let share = machine.share_of_best(60.0);
            assert!(share > least, "knee {knee}, noise {noise}: {share}");
            let last = machine.run(60.0);
            let mean = last[6000..].iter().sum::<usize>() as f64 / (last.len() - 6000) as f64;
            assert!(mean <= 3.0 * knee && mean >= knee / 2.0, "knee {knee}, noise {noise}: {mean} workers");
        }
    }
}

#[test]
fn where_more_do_less_it_steps_back() {
    // A disk with one arm: the more ask, the more it moves.
    let disk = Machine { cpu: 0.000_1, wait: 0.008, yields: |width| 1.0 / width / width.sqrt(), noise: 0.1 };
    let widths = disk.run(60.0);
    let mean = widths[200..].iter().sum::<usize>() as f64 / (widths.len() - 200) as f64;
    assert!(mean < 3.0, "{mean}");
    assert!(disk.share_of_best(60.0) > 0.9);
}

#[test]
fn without_enough_to_do_nothing_is_concluded() {
    let mut pacer = Pacer::new(2, 64);
    let far =
        |steps| Sample { wall: Duration::from_millis(12 * steps), cpu: Duration::from_micros(200 * steps), steps };
    pacer.note(Duration::from_millis(20), far(4));
    assert_eq!(pacer.width(), 64);
    // One directory is left, which two have.
    for tick in 2..1000 {
        pacer.note(Duration::from_millis(12 * tick), far(2));
    }
    assert_eq!(pacer.width(), 64);
}

#[test]
fn no_more_than_there_are() {
    let mut pacer = Pacer::new(2, 64);
    pacer.limit(1);
    assert_eq!(pacer.width(), 1);
    let sample = Sample { wall: Duration::from_secs(1), cpu: Duration::from_millis(1), steps: 100 };
    for tick in 1..200 {
        pacer.note(Duration::from_millis(100 * tick), sample);
        assert_eq!(pacer.width(), 1);
    }
}

/// A near disk is guessed nothing about, but more workers are tried now and then, and kept only where more gets done.
#[test]
fn on_near_disks_more_are_kept_only_where_more_gets_done() {
    let near = || Pacer::new(PROCESSORS, 64).near();
    let mean = |widths: &[usize]| widths.iter().sum::<usize>() as f64 / widths.len() as f64;
    // Held up by barriers, which more workers do not make any faster.
    let barriers = Machine { cpu: 0.000_04, wait: 0.000_4, yields: |width| 2.0 / width, noise: 0.1 };
    let widths = barriers.run_with(near(), 60.0);
    assert!(widths[..200].iter().all(|&width| width == PROCESSORS), "a second long nothing is tried");
    assert!(mean(&widths) < 2.3, "{}", mean(&widths));
    let many_arms = Machine { cpu: 0.000_04, wait: 0.004, yields: freely, noise: 0.1 };
    let widths = many_arms.run_with(near(), 60.0);
    assert!(mean(&widths[6000..]) > 30.0, "{}", mean(&widths[6000..]));
}

#[test]
fn waits_on_near_disks_are_no_reason_for_more_workers() {
    let mut pacer = Pacer::new(2, 64).near();
    // Held up by a barrier: hardly anything is computed.
    let stalled = Sample { wall: Duration::from_millis(200), cpu: Duration::from_millis(2), steps: 20 };
    pacer.note(Duration::from_millis(100), stalled);
    assert_eq!(pacer.width(), 2);
    pacer.note_far(Duration::from_millis(110));
    pacer.note(Duration::from_millis(210), stalled);
    assert!(pacer.width() > 30, "the same at a server is one: {}", pacer.width());
}
