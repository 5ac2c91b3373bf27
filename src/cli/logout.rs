use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use super::{
    ConfigArgs,
    login::{UserArgs, place},
};
use crate::{auth::user::store::Store, serve};

/// `logout`: forgets a sign-in.
#[derive(Debug, Args)]
pub(super) struct Logout {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    user: UserArgs,
}

impl Logout {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        let identity = self.user.pick(&config)?;
        let sign_ins = serve::sign_ins(&config);
        let was_there = sign_ins.sign_out(&identity.name).await?;
        let mut out = io::stdout().lock();
        let (name, store) = (&identity.name, place(&sign_ins, &identity));
        if was_there {
            writeln!(
                out,
                "identity {name}: signed out, removed from {store}\n  a proxy that runs goes on with the tokens it has, for an hour or so: stop it if that must not be"
            )?;
        } else {
            writeln!(
                out,
                "identity {name}: nobody was signed in, nothing is kept in {store}"
            )?;
        }
        let store = sign_ins.store(name);
        for left in store.into_iter().flat_map(Store::set_aside) {
            writeln!(
                out,
                "  a damaged one is left, still sealed: remove {}",
                left.display()
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
