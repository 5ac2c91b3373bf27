//! Promises that hold of any input, tried on generated ones. What is checked stands in `checks`; `fuzz/` checks the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on has failed"
)]

mod checks;
mod inputs;

use std::{fs, panic, path::Path};

use defender_proxy::rewrite::Scope;
use http::HeaderValue;
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value};

use checks::{cut::cut, rewrite_chunks};
use inputs::{
    answer, challenge, claims, configuration, customer_fields, customer_host, customer_target,
    damage, field, fields_to_strip, host_or_page, json, link_fields, member, method, origin,
    request, sizes, target, wire,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn a_target_never_leaves_the_route_of_its_path(method in method(), target in target()) {
        checks::route_target::route_target(&method, &target);
    }

    #[test]
    fn a_request_is_for_the_customer_it_names(target in customer_target(), fields in customer_fields(), host in customer_host()) {
        checks::customer::customer(&target, &fields, &host);
    }

    #[test]
    fn no_credential_passes_and_the_token_stays(request in request(field(fields_to_strip()), Just(String::new()))) {
        checks::connection_header::connection_header(request);
    }

    #[test]
    fn what_passes_the_screen_is_read_alike(wire in wire(), sizes in sizes()) {
        checks::screen::screen(&wire, &cut(&wire, &sizes));
    }

    #[test]
    fn only_loopback_and_listed_hosts_are_admitted(request in request(host_or_page(), origin())) {
        checks::host_header::host_header(request);
    }

    #[test]
    fn a_retry_after_is_bounded(value in prop_oneof!["[0-9]{0,25}", "\\PC{0,30}", "[A-Z][a-z]{2}, [0-9]{2} [JFMASOND][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"]) {
        checks::retry_after::retry_after(value.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_answer_is_a_token_or_an_error_without_secrets(answer in answer()) {
        checks::targets::run("token_answer", answer.as_bytes());
    }

    #[test]
    fn claims_come_out_of_a_challenge_only(lines in prop::collection::vec(challenge(), 0..3)) {
        let lines: Vec<_> = lines.iter().filter_map(|line| HeaderValue::from_str(line).ok()).collect();
        checks::challenge::challenge(&lines);
    }

    #[test]
    fn only_listed_origins_change_in_fields(fields in link_fields()) {
        checks::targets::run("response_links", fields.as_bytes());
    }

    #[test]
    fn an_id_token_is_for_this_sign_in(claims in claims()) {
        checks::id_token::id_token(claims.as_bytes());
        checks::id_token::any_token(&claims);
    }
}

/// What fuzzing has found worth keeping keeps its promises.
#[test]
fn the_kept_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, check) in checks::targets::TARGETS {
        let mut tried = 0;
        for entry in fs::read_dir(corpus.join(name)).expect(name) {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            let kept = panic::catch_unwind(|| check(&input));
            assert!(kept.is_ok(), "{}", path.display());
            tried += 1;
        }
        assert!(tried > 0, "nothing is kept for {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn only_links_in_control_fields_change(value in json(), pretty: bool, sizes in sizes(), scope in select(SCOPES)) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        rewrite_chunks::rewrite_chunks(cut(&text, &sizes), scope);
        let expected = if scope == Scope::Off { value } else { led_back(value, "", &mut Rows::of(scope)) };
        let rewritten: Value = serde_json::from_slice(&rewrite_chunks::rewrite(cut(&text, &sizes), scope)).unwrap();
        prop_assert_eq!(rewritten, expected);
    }

    #[test]
    fn any_bytes_are_rewritten_alike_in_any_chunks(value in json(), garbage: Vec<u8>, at: prop::sample::Index, sizes in sizes(), scope in select(SCOPES)) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let at = at.index(text.len());
        text.splice(at..at, garbage);
        rewrite_chunks::rewrite_chunks(cut(&text, &sizes), scope);
    }

    #[test]
    fn gzip_is_decoded_alike_in_any_chunks(members in prop::collection::vec(member(), 0..4), damage in damage(), sizes in sizes()) {
        let mut bytes = members.concat();
        if let Some((at, byte)) = damage && !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        checks::gunzip::gunzip(cut(&bytes, &sizes));
    }

    #[test]
    fn no_configuration_panics_and_every_fault_is_told(text in configuration()) {
        checks::config_toml::config_toml(&text);
    }
}

/// The document as it should be rewritten: `rows` counts whether its rows have begun.
fn led_back(value: Value, key: &str, rows: &mut Rows) -> Value {
    match value {
        Value::String(link) if rewrite_chunks::is_control(key) && !rows.begun => {
            rewrite_chunks::led_back(&link).unwrap_or(link).into()
        }
        Value::Array(values) => values
            .into_iter()
            .map(|value| led_back(value, "", rows))
            .collect(),
        Value::Object(fields) => {
            let field = |(key, value): (String, Value)| {
                rows.begun |= rows.end_it && matches!(&*key, "Results" | "results");
                let value = led_back(value, &key, rows);
                (key, value)
            };
            fields.into_iter().map(field).collect::<Map<_, _>>().into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Have the rows of a hunting answer begun, and does that matter?
struct Rows {
    end_it: bool,
    begun: bool,
}

impl Rows {
    fn of(scope: Scope) -> Self {
        Self {
            end_it: scope == Scope::FieldsUntilRows,
            begun: false,
        }
    }
}

const SCOPES: &[Scope] = &[Scope::Off, Scope::Fields, Scope::FieldsUntilRows];
