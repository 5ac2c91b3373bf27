//! Where sign-ins are kept, why there, and whether they can be had.

use std::io::Write;

use crate::{
    auth::{
        identity::{Kind, SignIn, StoreConfig, User},
        user::SignIns,
    },
    config::Config,
    error::Chain,
    serve,
};

/// Opens the store of every user; tells whether one failed.
pub(super) async fn local(config: &Config, out: &mut impl Write) -> anyhow::Result<bool> {
    let sign_ins = serve::sign_ins(config);
    let mut failed = false;
    for identity in &config.identities {
        let Kind::User(user) = &identity.kind else {
            continue;
        };
        let (name, way) = (&identity.name, way(&user.sign_in));
        writeln!(out, "identity {name}: signs in {way}")?;
        writeln!(out, "  {}", choice(user))?;
        match state(&sign_ins, name).await {
            Ok(state) => writeln!(out, "  {state}")?,
            Err(error) => {
                failed = true;
                writeln!(out, "  FAILED: {error}")?;
            }
        }
    }
    Ok(failed)
}

fn way(sign_in: &SignIn) -> &'static str {
    match sign_in {
        SignIn::Browser => "in a browser on this machine",
        SignIn::Device => "with a code, in a browser anywhere",
        SignIn::Password { .. } => {
            "with a password; no second factor is possible, and Microsoft advises against it"
        }
    }
}

/// The place, and what speaks for it.
fn choice(user: &User) -> String {
    match &user.store {
        StoreConfig::Keyring => {
            "store = \"keyring\" (the default): the operating system protects the sign-in as it does others of this user".to_owned()
        }
        StoreConfig::File { key, .. } => format!(
            "store = \"file\": for machines without a keyring; whoever has the file needs {key} as well"
        ),
        StoreConfig::Memory => {
            "store = \"memory\": nothing is written down; `serve` needs a new sign-in at each start"
                .to_owned()
        }
    }
}

async fn state(sign_ins: &SignIns, identity: &str) -> Result<String, String> {
    let Some(store) = sign_ins.store(identity) else {
        return Ok(String::new());
    };
    if store.is_memory() {
        return Ok(format!("kept in {store}"));
    }
    match sign_ins.kept(identity).await {
        Ok(Some(kept)) => {
            let since = humantime::format_rfc3339_seconds(kept.since);
            let who = crate::cli::login::or_unknown(&kept.account.name);
            Ok(format!(
                "kept in {store}: {who} has been signed in since {since}"
            ))
        }
        Ok(None) => Ok(format!(
            "kept in {store}: it can be used, nobody is signed in"
        )),
        Err(error) => Err(format!("{store}: {}", Chain(&error))),
    }
}
