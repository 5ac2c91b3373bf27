//! The scripted faults that wait for their requests.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::actions::{Action, Queue, Times};
use super::effects::Effect;
use super::script::ScriptError;
use super::state::{Listener, lock};

/// One queue per kind of stand-in. The first action that matches a request takes it, so actions on
/// one path come one after the other; an action that still lets requests pass (`after`) takes those
/// too.
pub(crate) struct Faults(Mutex<Queues>);

impl Faults {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Queues::default()))
    }

    /// Appends to the queues, or to none when they would grow beyond 1000 actions.
    pub(crate) fn append(&self, more: Queues) -> Result<(), ScriptError> {
        let mut queues = lock(&self.0);
        let total = queues.len() + more.len();
        if total > CAPACITY {
            return Err(ScriptError::TooMany(total));
        }
        queues.token.extend(more.token);
        queues.api.extend(more.api);
        queues.managed.extend(more.managed);
        Ok(())
    }

    /// What is scripted for a request that just arrived.
    pub(crate) fn take(&self, queue: Queue, listener: Listener, path: &str) -> Option<Effect> {
        let mut queues = lock(&self.0);
        let actions = match queue {
            Queue::Token => &mut queues.token,
            Queue::Api => &mut queues.api,
            Queue::Managed => &mut queues.managed,
        };
        if actions.is_empty() {
            return None;
        }
        let path = path.to_ascii_lowercase();
        let index = actions
            .iter()
            .position(|action| action.matches(listener, &path))?;
        let action = actions.get_mut(index)?;
        if action.after > 0 {
            action.after -= 1;
            return None;
        }
        match &mut action.times {
            Times::Always => Some(action.effect.clone()),
            Times::Count(left) if *left > 1 => {
                *left -= 1;
                Some(action.effect.clone())
            }
            Times::Count(_) => actions.remove(index).map(|action| action.effect),
        }
    }

    /// How many actions wait in each queue, as the control answers say it.
    pub(crate) fn waiting(&self) -> Value {
        let queues = lock(&self.0);
        json!({"token": queues.token.len(), "api": queues.api.len(), "managed": queues.managed.len()})
    }

    pub(crate) fn clear(&self) {
        *lock(&self.0) = Queues::default();
    }
}

/// Actions for each kind of stand-in.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) token: VecDeque<Action>,
    pub(crate) api: VecDeque<Action>,
    pub(crate) managed: VecDeque<Action>,
}

impl Queues {
    fn len(&self) -> usize {
        self.token.len() + self.api.len() + self.managed.len()
    }
}

const CAPACITY: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(actions: &Value) -> Faults {
        let body = json!({"api": actions}).to_string();
        let settings = super::super::settings::Settings::initial(&super::super::Options::default());
        let script = super::super::script::Script::parse(body.as_bytes(), &settings).unwrap();
        let faults = Faults::new();
        faults.append(script.actions).unwrap();
        faults
    }

    /// The pauses (in milliseconds) successive requests on `path` meet.
    fn delays(faults: &Faults, path: &str, requests: usize) -> Vec<Option<u128>> {
        (0..requests)
            .map(
                |_| match faults.take(Queue::Api, Listener::Defender, path) {
                    Some(Effect::Wait(super::super::effects::Wait::Delay(delay))) => {
                        Some(delay.as_millis())
                    }
                    _ => None,
                },
            )
            .collect()
    }

    #[test]
    fn actions_come_in_order_and_as_often_as_told() {
        let faults = faults(&json!([{"delay_ms": 1, "times": 2}, {"delay_ms": 2, "after": 1}]));
        assert_eq!(
            delays(&faults, "/a", 6),
            [Some(1), Some(1), None, Some(2), None, None]
        );
        assert_eq!(faults.waiting()["api"], 0);
    }

    #[test]
    fn always_lasts_until_cleared() {
        let faults = faults(&json!([{"delay_ms": 1, "times": "always"}]));
        assert_eq!(delays(&faults, "/a", 3), [Some(1); 3]);
        faults.clear();
        assert_eq!(delays(&faults, "/a", 1), [None]);
    }

    #[test]
    fn a_path_leaves_other_requests_alone() {
        let faults = faults(&json!([{"delay_ms": 1, "path": "/b"}, {"delay_ms": 2}]));
        assert_eq!(delays(&faults, "/a", 2), [Some(2), None]);
        assert_eq!(delays(&faults, "/B/c", 2), [Some(1), None]);
    }
}
