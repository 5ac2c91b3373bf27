//! Which customer of a partner a request is for.
//!
//! A client names the customer, by its name in the configuration or by its tenant, in the path (`/t/{customer}/…`), in the field
//! `X-Defender-Tenant`, or in the host (`{customer}.localhost`). A request that could be read in two ways is refused, as it must
//! never be served for the wrong one; so is one that names a customer where there is none to choose.

use std::{cmp::Reverse, fmt, sync::Arc};

use http::{HeaderMap, HeaderValue, uri::PathAndQuery};

use crate::{
    auth::identity::{Customers, TenantId},
    target,
};

/// What a request says about its customer: the name by each of the three ways, as the client wrote it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// Below `/t/`.
    pub path: Option<&'a str>,
    /// In `X-Defender-Tenant`.
    pub header: Option<&'a str>,
    /// Before `.localhost`.
    pub host: Option<&'a str>,
}

impl<'a> Selection<'a> {
    /// The place in the list of the customer that is meant. A single customer needs no name.
    ///
    /// # Errors
    /// When the names differ, or it is none of the list, or there is none and the list has several.
    pub fn among(&self, customers: &Customers) -> Result<usize, CustomerError> {
        let mut found = self.names().map(|name| customers.find(name));
        let Some(first) = found.next() else {
            return match customers.iter().len() {
                1 => Ok(0),
                _ => Err(CustomerError::Missing(Some(Listed::new(customers, None)))),
            };
        };
        if found.any(|other| other != first) {
            return Err(CustomerError::Disagree);
        }
        first.ok_or_else(|| {
            CustomerError::Unlisted(Some(Listed::new(customers, self.names().next())))
        })
    }

    /// Checks that nothing but the tenant that an identity has anyway is named.
    ///
    /// # Errors
    /// When another is.
    pub fn is_only(&self, tenant: &TenantId) -> Result<(), CustomerError> {
        let is_own = |name: &str| name.eq_ignore_ascii_case(tenant.as_str());
        if self.names().all(is_own) {
            Ok(())
        } else {
            Err(CustomerError::NoPartner)
        }
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        [self.path, self.header, self.host].into_iter().flatten()
    }
}

/// The customer that a target names, and the target behind that, to the byte; `None` if the target isn't below `/t`.
///
/// # Errors
/// When the target is below `/t` only to a server that decodes or tidies it, when what it names can be no customer, or when
/// another customer follows.
pub fn split(target: &PathAndQuery) -> Result<Option<(&str, PathAndQuery)>, CustomerError> {
    if !target::is_below(&target::canonical(target.path()), PREFIX) {
        return Ok(None);
    }
    let (name, path) = target
        .path()
        .strip_prefix("/t/")
        .map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())))
        .filter(|(name, _)| is_name(name))
        .ok_or(CustomerError::Malformed)?;
    if target::is_below(&target::canonical(path), PREFIX) {
        return Err(CustomerError::Twice);
    }
    let rest = &target.as_str()["/t/".len() + name.len()..];
    let slash = if path.is_empty() { "/" } else { "" };
    let rest = PathAndQuery::try_from([slash, rest].concat());
    let rest = rest.map_err(|_| CustomerError::Malformed)?;
    Ok(Some((name, rest)))
}

/// The customer that the field names.
///
/// # Errors
/// When there are several such fields, or the value can be no customer.
pub fn of_header(headers: &HeaderMap) -> Result<Option<&str>, CustomerError> {
    let mut values = headers
        .iter()
        .filter(|(name, _)| is_field(name.as_str()))
        .map(|(_, value)| value);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(CustomerError::Twice);
    }
    let name = HeaderValue::to_str(value).map(str::trim);
    name.ok()
        .filter(|name| is_name(name))
        .map(Some)
        .ok_or(CustomerError::Malformed)
}

/// What stands before `.localhost` in a host, if anything does.
#[must_use]
pub fn of_host(host: &str) -> Option<&str> {
    let at = host.len().checked_sub(HOST_END.len())?;
    let (name, end) = host.split_at_checked(at)?;
    (end.eq_ignore_ascii_case(HOST_END) && is_name(name)).then_some(name)
}

