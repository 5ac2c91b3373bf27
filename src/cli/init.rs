use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;

/// `init`: writes the commented sample configuration.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The file to write; - is standard output
    #[arg(default_value = "proxy.toml")]
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.file.as_os_str() == "-" {
            io::stdout().write_all(SAMPLE.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        let shown = self.file.display();
        let mut options = OpenOptions::new();
        options.write(true);
        if self.force {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        match options.open(&self.file) {
            Ok(mut file) => file
                .write_all(SAMPLE.as_bytes())
                .with_context(|| format!("can't write {shown}"))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{shown} exists already; nothing was written (--force replaces it)")
            }
            Err(error) => return Err(error).with_context(|| format!("can't write {shown}")),
        }
        writeln!(
            io::stdout(),
            "wrote {shown}\nnext: fill in tenant and client_id, then run: defender-proxy check --config {shown}"
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

const SAMPLE: &str = include_str!("../../proxy.toml");
