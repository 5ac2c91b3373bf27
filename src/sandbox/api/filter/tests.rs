use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sandbox::api::times;

fn accepts(source: &str) -> Result<bool, Malformed> {
    let record = json!({
        "status": "New", "severity": "High", "title": "it's", "count": 7, "score": -1.5, "on": true, "none": null,
        "lastSeen": "2026-10-30T12:00:00.1234567Z", "machineTags": ["a", "prod"],
        "relatedUser": {"userName": "adele"}, "evidence": [{"entityType": "File"}, {"entityType": "User"}],
    });
    Filter::parse(source, &[])?.accepts(&record)
}

#[test]
fn what_matches_and_what_does_not() {
    for (source, wanted) in [
        ("status eq 'New'", true),
        ("status eq 'new'", false),
        ("STATUS ne 'Resolved'", true),
        ("title eq 'it''s'", true),
        ("count gt 6 and count lt 8", true),
        ("count ge 7 and count le 7", true),
        ("score lt -1", true),
        ("on", true),
        ("not on", false),
        ("on eq false", false),
        ("none eq null", true),
        ("none ne null", false),
        ("none gt 3", false),
        ("absent eq null", true),
        ("status eq 'X' or severity eq 'High' and count eq 7", true),
        (
            "(status eq 'X' or severity eq 'High') and count eq 8",
            false,
        ),
        ("not (status eq 'X') and not (count eq 1)", true),
        ("startswith(severity,'Hi')", true),
        ("endswith(severity, 'gh') and contains(severity,'ig')", true),
        ("contains(none,'x')", false),
        ("status in ('X','New')", true),
        ("count in (1, 2)", false),
        ("lastSeen gt 2026-10-30", true),
        ("lastSeen gt 2026-10-30Z and lastSeen lt 2026-10-31Z", true),
        ("lastSeen ge 2026-10-30T12:00:00.1234568Z", false),
        ("lastSeen eq 2026-10-30T14:00:00.1234567+02:00", true),
        ("relatedUser/userName eq 'adele'", true),
        ("machineTags/any(tag: tag eq 'prod')", true),
        ("machineTags/any(t:startswith(t,'x'))", false),
        ("evidence/any(e: e/entityType eq 'User' and on)", true),
        ("evidence/any()", true),
        ("none/any()", false),
        ("2026-10-30 lt lastSeen", true),
    ] {
        assert_eq!(accepts(source), Ok(wanted), "{source}");
    }
}

#[test]
fn faults_say_where() {
    for (source, at) in [
        ("status", None),
        ("status eq", Some(9)),
        ("status eqq 'New'", Some(7)),
        ("eq 'New'", Some(0)),
        ("status eq 'New' and", Some(19)),
        ("(status eq 'New'", Some(16)),
        ("status eq 'New')", Some(15)),
        ("status eq New'", Some(13)),
        ("count gt 12x", Some(9)),
        ("status = 'New'", Some(7)),
        ("status in ()", Some(11)),
        ("startswith(status)", Some(17)),
    ] {
        match (accepts(source), at) {
            (
                Err(Malformed::Syntax { at, .. } | Malformed::Unterminated { at, .. }),
                Some(wanted),
            ) => {
                assert_eq!(at, wanted, "{source}");
            }
            (Err(Malformed::Types { .. }), None) => {}
            (other, _) => panic!("{source}: {other:?}"),
        }
    }
}

#[test]
fn kinds_do_not_mix() {
    let fault = accepts("lastSeen gt '2026-01-01'").unwrap_err().to_string();
    assert!(
        fault.contains("'Edm.DateTimeOffset' and 'Edm.String'"),
        "{fault}"
    );
    assert!(accepts("count eq '7'").is_err());
    assert!(accepts("status eq 7").is_err());
}

#[test]
fn only_documented_properties() {
    assert!(
        Filter::parse(
            "status eq 'a' and Tags/any(t: t eq 'b')",
            &["status", "tags"]
        )
        .is_ok()
    );
    let fault = Filter::parse("status eq 'a' or title eq 'b'", &["status"]).unwrap_err();
    assert_eq!(fault, Malformed::Property("title".to_owned()));
}

#[test]
fn deep_nesting_is_refused_and_long_chains_are_not() {
    let nested = format!("{}on{}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(accepts(&nested), Err(Malformed::TooDeep));
    let long = vec!["on"; 50_000].join(" and ");
    assert_eq!(accepts(&long), Ok(true));
}

proptest! {
    #[test]
    fn any_text_is_answered(source in ".{0,60}") {
        let _: Result<bool, Malformed> = accepts(&source);
    }

    #[test]
    fn words_of_the_language_in_any_order_are_answered(
        words in proptest::collection::vec(
            prop_oneof![
                Just("status"), Just("eq"), Just("'x'"), Just("and"), Just("not"), Just("("), Just(")"), Just("in"),
                Just("any"), Just("/"), Just(":"), Just(","), Just("7"), Just("startswith"), Just("2026-01-01Z"),
            ],
            0..12,
        ),
    ) {
        let _: Result<bool, Malformed> = accepts(&words.join(" "));
    }

    #[test]
    fn a_quoted_text_is_compared_as_it_was(text in "[^\u{0}]{0,20}") {
        let record = json!({"title": text});
        let source = format!("title eq '{}'", text.replace('\'', "''"));
        prop_assume!(times::parse(&text).is_none());
        prop_assert_eq!(Filter::parse(&source, &[]).unwrap().accepts(&record), Ok(true));
    }
}
