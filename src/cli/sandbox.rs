use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use tempfile::TempDir;

use super::{ListenArgs, Stop, serve};
use crate::{
    config::{Config, Source},
    sandbox::{Links, Now, Options, Sandbox as StandIns, SecretSource},
};

/// `sandbox`: the stand-ins, with the proxy in front.
#[derive(Debug, Args)]
pub(super) struct Sandbox {
    #[command(flatten)]
    listen: ListenArgs,
    /// Run the stand-ins alone, and print a proxy.toml that leads to them
    #[arg(long, conflicts_with = "listen")]
    upstreams_only: bool,
}

impl Sandbox {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        // A client that talks to the stand-ins directly has to be able to follow their links.
        let links = if self.upstreams_only {
            Links::Own
        } else {
            Links::Global
        };
        let stand_ins = StandIns::start(Options {
            links,
            // A poller that asks for what is new since yesterday shall find something.
            now: Now::Running,
            ..Options::default()
        })
        .await?;
        let files = Files::write(&stand_ins)?;
        if self.upstreams_only {
            return alone(&stand_ins, &files).await;
        }
        let mut config = Config::parse(&files.config(&stand_ins), Source::Environment, &|_| None)?;
        let address = self.listen.listen.unwrap_or_default();
        config.listen = config.listen.with_address(address).context("--listen")?;
        serve::until_stopped(&config, |url| hints(url, &files)).await
    }
}

/// Runs the stand-ins until a signal.
async fn alone(stand_ins: &StandIns, files: &Files) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::catch()?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "# the stand-ins are ready; use this proxy.toml, or point MSAL or azure-identity at the login host"
    )?;
    writeln!(out, "{}", files.config(stand_ins))?;
    // Comments, as all that is printed shall be a proxy.toml.
    for line in contexts(stand_ins, files).lines() {
        writeln!(out, "# {line}")?;
    }
    writeln!(out, "# listening on {}", stand_ins.defender())?;
    out.flush()?;
    drop(out);
    stop.requested().await;
    Ok(ExitCode::SUCCESS)
}

/// What the configuration names by path; removed when the program ends.
struct Files {
    _dir: TempDir,
    ca: PathBuf,
    secret: PathBuf,
}

impl Files {
    fn write(stand_ins: &StandIns) -> io::Result<Self> {
        // The folder is for the owner alone, and so is all that is in it.
        let mut dir = tempfile::Builder::new();
        dir.prefix("defender-proxy-sandbox-");
        #[cfg(unix)]
        dir.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let dir = dir.tempdir()?;
        let (ca, secret) = (dir.path().join("ca.pem"), dir.path().join("client-secret"));
        fs::write(&ca, stand_ins.ca_pem())?;
        write_secret(&secret, &stand_ins.options().client_secret)?;
        Ok(Self {
            _dir: dir,
            ca,
            secret,
        })
    }

    /// The configuration that leads to the stand-ins, their control paths included.
    fn config(&self, stand_ins: &StandIns) -> String {
        let base = stand_ins.proxy_toml(&self.ca, SecretSource::File(&self.secret));
        let defender = stand_ins.defender();
        format!(
            "{base}\n[[route]]\nprefix = \"/_sandbox/\"\nupstream = \"{defender}\"\naudience = \"{CONTROL_AUDIENCE}\"\nrewrite_links = false\n\n[[route]]\nprefix = \"/\"\napi = \"defender\"\n"
        )
    }
}

fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(secret.as_bytes())
}

/// Who else can sign in, and how that goes without a browser.
fn contexts(stand_ins: &StandIns, files: &Files) -> String {
    let curl = format!("curl --cacert {}", files.ca.display());
    let (login, managed) = (stand_ins.login(), stand_ins.managed_identity());
    let options = stand_ins.options();
    let users: Vec<String> = options
        .users
        .iter()
        .map(|user| format!("{}, password {}", user.name, user.password))
        .collect();
    let defender = stand_ins.defender();
    format!(
        "{curl} {defender}/_sandbox/stats\n\
         users, for client_id {public}:\n  {users}\n  \
         without a browser: add &sandbox_user=NAME to the link, or\n  \
         {curl} {login}/_sandbox/device -d '{{\"user_code\": \"CODE\", \"user\": \"NAME\"}}'\n\
         customers: {customers}\n  without a browser: add &sandbox_user=admin to the consent link\n\
         federated token: {curl} {login}/_sandbox/federated-token\n\
         managed identity, of a virtual machine or of App Service:\n  \
         AZURE_POD_IDENTITY_AUTHORITY_HOST={managed}\n  \
         IDENTITY_ENDPOINT={managed}/msi/token IDENTITY_HEADER=sandbox-identity-header",
        public = options.public_client_id,
        users = users.join("\n  "),
        customers = options.customers.join(", "),
    )
}

fn hints(url: &str, files: &Files) -> String {
    let (curl, origin) = match url.strip_prefix("unix:") {
        Some(path) => (
            format!("curl -s --unix-socket {path}"),
            "http://localhost".to_owned(),
        ),
        None => ("curl -s".to_owned(), url.replace("127.0.0.1", "localhost")),
    };
    // Quoted where a shell would read `?` or `$` its own way.
    format!(
        "\ntry, in another shell:\n\
         \x20 {curl} {origin}/api/incidents\n\
         \x20 {curl} '{origin}/api/machines?$top=2'\n\
         \x20 {curl} '{origin}/api/alerts/$count'\n\
         \x20 {curl} {origin}/v1.0/security/incidents\n\
         \x20 {curl} {origin}/api/advancedhunting/run -d '{{\"Query\":\"DeviceInfo | take 2\"}}'\n\
         faults on demand, and what has reached the stand-ins (README, \"Sandbox\"):\n\
         \x20 {curl} {origin}/_sandbox/faults -d '{{\"api\":[{{\"status\":429,\"retry_after\":7}}]}}'\n\
         \x20 {curl} {origin}/_sandbox/stats\n\
         the stand-ins' certificate authority: {}\n\
         users, customers and managed identities: defender-proxy sandbox --upstreams-only\n\
         Ctrl-C ends it.",
        files.ca.display(),
    )
}

/// The control paths look at no token; this is the audience of the one that is attached all the same.
const CONTROL_AUDIENCE: &str = "https://api.securitycenter.microsoft.com";
