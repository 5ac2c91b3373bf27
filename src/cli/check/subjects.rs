//! Whom tokens are fetched for.

use std::{
    io::{self, Write},
    sync::Arc,
};

use anyhow::bail;

use crate::{
    auth::identity::{Identity, Kind, Partner, TenantId},
    config::Config,
    customer::Listed,
};

/// Whom a token is fetched for: an identity in its own tenant, or a customer by name.
pub(super) type Subject<'c> = (Option<&'c Arc<str>>, &'c TenantId);

/// The tenants to ask for, for each identity.
pub(super) fn subjects<'c>(
    config: &'c Config,
    customer: Option<&str>,
) -> anyhow::Result<Vec<Vec<Subject<'c>>>> {
    let of = |identity: &'c Arc<Identity>| subjects_of(&identity.kind, customer);
    let subjects: Vec<_> = config.identities.iter().map(of).collect();
    if let Some(customer) = customer
        && subjects.iter().all(Vec::is_empty)
    {
        let near = |partner: &Partner| Listed::new(&partner.customers, Some(customer)).to_string();
        let names: Vec<_> = config.partners().map(near).collect();
        bail!(
            "no partner identity has this customer: {}",
            names.join("; ")
        );
    }
    Ok(subjects)
}

fn subjects_of<'c>(kind: &'c Kind, customer: Option<&str>) -> Vec<Subject<'c>> {
    let named = |(name, tenant)| (Some(name), tenant);
    match (kind, customer) {
        (Kind::Partner(Partner { customers, .. }), None) => {
            customers.iter().take(CUSTOMERS).map(named).collect()
        }
        (Kind::Partner(Partner { customers, .. }), Some(customer)) => {
            let place = customers.find(customer);
            let found = place.and_then(|place| customers.at(place));
            found.map(named).into_iter().collect()
        }
        (kind, None) => kind
            .tenants()
            .into_iter()
            .map(|tenant| (None, tenant))
            .collect(),
        (_, Some(_)) => Vec::new(),
    }
}

/// Says how many customers a partner has, and how many of them are asked for.
pub(super) fn announce(identity: &Identity, asked: usize, out: &mut impl Write) -> io::Result<()> {
    let Kind::Partner(partner) = &identity.kind else {
        return Ok(());
    };
    let all = partner.customers.iter().len();
    write!(
        out,
        "identity {}: {all} customer{}",
        identity.name,
        if all == 1 { "" } else { "s" }
    )?;
    if (1..all).contains(&asked) {
        write!(
            out,
            ", of which {asked} asked for (--customer NAME asks for another)"
        )?;
    }
    writeln!(out)
}

/// Customers asked for unless one is named. Each costs a token request for each API, and thousands would look like an attack.
const CUSTOMERS: usize = 20;