/// May a customer have this name: letters, digits, `-` and `_`?
#[must_use]
pub fn is_alias(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Is it a customer's name or tenant by its form? A domain name has dots.
fn is_name(text: &str) -> bool {
    text.split('.').all(is_alias)
}

/// Some servers read an underscore in a field's name as a dash, and so may whoever stands before this one.
fn is_field(name: &str) -> bool {
    let read = name
        .bytes()
        .map(|byte| if byte == b'_' { b'-' } else { byte });
    name.len() == FIELD.len() && read.eq(FIELD.bytes())
}

/// Why it isn't clear, or not possible, for which customer a request is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CustomerError {
    /// What stands in the customer's place can be no name of one.
    #[error("what the request has in the place of a customer is no customer's name")]
    Malformed,
    /// One way names a customer twice.
    #[error("the request names a customer twice")]
    Twice,
    /// Two ways name different customers.
    #[error("the path, X-Defender-Tenant and the host of the request name different customers")]
    Disagree,
    /// None is named, and there are several.
    #[error("the request doesn't say for which customer it is")]
    Missing(Option<Listed>),
    /// The one that is named is none of them.
    #[error("the customer that the request names is none of those configured")]
    Unlisted(Option<Listed>),
    /// One is named where there is none to choose.
    #[error(
        "the request names a customer, and the identity of its route acts in one tenant only, another"
    )]
    NoPartner,
}

impl CustomerError {
    /// The customers there are, if that is the question and the client may know.
    #[must_use]
    pub fn listed(&self) -> Option<&Listed> {
        match self {
            Self::Missing(listed) | Self::Unlisted(listed) => listed.as_ref(),
            Self::Malformed | Self::Twice | Self::Disagree | Self::NoPartner => None,
        }
    }

    /// The same without the names of customers. A program may use them all; a web page needs to know its own only.
    #[must_use]
    pub fn without_names(self) -> Self {
        match self {
            Self::Missing(_) => Self::Missing(None),
            Self::Unlisted(_) => Self::Unlisted(None),
            Self::Malformed | Self::Twice | Self::Disagree | Self::NoPartner => self,
        }
    }

    /// What the client's user can do.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Malformed | Self::Missing(_) => {
                "name one customer: put /t/CUSTOMER before the path, or send X-Defender-Tenant: CUSTOMER, or call http://CUSTOMER.localhost"
            }
            Self::Twice | Self::Disagree => "name one customer, in one way",
            Self::Unlisted(_) => {
                "name a customer of the partner identity's `customers`, or add this one there"
            }
            Self::NoPartner => {
                "leave the customer out, or lead the path to an identity of kind \"partner\" by a [[route]]"
            }
        }
    }
}

/// Some names of customers, and how many there are.
#[derive(Debug)]
pub struct Listed {
    /// The first of them; the nearest to what was asked for, if anything was.
    pub names: Vec<Arc<str>>,
    /// All.
    pub count: usize,
}

impl Listed {
    /// Lists `customers`, those that look like `wanted` first.
    #[must_use]
    pub fn new(customers: &Customers, wanted: Option<&str>) -> Self {
        let mut names: Vec<_> = customers.iter().map(|(name, _)| Arc::clone(name)).collect();
        let count = names.len();
        if let Some(wanted) = wanted {
            // Names that share nothing with it stay in the order of the file.
            names.sort_by_cached_key(|name| Reverse(likeness(wanted, name)));
        }
        names.truncate(SHOWN);
        Self { names, count }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))?;
        match self.count.saturating_sub(self.names.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// How alike two names are, in percent.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to 1"
)]
fn likeness(one: &str, other: &str) -> u8 {
    let other = other.to_ascii_lowercase();
    (strsim::normalized_damerau_levenshtein(&one.to_ascii_lowercase(), &other) * 100.0) as u8
}

/// Where paths name a customer, in canonical form. No route may be below it.
pub const PREFIX: &str = "/t";
const FIELD: &str = "x-defender-tenant";
const HOST_END: &str = ".localhost";
/// Most names that an answer shows.
const SHOWN: usize = 20;

#[cfg(test)]
mod tests;
