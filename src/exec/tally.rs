//! How items ended: counted, and said in the right order.

use std::sync::Arc;

use crate::error::MoveError;
use crate::item::{Outcome, Paths, Warning};
use crate::report::{
    Counters, Reporter, Summary, copied, exchanged, how_copied, removed, removed_directory, renamed, skipped,
};
use crate::transfer::Context;

use super::order::InOrder;

/// What a run comes to, and who says so.
pub(super) struct Tally<'a> {
    context: Arc<Context>,
    reporter: &'a mut Reporter,
    lines: InOrder<Lines>,
    summary: Summary,
}

/// What is to be said of one item.
#[derive(Default)]
struct Lines {
    out: Vec<String>,
    warnings: Vec<Warning>,
    error: Option<Box<MoveError>>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(context: Arc<Context>, reporter: &'a mut Reporter) -> Self {
        Self { context, reporter, lines: InOrder::default(), summary: Summary::default() }
    }

    /// Takes note of how an item ended, and says so when its turn comes.
    pub(super) fn finish(
        &mut self,
        order: Option<u64>,
        outcome: Outcome,
        paths: Option<Box<Paths>>,
        warnings: Vec<Warning>,
    ) {
        self.count(&outcome);
        let lines = self.lines(outcome, paths, warnings);
        if order.is_none() {
            return self.say(&lines);
        }
        for lines in self.lines.add(order, lines) {
            self.say(&lines);
        }
    }

    fn count(&mut self, outcome: &Outcome) {
        let summary = &mut self.summary;
        let show = match outcome {
            Outcome::Renamed | Outcome::Exchanged => {
                summary.moved += 1;
                summary.renamed += 1;
                Counters::moved
            }
            Outcome::Copied { bytes } => {
                summary.moved += 1;
                summary.copied += 1;
                summary.bytes += bytes;
                Counters::moved
            }
            Outcome::Dropped | Outcome::MovedBefore => {
                summary.moved += 1;
                Counters::moved
            }
            // What was in it has been counted.
            Outcome::Merged { .. } => Counters::moved,
            Outcome::Skipped => {
                summary.skipped += 1;
                Counters::skipped
            }
            Outcome::Declined => {
                summary.skipped += 1;
                summary.declined += 1;
                Counters::skipped
            }
            Outcome::Failed(error) if matches!(**error, MoveError::NotReached { .. }) => {
                summary.not_reached += 1;
                // It is there still, and nobody has tried.
                return;
            }
            Outcome::Failed(_) => {
                summary.failed += 1;
                Counters::failed
            }
        };
        show(&self.context.counters, 1);
    }

    fn lines(&self, outcome: Outcome, paths: Option<Box<Paths>>, warnings: Vec<Warning>) -> Lines {
        let mut lines = Lines { warnings, ..Lines::default() };
        match (outcome, paths) {
            (Outcome::Failed(error), _) if !matches!(*error, MoveError::NotReached { .. }) => lines.error = Some(error),
            (Outcome::Renamed, Some(its)) => lines.out.push(renamed(&its.from, &its.to, its.backup.as_deref())),
            (Outcome::Exchanged, Some(its)) => lines.out.push(exchanged(&its.from, &its.to)),
            (Outcome::Copied { .. }, Some(its)) if its.inside.is_empty() => {
                lines.out.push(copied(&its.from, &its.to, its.backup.as_deref()));
                lines.out.extend(its.how.filter(|_| self.context.debug).map(how_copied));
                lines.out.push(removed(&its.from));
            }
            (Outcome::Copied { .. }, Some(its)) => lines.out = its.inside,
            (Outcome::Dropped, Some(its)) => lines.out.push(removed(&its.from)),
            (Outcome::Merged { removed: true }, Some(its)) => lines.out.push(removed_directory(&its.from)),
            (Outcome::Skipped, Some(its)) if self.context.debug => lines.out.push(skipped(&its.to)),
            _ => {}
        }
        lines
    }

    /// Takes note of a source that could not even be planned.
    pub(super) fn refuse(&mut self, order: Option<u64>, error: Box<MoveError>) {
        self.context.note_failure(&error);
        self.finish(order, Outcome::Failed(error), None, Vec::new());
    }

    /// Whether nothing has failed or was left out so far.
    pub(super) fn is_flawless(&self) -> bool {
        self.summary.failed == 0 && self.summary.not_reached == 0
    }

    /// Asks the user: yes or no.
    pub(super) fn ask(&mut self, question: &str, is_over: impl Fn() -> bool) -> bool {
        self.reporter.ask(&question, is_over)
    }

    /// Says something that is no failure.
    pub(super) fn warn(&mut self, warning: &str) {
        self.reporter.warning(&warning);
    }

    /// Says what is left to be said, and what it came to.
    pub(super) fn close(mut self) -> Summary {
        for lines in self.lines.rest() {
            self.say(&lines);
        }
        self.summary
    }

    fn say(&mut self, lines: &Lines) {
        for line in &lines.out {
            self.reporter.line(line);
        }
        for warning in lines.warnings.iter().filter(|warning| self.context.tell(&warning.kind)) {
            self.reporter.warning(&warning.text);
        }
        if let Some(error) = &lines.error {
            self.reporter.error(error);
        }
    }
}
