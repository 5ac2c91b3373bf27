//! The scripted faults that wait for their requests.

use std::collections::VecDeque;
use std::sync::Mutex;

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

    /// Appends to both queues, or to neither when they would grow beyond 1000 actions.
    pub(crate) fn append(&self, token: Vec<Action>, api: Vec<Action>) -> Result<(), ScriptError> {
        let mut queues = lock(&self.0);
        let total = queues.token.len() + queues.api.len() + token.len() + api.len();
        if total > CAPACITY {
            return Err(ScriptError::TooMany(total));
        }
        queues.token.extend(token);
        queues.api.extend(api);
        Ok(())
    }

    /// What is scripted for a request that just arrived.
    pub(crate) fn take(&self, queue: Queue, listener: Listener, path: &str) -> Option<Effect> {
        let mut queues = lock(&self.0);
        let actions = match queue {
            Queue::Token => &mut queues.token,
            Queue::Api => &mut queues.api,
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

    /// Actions waiting in the token queue and in the API queue.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let queues = lock(&self.0);
        (queues.token.len(), queues.api.len())
    }

    pub(crate) fn clear(&self) {
        *lock(&self.0) = Queues::default();
    }
}

#[derive(Default)]
struct Queues {
    token: VecDeque<Action>,
    api: VecDeque<Action>,
}

const CAPACITY: usize = 1000;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn faults(actions: &Value) -> Faults {
        let body = json!({"api": actions}).to_string();
        let settings = super::super::settings::Settings::initial(&super::super::Options::default());
        let script = super::super::script::Script::parse(body.as_bytes(), &settings).unwrap();
        let faults = Faults::new();
        faults.append(script.token, script.api).unwrap();
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
        assert_eq!(faults.waiting(), (0, 0));
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
