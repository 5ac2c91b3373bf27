//! Consent of a partner's customers: what its lack does to whom, how it is asked for, and what proves it.

use std::process::Command;

use defender_proxy::sandbox::Options;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    customers::{CONTOSO, FABRIKAM, partner, tenant, two},
    programs::{Finished, Serving, run},
    support::{self, Answer, Proxy, Upstreams, program},
};

const BLOCKED: &str = "5a9db0c5-0000-4000-8000-000000000004";
const WITHOUT_APP: &str = "5a9db0c5-0000-4000-8000-000000000005";
const NOWHERE: &str = "5a9db0c5-0000-4000-8000-0000000000ff";

async fn four() -> (Upstreams, String) {
    let upstreams = Upstreams::start_with(Options {
        customers: [CONTOSO, FABRIKAM, BLOCKED, WITHOUT_APP]
            .map(str::to_owned)
            .into(),
        ..Options::default()
    })
    .await;
    let customers = format!(
        "{}, blocked = \"{BLOCKED}\", without-app = \"{WITHOUT_APP}\", nowhere = \"{NOWHERE}\"",
        two()
    );
    let config = partner(&upstreams, &customers);
    let tenants = json!({CONTOSO: "no_consent", BLOCKED: "blocked", WITHOUT_APP: "app_missing"});
    upstreams.settings(json!({ "tenants": tenants })).await;
    (upstreams, config)
}

