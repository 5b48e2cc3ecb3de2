//! Messages about operands in the order in which they were given, whatever finished first.

use std::collections::BTreeMap;

/// Holds back what comes early.
#[derive(Debug)]
pub(super) struct InOrder<T> {
    next: u64,
    held: BTreeMap<u64, T>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { next: 0, held: BTreeMap::new() }
    }
}

impl<T> InOrder<T> {
    /// Takes one in; gives out all whose turn it is now. What has no order is given out at once.
    pub(super) fn add(&mut self, order: Option<u64>, one: T) -> Vec<T> {
        let Some(order) = order else { return vec![one] };
        self.held.insert(order, one);
        let mut due = Vec::new();
        while let Some(one) = self.held.remove(&self.next) {
            self.next += 1;
            due.push(one);
        }
        due
    }

    /// Gives out the rest: what they waited for will not come any more.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.held).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn everything_comes_out_once_and_in_order(order in Just((0..40_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut in_order = InOrder::default();
            let out: Vec<u64> = order.iter().flat_map(|&n| in_order.add(Some(n), n)).collect();
            prop_assert_eq!(out, (0..40).collect::<Vec<_>>());
            prop_assert_eq!(in_order.rest().count(), 0);
        }
    }

    #[test]
    fn what_has_no_order_does_not_wait() {
        let mut in_order = InOrder::default();
        assert_eq!(in_order.add(Some(1), "later"), Vec::<&str>::new());
        assert_eq!(in_order.add(None, "now"), ["now"]);
        assert_eq!(in_order.rest().collect::<Vec<_>>(), ["later"]);
    }
}
