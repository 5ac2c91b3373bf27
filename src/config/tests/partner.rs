//! Partners: their customers, and what is said of a faulty one.

use super::{SOC, faults, parse};
use crate::auth::identity::Kind;

const MSSP: &str = "[identity.mssp]
kind = 'partner'
client_id = '11111111-1111-1111-1111-111111111111'
credential = { secret = { env = 'DEFENDER_CLIENT_SECRET' } }
";

const ONE: &str = "ABCDEF00-0000-0000-0000-000000000001";

fn with(keys: &str) -> String {
    format!("{MSSP}{keys}\n")
}

#[test]
fn customers_are_found_by_name_and_tenant_in_any_case() {
    let text = with(&format!(
        "customers = {{ Contoso = '{ONE}', fabrikam = 'Fabrikam.Example' }}"
    ));
    let config = parse(&text).expect("a partner");
    let Kind::Partner(partner) = &config.identities[0].kind else {
        panic!("{:?}", config.identities);
    };
    assert_eq!(partner.consent_redirect, "http://localhost");
    for (name, place) in [
        ("Contoso", Some(0)),
        ("contoso", Some(0)),
        (ONE, Some(0)),
        (&ONE.to_lowercase(), Some(0)),
        ("FABRIKAM", Some(1)),
        ("fabrikam.example", Some(1)),
        ("nobody", None),
        ("", None),
    ] {
        assert_eq!(partner.customers.find(name), place, "{name}");
    }
    let (name, tenant) = partner.customers.at(1).expect("the second");
    assert_eq!((&**name, tenant.as_str()), ("fabrikam", "fabrikam.example"));
    assert_eq!(config.routes.len(), 1);
}

#[test]
fn customers_may_have_a_table_of_their_own_and_thousands_of_lines() {
    use std::fmt::Write;
    let mut text =
        with("consent_redirect = 'https://partner.example/consented'\n[identity.mssp.customers]");
    for number in 0..5_000 {
        writeln!(text, "c{number} = '00000000-0000-0000-0000-{number:012}'").expect("room");
    }
    let config = parse(&text).expect("a partner");
    let [partner] = config.partners().collect::<Vec<_>>()[..] else {
        panic!("{:?}", config.identities);
    };
    assert_eq!(partner.customers.iter().len(), 5_000);
    assert_eq!(partner.customers.find("c4999"), Some(4_999));
}

#[test]
fn one_faulty_key_is_named_with_its_line() {
    let customers = format!("customers = {{ a = '{ONE}' }}");
    for (keys, fault) in [
        (String::new(), "1 identity.mssp.customers: is missing"),
        (
            "customers = {}".into(),
            "5 identity.mssp.customers: must name at least one",
        ),
        (
            "customers = ['a']".into(),
            "5 identity.mssp.customers: must be a table",
        ),
        (
            "customers = { a = 'common' }".into(),
            "5 identity.mssp.customers.a: `common` names no tenant",
        ),
        (
            "customers = { a = 1 }".into(),
            "5 identity.mssp.customers.a: must be a text",
        ),
        (
            "customers = { 'a b' = 'a.example' }".into(),
            "5 identity.mssp.customers.\"a b\": must have a name of letters",
        ),
        (
            format!("customers = {{ {ONE} = 'a.example' }}"),
            "5 identity.mssp.customers.ABCDEF00-0000-0000-0000-000000000001: must not have a name that reads",
        ),
        (
            "[identity.mssp.customers]\na = 'a.example'\nb = 'A.example'".into(),
            "7 identity.mssp.customers.b: has the name or the tenant of the customer in line 6",
        ),
        (
            "[identity.mssp.customers]\na = 'a.example'\nA = 'b.example'".into(),
            "7 identity.mssp.customers.A: has the name or the tenant of the customer in line 6",
        ),
        (
            format!("{customers}\ntenant = 'contoso.example'"),
            "6 identity.mssp.tenant: is not for a partner",
        ),
        (
            format!("{customers}\ncustomer = 1"),
            "6 identity.mssp.customer: is no key known here: did you mean `customers`?",
        ),
        (
            format!("{customers}\nconsent_redirect = 'http://contoso.example'"),
            "6 identity.mssp.consent_redirect: must be a redirect URI",
        ),
        (
            format!("{customers}\nconsent_redirect = 'http://[::1]'"),
            "6 identity.mssp.consent_redirect: must be",
        ),
        (
            format!("{customers}\nconsent_redirect = 'https://a.example/#x'"),
            "6 identity.mssp.consent_redirect: must be",
        ),
        (
            format!("{customers}\n[[route]]\nprefix = '/T/x'\napi = 'defender'"),
            "6 route[0]: has a prefix below /t",
        ),
    ] {
        let text = with(&keys);
        let found = faults(&text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].starts_with(fault), "{fault}: {found:#?}");
    }
}

#[test]
fn without_a_partner_a_prefix_may_be_below_t() {
    let text = format!("{SOC}[[route]]\nprefix = '/t/x'\napi = 'defender'\n");
    assert_eq!(
        parse(&text).expect("a configuration").routes[0].prefix,
        "/t/x"
    );
}
