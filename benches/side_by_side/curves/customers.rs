//! A partner's customers, and where they sign in.

use std::{fmt::Write as _, fs, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use defender_proxy::sandbox::{Options, Sandbox};
use tokio::task::JoinSet;

use super::curve::MOST_CUSTOMERS;
use crate::{
    client::Client,
    lab::Lab,
    page::{SMALL, SMALL_BYTES},
    running::Running,
};

/// The stand-in of Entra ID in which all customers have consented. It runs here, as `sandbox` has three tenants.
pub(super) struct Login {
    sandbox: Sandbox,
    ca: PathBuf,
    secret: PathBuf,
}

impl Login {
    pub(super) async fn start(lab: &Lab) -> anyhow::Result<Self> {
        let sandbox = Sandbox::start(Options::default().more_customers(MOST_CUSTOMERS)).await?;
        let [ca, secret] =
            ["customers-ca.pem", "customers-secret"].map(|name| lab.dir().join(name));
        let origin = fs::read_to_string(lab.dir().join("ca.pem"))?;
        fs::write(&ca, format!("{}\n{origin}", sandbox.ca_pem()))?;
        fs::write(&secret, &sandbox.options().client_secret)?;
        Ok(Self {
            sandbox,
            ca,
            secret,
        })
    }

    /// A partner with so many customers.
    pub(super) fn config(&self, count: u32) -> String {
        let (login, defender) = (self.sandbox.login(), self.sandbox.defender());
        let mut text = format!(
            "[cloud]\nname = 'custom'\nlogin = '{login}'\ndefender_xdr = '{defender}'\ndefender_endpoint = '{defender}'\n\
             graph = '{}'\n[upstream]\nca = '{}'\n\
             [identity.partner]\nkind = 'partner'\nclient_id = '{}'\ncredential = {{ secret = {{ file = '{}' }} }}\n\
             [identity.partner.customers]\n",
            self.sandbox.graph(),
            self.ca.display(),
            self.sandbox.options().client_id,
            self.secret.display(),
        );
        let tenants = self.sandbox.options().customers.iter();
        for (number, tenant) in (0..count).zip(tenants) {
            let _ = writeln!(text, "{} = '{tenant}'", name(number));
        }
        text
    }
}

/// What stands before the paths of a customer.
pub(super) fn below(number: u32) -> String {
    format!("/t/{}", name(number))
}

fn name(number: u32) -> String {
    format!("c{number:05}")
}

/// Asks once for each customer, so that each has its token.
///
/// # Errors
/// When any was answered otherwise than it should.
pub(super) async fn sign_in(running: &Running, count: u32) -> anyhow::Result<()> {
    let first = Arc::new(running.expects(SMALL_BYTES));
    let mut lanes = JoinSet::new();
    for lane in 0..LANES.min(count) {
        let (to, first) = (running.address, Arc::clone(&first));
        lanes.spawn(async move {
            let mut client = Client::connect(to).await?;
            for number in (lane..count).step_by(LANES as usize) {
                let below = below(number);
                let expected = first.replace(&self::below(0), &below);
                client.expect(&format!("{below}{SMALL}"), &expected).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane?.context("signing in")?;
    }
    Ok(())
}

/// Clients that sign customers in at a time.
const LANES: u32 = 32;