fn command(upstreams: &Upstreams, args: &[&str]) -> Command {
    let mut command = program();
    let secret = &upstreams.sandbox.options().client_secret;
    command.args(args).env("SANDBOX_CLIENT_SECRET", secret);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_for_one_customer_touches_no_other() {
    let (upstreams, config) = four().await;
    let proxy = Proxy::start(&upstreams, &config);
    let client_id = &upstreams.sandbox.options().client_id;
    for (name, id, aadsts, status) in [
        ("contoso", CONTOSO, 65_001, StatusCode::SERVICE_UNAVAILABLE),
        (
            "blocked",
            BLOCKED,
            53_003,
            StatusCode::INTERNAL_SERVER_ERROR,
        ),
        (
            "without-app",
            WITHOUT_APP,
            700_016,
            StatusCode::INTERNAL_SERVER_ERROR,
        ),
        (
            "nowhere",
            NOWHERE,
            90_002,
            StatusCode::INTERNAL_SERVER_ERROR,
        ),
    ] {
        for _ in 0..3 {
            let answer = proxy.get(&format!("/t/{name}/api/incidents")).await;
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
            let problem = answer.json();
            assert_eq!(problem["aadsts"], aadsts, "{problem}");
            assert_eq!(problem["customer"], name, "{problem}");
            assert!(
                problem["detail"].as_str().unwrap().contains(name),
                "{problem}"
            );
            let link = problem["consent_url"].as_str();
            assert_eq!(
                link.is_some(),
                [65_001, 700_016].contains(&aadsts),
                "{problem}"
            );
            if let Some(link) = link {
                let start = format!(
                    "{}/{id}/v2.0/adminconsent?client_id={client_id}",
                    upstreams.sandbox.login()
                );
                assert!(link.starts_with(&start), "{link}");
                assert!(
                    proxy.log().contains(&format!("consent_url=\"{link}\"")),
                    "{}",
                    proxy.log()
                );
                assert!(
                    problem["next"].as_str().unwrap().contains("consent"),
                    "{problem}"
                );
            }
            let other = proxy.get("/t/fabrikam/api/incidents?$top=1").await;
            assert_eq!(other.status, 200, "{}", other.text());
        }
    }
    // One for each customer: what was refused is not asked for again.
    assert_eq!(upstreams.token_requests().await, 5);
    let served = upstreams.api_requests().await;
    assert!(served.iter().all(|request| tenant(request) == FABRIKAM));
    assert_eq!(served.len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_tries_every_customer_and_shows_whom_to_send_the_link() {
    let (upstreams, config) = four().await;
    let file = upstreams.write_config(&config);
    let all = run(command(&upstreams, &["check", "--config", &file])).await;
    assert_eq!(all.code, Some(1), "{}", all.stdout);
    for part in [
        "identity sandbox: 5 customers\n",
        "identity sandbox, customer Fabrikam, Defender XDR (https://api.security.microsoft.com): ok",
        "identity sandbox, customer contoso, Graph security (https://graph.microsoft.com): FAILED",
        "AADSTS65001",
        "AADSTS53003",
        "AADSTS700016",
        "AADSTS90002",
        &format!(
            "consent link: {}/{CONTOSO}/v2.0/adminconsent?",
            upstreams.sandbox.login()
        ),
    ] {
        assert!(all.stdout.contains(part), "{part}: {}", all.stdout);
    }
    assert_eq!(upstreams.token_requests().await, 15);

    let one = run(command(
        &upstreams,
        &["check", "--customer", FABRIKAM, "--config", &file],
    ))
    .await;
    assert!(
        one.ok().contains("customer Fabrikam") && !one.stdout.contains("contoso"),
        "{}",
        one.stdout
    );
    assert!(
        one.stdout.contains("5 customers, of which 1 asked for"),
        "{}",
        one.stdout
    );
    let other = run(command(
        &upstreams,
        &["check", "--customer", "fabricam", "--config", &file],
    ))
    .await;
    assert_eq!(other.code, Some(1));
    assert!(
        other.stderr.contains("customer: Fabrikam, "),
        "{}",
        other.stderr
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_is_of_the_customer_that_is_named() {
    let (upstreams, config) = four().await;
    let file = upstreams.write_config(&config);
    for name in ["fabrikam", FABRIKAM] {
        let shown = run(command(
            &upstreams,
            &["token", "--customer", name, "--config", &file],
        ))
        .await;
        let claims: Value = serde_json::from_str(shown.ok()).unwrap();
        assert_eq!(claims["tid"], FABRIKAM);
    }
    for (args, told) in [
        (&["token", "--config", &file][..], "--customer: "),
        (
            &["token", "--customer", "x", "--config", &file],
            "no customer 'x'; it has: ",
        ),
    ] {
        let refused = run(command(&upstreams, args)).await;
        assert_eq!(refused.code, Some(1));
        let told = format!("{told}contoso, Fabrikam, blocked");
        assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    }
    let refused = run(command(
        &upstreams,
        &["token", "--customer", "contoso", "--config", &file],
    ))
    .await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("consent link: https://"),
        "{}",
        refused.stderr
    );
}

/// The program while it waits for the answer.
struct Waiting {
    program: Serving,
    /// What it printed for the administrator to open.
    link: String,
    /// Where it waits.
    at: String,
}

impl Waiting {
    fn start(upstreams: &Upstreams, config: &str, args: &[&str]) -> Self {
        let file = upstreams.write_config(config);
        let args = [&["consent", "--no-browser", "--config", &file], args].concat();
        let program = Serving::spawn(command(upstreams, &args));
        let lines = program.lines_until(|line| line.starts_with("waiting for the answer at "));
        let link = lines
            .iter()
            .find_map(|line| line.trim().strip_prefix("https://"));
        let at = lines.last().unwrap().split(' ').nth(5).unwrap().to_owned();
        Self {
            link: format!("https://{}", link.unwrap_or_else(|| panic!("{lines:?}"))),
            program,
            at,
        }
    }

    /// What the administrator's browser shows in the end, when it opens the link and does as the sandbox's parameters say.
    async fn open(&self, upstreams: &Upstreams, choice: &str) -> Answer {
        let sent = upstreams.visit(&format!("{}&{choice}", self.link)).await;
        assert_eq!(sent.status, StatusCode::FOUND, "{}", sent.text());
        self.answer(sent.header("location")).await
    }

    /// The page that the program answers with.
    async fn answer(&self, url: &str) -> Answer {
        assert!(url.starts_with(&self.at), "{url}");
        support::get(url).await
    }

    fn state(&self) -> &str {
        self.link.split("&state=").nth(1).unwrap()
    }

    async fn ended(self) -> Finished {
        self.program.ended().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consent_is_asked_for_caught_and_proven() {
    for name in ["contoso", "without-app"] {
        let (upstreams, config) = four().await;
        let waiting = Waiting::start(&upstreams, &config, &[name]);
        assert!(
            waiting.at.starts_with("http://localhost:"),
            "{}",
            waiting.at
        );
        for part in [
            "client_id=",
            "scope=https%3A%2F%2F",
            "redirect_uri=http%3A%2F%2Flocalhost%3A",
            "state=",
        ] {
            assert!(waiting.link.contains(part), "{part}: {}", waiting.link);
        }
        let page = waiting.open(&upstreams, "sandbox_user=admin").await;
        assert!(
            page.text().contains("You can close this window"),
            "{}",
            page.text()
        );
        assert!(
            page.text().contains("may act in this tenant now"),
            "{}",
            page.text()
        );
        let ended = waiting.ended().await;
        for part in [
            "Defender XDR (https://api.security.microsoft.com): ok",
            "Incident.Read.All",
            "Machine.Read.All",
        ] {
            assert!(ended.ok().contains(part), "{part}: {}", ended.stdout);
        }
        assert_eq!(upstreams.token_requests().await, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_takes_time_to_spread_is_waited_for() {
    let (upstreams, config) = four().await;
    upstreams
        .faults(json!({"token": [{"aadsts": 65_001}]}))
        .await;
    let waiting = Waiting::start(&upstreams, &config, &["contoso"]);
    let page = waiting.open(&upstreams, "sandbox_user=admin").await;
    assert!(
        page.text().contains("may act in this tenant now"),
        "{}",
        page.text()
    );
    waiting.ended().await.ok();
    assert_eq!(upstreams.token_requests().await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_consent_is_said_to_be_one() {
    let (upstreams, config) = four().await;
    let waiting = Waiting::start(&upstreams, &config, &["contoso"]);
    let page = waiting
        .open(&upstreams, "sandbox_error=access_denied")
        .await;
    assert!(
        page.text().contains("AADSTS65004") && page.text().contains("close this window"),
        "{}",
        page.text()
    );
    let ended = waiting.ended().await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("the administrator declined (AADSTS65004)"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("Trace ID"), "{}", ended.stderr);
    assert_eq!(upstreams.token_requests().await, 0);
}

/// Anybody on the machine, and any page, can knock; and who has seen the link can make up any answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_proves_nothing_by_itself() {
    let (upstreams, config) = four().await;
    let waiting = Waiting::start(&upstreams, &config, &["contoso"]);
    let query = |tenant: &str, state: &str| {
        format!(
            "{}/?admin_consent=True&tenant={tenant}&state={state}",
            waiting.at
        )
    };
    for state in ["", "wrong", &waiting.state()[1..]] {
        let stray = waiting.answer(&query(CONTOSO, state)).await;
        assert_eq!(stray.status, StatusCode::NOT_FOUND, "{}", stray.text());
    }
    let page = waiting.answer(&query(FABRIKAM, waiting.state())).await;
    assert!(
        page.text().contains("work") && page.text().contains(CONTOSO),
        "{}",
        page.text()
    );
    let ended = waiting.ended().await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(FABRIKAM), "{}", ended.stderr);
    assert_eq!(upstreams.token_requests().await, 0);

    let waiting = Waiting::start(&upstreams, &config, &["contoso"]);
    let made_up = format!(
        "{}/?admin_consent=True&tenant={CONTOSO}&state={}",
        waiting.at,
        waiting.state()
    );
    let page = waiting.answer(&made_up).await;
    assert!(
        page.text().contains("all tokens for this tenant"),
        "{}",
        page.text()
    );
    let ended = waiting.ended().await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("not proven") && ended.stdout.contains("AADSTS65001"),
        "{}",
        ended.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_customer_is_asked_without_a_name_and_told_how_to_add() {
    let upstreams = Upstreams::start().await;
    let config = partner(&upstreams, &format!("contoso = \"{CONTOSO}\""));
    let tenants = json!({ FABRIKAM: "app_missing" });
    upstreams.settings(json!({ "tenants": tenants })).await;
    let waiting = Waiting::start(&upstreams, &config, &[]);
    assert!(
        waiting.link.contains("/organizations/v2.0/adminconsent?"),
        "{}",
        waiting.link
    );
    let choice = format!("sandbox_user=admin&sandbox_tenant={FABRIKAM}");
    let page = waiting.open(&upstreams, &choice).await;
    assert!(
        page.text().contains("may act in this tenant now"),
        "{}",
        page.text()
    );
    let ended = waiting.ended().await;
    assert!(
        ended.ok().contains(&format!("NAME = \"{FABRIKAM}\"")),
        "{}",
        ended.stdout
    );

    let waiting = Waiting::start(&upstreams, &config, &[]);
    let choice = format!("sandbox_user=admin&sandbox_tenant={CONTOSO}");
    waiting.open(&upstreams, &choice).await;
    let ended = waiting.ended().await;
    assert!(
        ended.ok().contains("is customer contoso"),
        "{}",
        ended.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_asked_for_is_said_at_once() {
    let upstreams = Upstreams::start().await;
    let config = partner(&upstreams, &two());
    let file = upstreams.write_config(&config);
    let unlisted = run(command(
        &upstreams,
        &["consent", "--no-browser", "--config", &file, "fabricam"],
    ))
    .await;
    assert_eq!(unlisted.code, Some(1));
    assert!(
        unlisted
            .stderr
            .contains("has no customer 'fabricam'; it has: Fabrikam, "),
        "{}",
        unlisted.stderr
    );

    let elsewhere = config.replace(
        "customers =",
        "consent_redirect = \"https://partner.example/done\"\ncustomers =",
    );
    let file = upstreams.write_config(&elsewhere);
    let printed = run(command(
        &upstreams,
        &["consent", "--no-browser", "--config", &file, "contoso"],
    ))
    .await;
    for part in [
        "redirect_uri=https%3A%2F%2Fpartner.example%2Fdone",
        "check --customer",
    ] {
        assert!(printed.ok().contains(part), "{part}: {}", printed.stdout);
    }

    let file = upstreams.write_config(&upstreams.config());
    let application = run(command(
        &upstreams,
        &["consent", "--no-browser", "--config", &file],
    ))
    .await;
    assert_eq!(application.code, Some(1));
    assert!(
        application.stderr.contains("partner"),
        "{}",
        application.stderr
    );
    let upstreams = upstreams
        .control(Method::GET, "/_sandbox/stats", Value::Null)
        .await;
    assert_eq!(upstreams["token_requests"]["total"], 0);
}

/// Thousands of customers would be thousands of token requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_asks_for_twenty_customers_at_most() {
    use std::fmt::Write as _;
    let upstreams = Upstreams::start().await;
    let mut customers = two();
    for number in 0..23 {
        write!(
            customers,
            ", c{number} = \"5a9db0c5-0000-4000-9000-{number:012}\""
        )
        .unwrap();
    }
    let audience = "https://api.security.microsoft.com";
    let route = format!(
        "[[route]]\nprefix = \"/\"\nupstream = \"{audience}\"\naudience = \"{audience}\"\n"
    );
    let file = upstreams.write_config(&format!("{}\n{route}", partner(&upstreams, &customers)));
    let checked = run(command(&upstreams, &["check", "--config", &file])).await;
    assert!(
        checked
            .stdout
            .contains("25 customers, of which 20 asked for"),
        "{}",
        checked.stdout
    );
    assert_eq!(upstreams.token_requests().await, 20);
    let offline = run(command(
        &upstreams,
        &["check", "--offline", "--config", &file],
    ))
    .await;
    assert!(
        offline.ok().contains("25 customers\n"),
        "{}",
        offline.stdout
    );
}
