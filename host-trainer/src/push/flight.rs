//! Selective repeat: which of the numbered items are there, on their way, or to be sent (again).

use std::collections::VecDeque;
use std::time::Duration;

/// Items of which an answer tells from the first that lacks on, that one included; no later one has arrived by it.
const TOLD: u32 = 1 + 32;

/// Items `0..total`, of which those in a window may be sent in any order.
#[derive(Debug)]
pub(super) struct Flight {
    total: u32,
    /// Every item before this one has arrived.
    base: u32,
    window: u32,
    /// An answer is asked for with every so many items, and whenever nothing more may be sent.
    ask_every: u32,
    /// Item `base + i`.
    items: VecDeque<Item>,
    /// Counts what was sent.
    order: u64,
    since_ask: u32,
}

/// One item of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Item {
    arrived: bool,
    /// When in the order of things it was sent last; 0: it is to be sent.
    order: u64,
    times: u32,
    asked: Option<Asked>,
}

/// An item that asked for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// When.
    pub(super) at: Duration,
    /// Bytes that were sent since the last answer, the item's own included.
    pub(super) bytes: usize,
}

/// What an answer told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Something has arrived of which that was not known.
    pub(super) any: bool,
    /// Something that had arrived has not, by this answer. It is late, or the device has lost it.
    pub(super) denied: bool,
    /// The question that was answered, if there can be no doubt which it was.
    pub(super) answered: Option<Asked>,
}

impl Flight {
    pub(super) fn new(total: u32, window: u32, ask_every: u32) -> Self {
        let mut flight = Self { total, base: 0, window, ask_every, items: VecDeque::new(), order: 0, since_ask: 0 };
        flight.fill();
        flight
    }

    /// Items that have arrived without a gap.
    pub(super) fn base(&self) -> u32 {
        self.base
    }

    pub(super) fn is_done(&self) -> bool {
        self.base == self.total
    }

    fn fill(&mut self) {
        let len = self.window.min(self.total - self.base) as usize;
        self.items.resize(len.max(self.items.len()), Item::default());
    }

    /// The next item to be sent, whether it asks for an answer, and how often it was sent before.
    pub(super) fn take(&mut self) -> Option<(u32, bool, u32)> {
        let mut waiting = (0..self.items.len()).filter(|&i| !self.items[i].arrived && self.items[i].order == 0);
        let index = waiting.next()?;
        let asks = waiting.next().is_none() || self.since_ask + 1 >= self.ask_every;
        self.since_ask = if asks { 0 } else { self.since_ask + 1 };
        self.order += 1;
        let item = &mut self.items[index];
        let before = item.times;
        *item = Item { arrived: false, order: self.order, times: before + 1, asked: None };
        Some((self.base + index as u32, asks, before))
    }

    /// Notes when item `number`, just taken, asked.
    pub(super) fn asked(&mut self, number: u32, asked: Asked) {
        if let Some(item) = self.items.get_mut((number - self.base) as usize) {
            item.asked = Some(asked);
        }
    }

    /// No answer has come: what was sent last and has not arrived is to be sent again. It asks, as nothing else is to
    /// be sent, and its answer tells of all that was sent before it.
    pub(super) fn probe(&mut self) {
        let last = self.items.iter_mut().filter(|item| !item.arrived).max_by_key(|item| item.order);
        if let Some(item) = last {
            item.order = 0;
        }
    }

