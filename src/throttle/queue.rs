//! Who waits, and who is next: connections in turn, and the requests of one in their order.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;

/// A connection of a client, by its identity while it is open.
pub(super) type Client = usize;

/// Those who wait for one class of calls.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Who has been sent before, and refused.
    refused: VecDeque<Waiter>,
    lines: VecDeque<Line>,
    waiting: u32,
    tickets: u64,
}

#[derive(Debug)]
struct Line {
    client: Client,
    waiters: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    turn: Arc<Notify>,
}

impl Queue {
    /// How many wait.
    pub(super) fn len(&self) -> u32 {
        self.waiting
    }

    /// How many go before the next request of a client would.
    pub(super) fn ahead_of(&self, client: Client) -> u32 {
        let own = self.lines.iter().find(|line| line.client == client);
        let own = own.map_or(0, |line| line.waiters.len());
        let ahead = self.lines.iter().map(|line| {
            if line.client == client {
                own
            } else {
                line.waiters.len().min(own + 1)
            }
        });
        count(ahead.sum::<usize>() + self.refused.len())
    }

    /// Joins the line of a client.
    pub(super) fn push(&mut self, client: Client, turn: Arc<Notify>) -> u64 {
        let waiter = self.waiter(turn);
        let ticket = waiter.ticket;
        match self.lines.iter_mut().find(|line| line.client == client) {
            Some(line) => line.waiters.push_back(waiter),
            None => self.lines.push_back(Line {
                client,
                waiters: [waiter].into(),
            }),
        }
        ticket
    }

    /// Joins those who were refused, before everybody else.
    pub(super) fn push_refused(&mut self, turn: Arc<Notify>) -> u64 {
        let waiter = self.waiter(turn);
        let ticket = waiter.ticket;
        self.refused.push_back(waiter);
        ticket
    }

    fn waiter(&mut self, turn: Arc<Notify>) -> Waiter {
        self.waiting += 1;
        self.tickets += 1;
        Waiter {
            ticket: self.tickets,
            turn,
        }
    }

    fn first(&self) -> Option<&Waiter> {
        self.refused
            .front()
            .or_else(|| self.lines.front()?.waiters.front())
    }

    pub(super) fn is_first(&self, ticket: u64) -> bool {
        self.first().is_some_and(|first| first.ticket == ticket)
    }

    /// The first goes; its client comes last among the others now.
    pub(super) fn pop(&mut self) {
        let popped = self.refused.pop_front().or_else(|| {
            let mut line = self.lines.pop_front()?;
            let waiter = line.waiters.pop_front();
            if !line.waiters.is_empty() {
                self.lines.push_back(line);
            }
            waiter
        });
        self.waiting -= u32::from(popped.is_some());
    }

    /// One gives up.
    pub(super) fn remove(&mut self, ticket: u64) {
        let before = self.total();
        let stays = |waiter: &Waiter| waiter.ticket != ticket;
        self.refused.retain(stays);
        for line in &mut self.lines {
            line.waiters.retain(stays);
        }
        self.lines.retain(|line| !line.waiters.is_empty());
        self.waiting -= count(before - self.total());
    }

    fn total(&self) -> usize {
        self.refused.len()
            + self
                .lines
                .iter()
                .map(|line| line.waiters.len())
                .sum::<usize>()
    }

    /// Tells the first that it may be its turn.
    pub(super) fn wake_first(&self) {
        if let Some(first) = self.first() {
            first.turn.notify_one();
        }
    }

    /// Tells all that something has changed.
    pub(super) fn wake_all(&self) {
        let lines = self.lines.iter().flat_map(|line| &line.waiters);
        for waiter in self.refused.iter().chain(lines) {
            waiter.turn.notify_one();
        }
    }
}

fn count(waiters: usize) -> u32 {
    u32::try_from(waiters).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn join(queue: &mut Queue, client: Client) -> u64 {
        queue.push(client, Arc::default())
    }

    fn go(queue: &mut Queue) -> u64 {
        let first = queue.first().unwrap().ticket;
        queue.pop();
        first
    }

    #[test]
    fn connections_take_turns_and_the_refused_come_first() {
        let mut queue = Queue::default();
        let greedy: Vec<u64> = (0..4).map(|_| join(&mut queue, 1)).collect();
        assert_eq!((queue.ahead_of(1), queue.ahead_of(2)), (4, 1));
        let modest = join(&mut queue, 2);
        let late = [join(&mut queue, 3), join(&mut queue, 3)];
        let refused = queue.push_refused(Arc::default());
        assert_eq!(queue.ahead_of(2), 1 + 1 + 2 + 2);
        queue.remove(greedy[2]);
        queue.remove(greedy[2]);
        assert_eq!(queue.len(), 7);
        let order: Vec<u64> = (0..7).map(|_| go(&mut queue)).collect();
        assert_eq!(
            order,
            [
                refused, greedy[0], modest, late[0], greedy[1], late[1], greedy[3]
            ]
        );
        assert_eq!((queue.len(), queue.lines.len()), (0, 0));
    }

    proptest! {
        #[test]
        fn nobody_is_lost_and_nobody_goes_twice(steps in prop::collection::vec((0..6_usize, 0..5_u8), 1..200)) {
            let mut queue = Queue::default();
            let mut waiting = HashSet::new();
            for (client, step) in steps {
                if step > 0 {
                    waiting.insert(join(&mut queue, client));
                } else if queue.len() > 0 {
                    prop_assert!(waiting.remove(&go(&mut queue)));
                }
                prop_assert_eq!(queue.len() as usize, waiting.len());
            }
            while queue.len() > 0 {
                prop_assert!(waiting.remove(&go(&mut queue)));
            }
            prop_assert!(waiting.is_empty());
        }
    }
}
