//! For benches: what a redraw of the live line works out, without the terminal.

use std::time::Duration;

use super::counters::Counters;
use super::estimate::Estimator;
use super::text;

/// The live line of a run.
#[derive(Debug)]
pub struct LiveLine(Estimator);

impl LiveLine {
    /// At its start.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a line has a beginning, not a default")]
    pub fn new() -> Self {
        Self(Estimator::new())
    }

    /// Looks at the counters, and says what would be shown.
    pub fn sample(&mut self, counters: &Counters, elapsed: Duration) -> String {
        let seen = counters.snapshot();
        let pace = self.0.sample(&seen, elapsed);
        text::live_line(&seen, &pace, Some(80))
    }
}
