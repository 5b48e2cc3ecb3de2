//! Going through the calls of a run: all of them, or as many as seconds allow; and telling what was found.

use std::fmt::Display;
use std::time::Instant;

/// Whether all calls are to be gone through.
pub fn is_exhaustive() -> bool {
    std::env::var_os("PMOVE_TEST_EXHAUSTIVE").is_some_and(|value| value == "1")
}

/// Of `all`, about `most` from all over, the first and the last among them; or all.
pub fn sampled<T>(all: Vec<T>, most: usize) -> Vec<T> {
    if is_exhaustive() || all.len() <= most {
        return all;
    }
    // An odd step, so that a pattern of several calls a file is met at different points.
    let step = (all.len() / most) | 1;
    let last = all.len() - 1;
    all.into_iter().enumerate().filter(|(n, _)| n % step == 0 || *n == last).map(|(_, one)| one).collect()
}

/// What sweeps have found.
#[derive(Debug, Default)]
pub struct Findings {
    runs: usize,
    hits: usize,
    wrong: Vec<String>,
    begun: Option<Instant>,
}

impl Findings {
    /// Takes note of a run, and of what was wrong with it.
    pub fn note(&mut self, what: impl Display, hits: usize, wrong: &[String]) {
        self.begun.get_or_insert_with(Instant::now);
        self.runs += 1;
        self.hits += usize::from(hits > 0);
        if !wrong.is_empty() {
            self.wrong.push(format!("--- {what}\n{}", wrong.join("\n")));
        }
    }

    /// Panics with what was wrong, if anything was.
    #[track_caller]
    pub fn end(self, name: &str) {
        let Self { runs, hits, wrong, begun } = self;
        let time = begun.map(|begun| begun.elapsed()).unwrap_or_default();
        eprintln!("{name}: {runs} runs in {time:.1?}, {hits} of them disturbed, {} of them wrong", wrong.len());
        assert!(hits * 10 >= runs * 9, "{name}: only {hits} of {runs} runs were disturbed");
        let shown: Vec<String> = wrong.iter().take(show()).cloned().collect();
        assert!(wrong.is_empty(), "{name}: {} of {runs} runs went wrong:\n{}", wrong.len(), shown.join("\n"));
    }
}

/// How many wrong runs are told in full.
fn show() -> usize {
    std::env::var("PMOVE_TEST_SHOW").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}
