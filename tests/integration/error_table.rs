//! Every refusal of Entra ID that is documented: what the client learns, what the log says, and how `check` ends.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    programs::{Finished, run},
    support::{Answer, Proxy, Upstreams, program, serve_command},
};

/// A number, the status for the client, and words of the cause and of the next step.
type Row = (u32, u16, &'static str, &'static str);

/// Entra ID, "Microsoft Entra authentication and authorization error codes", as an application meets them.
#[rustfmt::skip]
const ROWS: [Row; 41] = [
    (7_000_215, 500, "client secret is wrong", "new client secret"),
    (7_000_222, 500, "client secret has expired", "new client secret"),
    (7_000_216, 500, "no credential", "`credential`"),
    (7_000_218, 500, "no credential", "`credential`"),
    (700_027, 500, "certificate", "upload the certificate"),
    (700_024, 500, "outside its time", "clock"),
    (50_012, 500, "assertion is not valid", "certificate"),
    (50_027, 500, "assertion is not valid", "certificate"),
    (700_016, 500, "doesn't exist in this tenant", "`client_id`"),
    (7_000_112, 500, "disabled", "Enterprise applications"),
    (70_001, 500, "disabled or unknown", "`client_id`"),
    (700_011, 500, "not found in this tenant", "`client_id`"),
    (90_002, 500, "tenant doesn't exist", "`tenant`"),
    (900_144, 500, "lacks a field", "bug"),
    (9_002_313, 500, "malformed", "`client_id`"),
    (70_021, 500, "federated credential", "subject"),
    (500_011, 500, "API is not known", "`audience`"),
    (50_001, 500, "API is not known", "`audience`"),
    (70_011, 500, "scope is not valid", "`audience`"),
    (1_002_012, 500, "/.default", "`audience`"),
    (28_002, 500, "scope is not valid", "`audience`"),
    (65_001, 503, "consented", "grant consent"),
    (53_003, 500, "Conditional Access", "administrator"),
    (50_076, 503, "second factor", "exempted"),
    (50_079, 503, "second factor", "exempted"),
    (50_158, 503, "external check", "exempted"),
    (70_000, 503, "no longer valid", "sign in again"),
    (70_008, 503, "expired", "sign in again"),
    (700_082, 503, "lack of use", "sign in again"),
    (70_043, 503, "sign-in frequency", "sign in again"),
    (50_173, 503, "revoked", "sign in again"),
    (50_126, 503, "password is wrong", "check user name"),
    (50_196, 503, "too many equal requests", "wait five minutes"),
    (90_033, 503, "temporarily unavailable", "tries again by itself"),
    (90_006, 503, "temporarily unavailable", "tries again by itself"),
    (90_012, 503, "timed out", "tries again by itself"),
    (90_024, 503, "temporarily unavailable", "tries again by itself"),
    (90_090, 503, "temporarily unavailable", "tries again by itself"),
    (50_033, 503, "temporarily unavailable", "tries again by itself"),
    (50_087, 503, "temporarily unavailable", "tries again by itself"),
    (700_025, 500, "public client", "public client flows"),
];
/// From here on what Entra ID says passes by itself: the client is told when to come again.
const PASSING: [u32; 8] = [
    50_196, 90_033, 90_006, 90_012, 90_024, 90_090, 50_033, 50_087,
];

/// A configuration with an identity for each row, so that no hold-off of one is in another's way.
fn of_applications(upstreams: &Upstreams) -> String {
    let config = upstreams.config();
    let (before, rest) = config.split_once("[identity.sandbox]").unwrap();
    let (identity, after) = rest.split_once("\n\n").unwrap();
    let one = |(code, ..): &Row| {
        format!(
            "[identity.row{code}]{identity}\n\n[[route]]\nprefix = \"/row{code}\"\nidentity = \"row{code}\"\n\
             upstream = \"{}\"\naudience = \"https://api.security.microsoft.com\"\n\n",
            upstreams.sandbox.defender()
        )
    };
    let identities: String = ROWS.iter().map(one).collect();
    format!("{before}{identities}{after}")
}