    /// Takes an answer: which items have arrived. What was sent before an item that has, and has not, is lost.
    pub(super) fn learn(&mut self, has_arrived: impl Fn(u32) -> bool) -> News {
        let arrived = (self.base..).zip(&self.items).filter(|(_, item)| item.arrived).map(|(number, _)| number);
        let denied = (self.base.saturating_sub(TOLD)..self.base).chain(arrived).any(|number| !has_arrived(number));
        let mut newest: Option<Item> = None;
        for (number, item) in (self.base..).zip(&mut self.items) {
            if !item.arrived && item.times > 0 && has_arrived(number) {
                item.arrived = true;
                if newest.is_none_or(|newest| newest.order < item.order) {
                    newest = Some(*item);
                }
            }
        }
        let Some(newest) = newest else { return News { any: false, denied, answered: None } };
        while self.items.front().is_some_and(|item| item.arrived) {
            self.items.pop_front();
            self.base += 1;
        }
        for item in self.items.iter_mut().filter(|item| !item.arrived && item.order < newest.order) {
            item.order = 0;
        }
        self.fill();
        // An item that was sent twice may answer either time (Karn and Partridge 1987).
        News { any: true, denied, answered: newest.asked.filter(|_| newest.times == 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(flight: &mut Flight) -> Vec<(u32, bool)> {
        std::iter::from_fn(|| flight.take().map(|(number, asks, _)| (number, asks))).collect()
    }

    #[test]
    fn a_window_is_sent_and_its_last_item_asks() {
        let mut flight = Flight::new(7, 3, 3);
        assert_eq!(sent(&mut flight), [(0, false), (1, false), (2, true)]);
        assert!(flight.learn(|number| number < 3).any);
        assert_eq!(sent(&mut flight), [(3, false), (4, false), (5, true)]);
        flight.learn(|number| number < 6);
        assert_eq!(sent(&mut flight), [(6, true)]);
        flight.learn(|_| true);
        assert!(flight.is_done());
    }

    #[test]
    fn only_what_is_lost_is_sent_again() {
        let mut flight = Flight::new(9, 4, 4);
        sent(&mut flight);
        flight.learn(|number| number == 3 || number == 1);
        assert_eq!(flight.base(), 0);
        assert_eq!(sent(&mut flight), [(0, false), (2, true)]);
        flight.learn(|number| number <= 3);
        assert_eq!(sent(&mut flight), [(4, false), (5, false), (6, false), (7, true)]);
    }

    #[test]
    fn with_more_questions_than_windows_what_is_on_its_way_is_not_sent_again() {
        let mut flight = Flight::new(9, 4, 2);
        assert_eq!(sent(&mut flight), [(0, false), (1, true), (2, false), (3, true)]);
        flight.learn(|number| number == 1);
        assert_eq!(sent(&mut flight), [(0, true)]);
    }

    #[test]
    fn silence_sends_the_last_again_and_its_answer_is_in_doubt() {
        let mut flight = Flight::new(4, 4, 4);
        sent(&mut flight);
        flight.probe();
        assert_eq!(sent(&mut flight), [(3, true)]);
        flight.asked(3, Asked { at: Duration::ZERO, bytes: 1 });
        assert_eq!(flight.learn(|number| number >= 2), News { any: true, denied: false, answered: None });
        assert_eq!(sent(&mut flight), [(0, false), (1, true)]);
        let asked = Asked { at: Duration::from_secs(1), bytes: 5 };
        flight.asked(1, asked);
        // Sent twice, both of them.
        assert_eq!(flight.learn(|_| true), News { any: true, denied: false, answered: None });
    }

    #[test]
    fn an_answer_that_knows_less_than_before_is_told_from_one_that_knows_as_much() {
        let mut flight = Flight::new(200, 4, 4);
        // Chunk 1 is kept, and 0 lacks.
        sent(&mut flight);
        assert!(!flight.learn(|number| number == 1).denied);
        assert!(!flight.learn(|number| number == 1).denied);
        assert_eq!(flight.learn(|_| false), News { any: false, denied: true, answered: None });
        assert_eq!(flight.learn(|number| number == 0), News { any: true, denied: true, answered: None });
        for next in 3..=100 {
            assert!(!flight.learn(|number| number < next).denied, "{next}");
            sent(&mut flight);
        }
        // Whichever lacks, even if all are there that an answer can name besides.
        for next in 0..=100 {
            let is_kept = |number| next < number && number <= (next + 32).min(99);
            assert_eq!(flight.learn(|number| number < next || is_kept(number)).denied, next < 100, "{next}");
        }
    }
}
