//! Admin consent: the page on which an administrator of a customer lets a partner's application in (Entra ID, "Admin consent on the
//! Microsoft identity platform").

use std::sync::Arc;

use url::form_urlencoded;

use super::{
    TokenKey, aadsts,
    error::TokenError,
    identity::{Audience, Identity, Kind, Partner},
};
use crate::origin::Origin;

/// The customer for which a partner got no token.
#[derive(Debug)]
pub struct Customer {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where its administrator consents, if that is what helps.
    pub consent_url: Option<String>,
}

impl Customer {
    /// The customer of `key`; `None` if the identity is no partner. `login` is the cloud's login host.
    #[must_use]
    pub fn of(identity: &Identity, key: &TokenKey, failed: (&Origin, &TokenError)) -> Option<Self> {
        let Kind::Partner(partner) = &identity.kind else {
            return None;
        };
        let (login, error) = failed;
        let (name, tenant) = partner
            .customers
            .at(partner.customers.find(key.tenant.as_str())?)?;
        let page = Page {
            login,
            tenant: tenant.as_str(),
            audience: &key.audience,
        };
        let cured = error.code().is_some_and(aadsts::is_cured_by_consent);
        Some(Self {
            name: Arc::clone(name),
            consent_url: cured.then(|| page.url(partner, &partner.consent_redirect, None)),
        })
    }
}

/// A page for consenting.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The cloud's login host.
    pub login: &'a Origin,
    /// The tenant that shall consent; `organizations` for that of whoever signs in.
    pub tenant: &'a str,
    /// The API whose permissions are asked for: all that the app's registration lists.
    pub audience: &'a Audience,
}

impl Page<'_> {
    /// Its URL. The administrator's browser goes to `redirect` afterwards, and shows `state` there.
    #[must_use]
    pub fn url(&self, partner: &Partner, redirect: &str, state: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", partner.client_id.as_str());
        query.append_pair("scope", &self.audience.scope());
        query.append_pair("redirect_uri", redirect);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        format!(
            "{}/{}/v2.0/adminconsent?{}",
            self.login,
            self.tenant,
            query.finish()
        )
    }
}

/// In the place of a tenant: that of whoever signs in.
pub const ANY_TENANT: &str = "organizations";
