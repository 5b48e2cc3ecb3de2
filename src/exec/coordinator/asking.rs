//! Questions to the user: one at a time, in the order of the operands, each when everything before it is settled.

use std::sync::Arc;

use crate::error::MoveError;
use crate::item::{Ask, Batch, Item, Outcome, Place, Verdict, Way};
use crate::report::{overwrite_question, replace_question};
use crate::sys::{Stat, is_writable};
use crate::transfer::Target;

use super::Coordinator;

/// An item about whose target the user has to be asked.
pub(super) struct Question {
    source: Arc<Place>,
    target: Arc<Target>,
    item: Item,
}

impl Coordinator<'_> {
    /// Whether the user may have to be asked about an item. Looked at before it joins others: those after it are not to
    /// move before the answer is there.
    pub(super) fn may_ask(&self, target: &Target, item: &Item) -> bool {
        self.context.policy.ask != Ask::Never
            && self.context.way != Way::Exchange
            && Stat::at(&target.place.dir, item.target_name()).is_ok()
    }

    /// Takes a question in, to be asked when everything before it is settled.
    pub(super) fn note_question(&mut self, source: Arc<Place>, target: Arc<Target>, item: Item) {
        self.questions.push(Question { source, target, item });
    }

    /// Asks what is to be asked, and goes on with what was agreed to.
    pub(super) fn answer_questions(&mut self) -> anyhow::Result<()> {
        // Most have none.
        while !self.questions.is_empty() {
            // A target that appeared just now has come out of turn.
            self.questions.sort_by_key(|question| question.item.order);
            let question = self.questions.remove(0);
            self.answer(question)?;
        }
        Ok(())
    }

    fn answer(&mut self, question: Question) -> anyhow::Result<()> {
        let Question { source, target, mut item } = question;
        if self.context.stop.is_set() {
            let path = source.path_of(&item);
            self.refuse(&item, Box::new(MoveError::NotReached { path }));
            return Ok(());
        }
        let judged = Stat::at(&source.dir, &item.name)
            .map_err(|error| target.missing(&self.context, &source, &item, error))
            .and_then(|stat| target.judge(&self.context, &source, &item, &stat));
        match judged {
            Err(error) => {
                self.refuse(&item, error);
                return Ok(());
            }
            Ok(judged) if judged.verdict == Verdict::Ask => {
                let Some(existing) = judged.existing else {
                    // It was judged, so it was there.
                    let path = source.path_of(&item);
                    self.refuse(&item, Box::new(MoveError::NotReached { path }));
                    return Ok(());
                };
                if !self.is_agreed(&target, &item, &existing) {
                    let settled = self.context.settle(&source, &target.place, &item, Outcome::Declined);
                    self.end(settled);
                    return Ok(());
                }
                item.agreed = Some(existing.id);
            }
            // Nothing is to be asked any more, or it never was: it is to be compared.
            Ok(_) => {}
        }
        self.open = Some(Batch { source, target, items: vec![item] });
        self.move_here()?;
        while self.in_flight > 0 {
            self.wait()?;
        }
        Ok(())
    }

    /// Asks, in mv's words.
    fn is_agreed(&mut self, target: &Target, item: &Item, existing: &Stat) -> bool {
        let path = target.path(item);
        let question = if is_writable(&target.place.dir, item.target_name(), existing) {
            overwrite_question(&path)
        } else {
            replace_question(&path, existing.mode)
        };
        let stop = &self.context.stop;
        self.tally.ask(&question, || stop.is_interrupted())
    }
}
