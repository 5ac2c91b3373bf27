//! Which managed identity a request means.

use super::Call;
use super::source::{Refusal, Source};
use crate::sandbox::{Options, federation};

/// One identity of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity<'a> {
    pub(super) client_id: &'a str,
    /// Of its service principal.
    pub(super) object_id: &'a str,
}

impl<'a> Identity<'a> {
    /// The one that `call` selects; the machine's own if it selects none.
    pub(super) fn selected(
        options: &'a Options,
        source: Source,
        call: &Call<'_>,
    ) -> Result<Self, Refusal> {
        let assigned = Identity {
            client_id: &options.managed_client_id,
            object_id: &options.managed_object_id,
        };
        let known = |name: &str| match name {
            "client_id" => &options.managed_client_id,
            "object_id" | "principal_id" => &options.managed_object_id,
            _ => &options.managed_resource_id,
        };
        let mut given = source
            .selectors()
            .iter()
            .filter_map(|name| Some((*name, call.query(name)?)));
        match (given.next(), given.next()) {
            (None, _) => Ok(SYSTEM),
            (Some(_), Some(_)) => Err(Refusal::TwoSelectors),
            (Some((name, value)), None) if known(name).eq_ignore_ascii_case(value) => Ok(assigned),
            (Some(_), None) => Err(Refusal::UnknownIdentity),
        }
    }
}

impl Source {
    /// The parameters that select an identity. The agent of Arc knows the machine's own only and looks at none of them.
    fn selectors(self) -> &'static [&'static str] {
        match self {
            Self::Imds => &["client_id", "object_id", "msi_res_id", "mi_res_id"],
            // MSAL sends `object_id` where the documentation has `principal_id`.
            Self::AppService => &["client_id", "principal_id", "object_id", "mi_res_id"],
            Self::Arc => &[],
        }
    }
}

/// The system-assigned identity.
const SYSTEM: Identity<'static> = Identity {
    client_id: "5a9db0c5-0000-4000-8000-0000000000d0",
    object_id: federation::MANAGED_IDENTITY,
};