fn assert_explains(answer: &Answer, (code, status, cause, next): Row) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["aadsts"], code, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains(cause) && detail.contains(&format!("AADSTS{code}")),
        "{detail}"
    );
    assert!(
        problem["next"].as_str().unwrap().contains(next),
        "{problem}"
    );
    let expected = match status {
        500 => "proxy_configuration_error",
        _ if PASSING.contains(&code) => "destination_unavailable",
        _ => "proxy_internal_response",
    };
    assert!(answer.is_own(expected), "{answer:?}");
    assert_eq!(
        answer.headers.contains_key("retry-after"),
        PASSING.contains(&code)
    );
    assert!(!answer.headers.contains_key("www-authenticate"));
}

/// Exactly one warning of the log names the number, with cause and next step.
#[track_caller]
fn assert_logged(log: &str, (code, _, cause, next): Row) {
    let number = format!("(AADSTS{code},");
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains(" WARN ") && line.contains(&number))
        .collect();
    let [line] = lines[..] else {
        panic!("{} lines for {code}: {log}", lines.len());
    };
    assert!(line.contains(cause) && line.contains(next), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_explained_to_the_client_and_in_one_line_of_the_log() {
    let upstreams = Upstreams::start().await;
    let proxy = Proxy::start(&upstreams, &of_applications(&upstreams));
    for (at, row) in (1..).zip(ROWS) {
        upstreams
            .faults(json!({"token": [{"aadsts": row.0}]}))
            .await;
        for _ in 0..3 {
            let answer = proxy.get(&format!("/row{}/incidents", row.0)).await;
            assert_explains(&answer, row);
        }
        // Nothing is asked twice that can't succeed.
        assert_eq!(upstreams.token_requests().await, at, "{}", row.0);
    }
    assert_eq!(upstreams.api_calls().await, 0);
    let log = proxy.log();
    for row in ROWS {
        assert_logged(&log, row);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_fails_with_every_row_and_says_what_to_do() {
    let upstreams = Upstreams::start().await;
    let file = upstreams.write_config(&of_applications(&upstreams));
    let script: Vec<Value> = ROWS.iter().map(|row| json!({"aadsts": row.0})).collect();
    upstreams.faults(json!({ "token": script })).await;
    let ended = check(&upstreams, &file).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    for (code, _, cause, next) in ROWS {
        let begin = format!("identity row{code}, route");
        let found = ended.stdout.split(&begin).nth(1).expect("the identity");
        let lines: Vec<_> = found.lines().take(3).collect();
        assert!(lines[0].ends_with("FAILED"), "{lines:?}");
        assert!(
            lines[1].contains(cause) && lines[1].contains(&format!("AADSTS{code}")),
            "{lines:?}"
        );
        assert!(
            lines[2].starts_with("  to do: ") && lines[2].contains(next),
            "{lines:?}"
        );
    }
    assert_eq!(upstreams.token_requests().await, ROWS.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_refusal_is_an_outage() {
    let upstreams = Upstreams::start().await;
    for (fault, cause) in [
        (
            json!({"status": 429, "body": "Too many requests", "retry_after": 60}),
            "too many requests (status 429",
        ),
        (json!({"aadsts": 90_055}), "too many requests (status 429"),
        (json!({"status": 500}), "status 500"),
        (json!({"html": 503}), "status 503"),
        (json!({"status": 504, "body": ""}), "status 504"),
    ] {
        let proxy = Proxy::start(&upstreams, &upstreams.config());
        let before = upstreams.token_requests().await;
        upstreams.faults(json!({"token": [fault]})).await;
        for _ in 0..3 {
            let answer = proxy.get("/api/incidents").await;
            assert!(answer.is_own("destination_unavailable"), "{answer:?}");
            assert_eq!(answer.status, 503);
            assert!(answer.text().contains(cause), "{}", answer.text());
            assert!(
                answer.json()["next"]
                    .as_str()
                    .unwrap()
                    .contains("tries again by itself")
            );
            assert!(answer.headers.contains_key("retry-after"));
        }
        assert_eq!(upstreams.token_requests().await, before + 1);
        let log = proxy.log();
        let lines = log
            .lines()
            .filter(|line| line.contains(" WARN ") && line.contains(cause));
        assert_eq!(lines.count(), 1, "{log}");
        let file = upstreams.write_config(&upstreams.config());
        upstreams.faults(json!({"token": [fault]})).await;
        let ended = check(&upstreams, &file).await;
        assert_eq!(
            ended.code,
            Some(1),
            "one API of three is enough: {}",
            ended.stdout
        );
        assert!(ended.stdout.contains(cause), "{}", ended.stdout);
    }
}

/// Rows of a user's sign-in: the number, the status, and words of the next step.
const USER_ROWS: [(u32, u16, &str); 13] = [
    (65_001, 503, "consent yourself"),
    (53_003, 503, "defender-proxy login"),
    (50_076, 503, "defender-proxy login"),
    (50_079, 503, "defender-proxy login"),
    (50_158, 503, "defender-proxy login"),
    (70_000, 503, "defender-proxy login"),
    (70_008, 503, "defender-proxy login"),
    (700_082, 503, "defender-proxy login"),
    (70_043, 503, "defender-proxy login"),
    (50_173, 503, "defender-proxy login"),
    (50_196, 503, "wait five minutes"),
    (90_033, 503, "tries again by itself"),
    (700_016, 500, "`client_id`"),
];

/// Users who signed in once, each with a sign-in of their own to lose.
fn of_users(upstreams: &Upstreams, sign_in: &str) -> String {
    let options = upstreams.sandbox.options();
    let config = upstreams.config();
    let (before, rest) = config.split_once("[identity.sandbox]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let one = |(code, ..): &(u32, u16, &str)| {
        format!(
            "[identity.row{code}]\nkind = \"user\"\ntenant = \"{}\"\nclient_id = \"{}\"\n{sign_in}\n\
             store = \"file\"\nstore_file = \"row{code}.sign-in\"\nstore_key = {{ env = \"STORE_KEY\" }}\n\n[[route]]\nprefix = \"/row{code}\"\n\
             identity = \"row{code}\"\nupstream = \"{}\"\naudience = \"https://api.security.microsoft.com\"\n\n",
            options.tenant,
            options.public_client_id,
            upstreams.sandbox.defender()
        )
    };
    let identities: String = USER_ROWS.iter().map(one).collect();
    format!("{before}{identities}{after}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_told_what_a_user_can_do() {
    let upstreams = Upstreams::start().await;
    let password = "sign_in = \"password\"\nusername = \"alice@contoso.example\"\npassword = { env = \"PASSWORD\" }";
    let file = upstreams.write_config(&of_users(&upstreams, password));
    for (code, ..) in USER_ROWS {
        let mut login = program();
        login.args([
            "login",
            "--identity",
            &format!("row{code}"),
            "--config",
            &file,
        ]);
        run(of_user(login)).await.ok();
    }
    let config = of_users(&upstreams, "sign_in = \"browser\"");
    let (command, log) = serve_command(&upstreams, &config);
    let proxy = Proxy::spawn(of_user(command), log);
    let before = upstreams.token_requests().await;
    for (at, (code, status, next)) in (1..).zip(USER_ROWS) {
        upstreams.faults(json!({"token": [{"aadsts": code}]})).await;
        for _ in 0..3 {
            let answer = proxy.get(&format!("/row{code}/incidents")).await;
            assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
            let problem = answer.json();
            assert_eq!(problem["aadsts"], code, "{problem}");
            assert!(
                problem["next"].as_str().unwrap().contains(next),
                "{problem}"
            );
            assert!(!answer.headers.contains_key("www-authenticate"));
        }
        assert_eq!(upstreams.token_requests().await, before + at, "{code}");
    }
    assert_eq!(upstreams.api_calls().await, 0);
}

/// With the password of a user of the sandbox, and the key of the store.
fn of_user(mut command: Command) -> Command {
    command.env("PASSWORD", "sandbox-password-do-not-use");
    command.env("STORE_KEY", "key-of-the-tests");
    command
}

async fn check(upstreams: &Upstreams, file: &str) -> Finished {
    let mut command = program();
    command.args(["check", "--config", file]);
    command.env(
        "SANDBOX_CLIENT_SECRET",
        &upstreams.sandbox.options().client_secret,
    );
    run(command).await
}
