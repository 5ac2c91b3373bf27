//! The people who can sign in.

use std::sync::Arc;

use super::state::State;

/// A user of the home tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxUser {
    /// Name to sign in with, such as `alice@contoso.example`.
    pub name: String,
    /// The password. The default is published, so it protects nothing.
    pub password: String,
    /// Object id in the directory.
    pub object_id: String,
}

impl SandboxUser {
    pub(crate) fn new(name: &str, object_id: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: "sandbox-password-do-not-use".to_owned(),
            object_id: object_id.to_owned(),
        }
    }
}

/// The user of that name, in any case.
pub(crate) fn named(state: &State, name: &str) -> Option<Arc<SandboxUser>> {
    let mut users = state.options.users.iter();
    users
        .find(|user| user.name.eq_ignore_ascii_case(name))
        .map(|user| Arc::new(user.clone()))
}
