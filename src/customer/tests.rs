use http::HeaderName;
use proptest::prelude::*;

use super::*;

const TENANT: &str = "5a9db0c5-0000-4000-8000-000000000002";

fn customers(names: &[&str]) -> Customers {
    let one = |(at, name): (usize, &&str)| {
        let tenant = format!("5a9db0c5-0000-4000-8000-{:012}", at + 2);
        (Arc::from(*name), tenant.parse().unwrap())
    };
    Customers::new(names.iter().enumerate().map(one).collect()).unwrap()
}

fn named<'a>(
    path: Option<&'a str>,
    header: Option<&'a str>,
    host: Option<&'a str>,
) -> Selection<'a> {
    Selection { path, header, host }
}

fn target(text: &str) -> PathAndQuery {
    text.parse().unwrap()
}

#[test]
fn one_customer_is_chosen_or_the_request_refused() {
    let (one, two) = (customers(&["contoso"]), customers(&["contoso", "fabrikam"]));
    for (selection, expected) in [
        (named(None, None, None), "missing"),
        (named(Some("contoso"), None, None), "0"),
        (named(Some("FABRIKAM"), None, None), "1"),
        (named(None, Some("fabrikam"), None), "1"),
        (named(None, None, Some("fabrikam")), "1"),
        // By name and by tenant, it is the same one.
        (named(Some("contoso"), Some(TENANT), Some("Contoso")), "0"),
        (named(Some("contoso"), Some("fabrikam"), None), "disagree"),
        (named(Some("contoso"), None, Some("fabrikam")), "disagree"),
        (named(Some("contoso"), Some("nobody"), None), "disagree"),
        (named(Some("nobody"), Some("contoso"), None), "disagree"),
        (named(Some("nobody"), None, None), "unlisted"),
    ] {
        let found = match selection.among(&two) {
            Ok(place) => place.to_string(),
            Err(CustomerError::Missing(_)) => "missing".into(),
            Err(CustomerError::Disagree) => "disagree".into(),
            Err(CustomerError::Unlisted(_)) => "unlisted".into(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{selection:?}");
    }
    assert_eq!(named(None, None, None).among(&one).unwrap(), 0);
    assert!(named(None, Some("fabrikam"), None).among(&one).is_err());
}

#[test]
fn an_identity_of_one_tenant_has_no_customers() {
    let own: TenantId = TENANT.parse().unwrap();
    for (selection, allowed) in [
        (named(None, None, None), true),
        (named(None, Some(&TENANT.to_uppercase()), None), true),
        (named(None, Some("contoso"), None), false),
        (named(Some(TENANT), Some("contoso"), None), false),
    ] {
        assert_eq!(selection.is_only(&own).is_ok(), allowed, "{selection:?}");
    }
}

#[test]
fn what_is_behind_the_customer_keeps_its_bytes() {
    for (whole, name, rest) in [
        ("/t/contoso/api/incidents", "contoso", "/api/incidents"),
        (
            "/t/contoso/API/a%2Fb//c?x=/t/y",
            "contoso",
            "/API/a%2Fb//c?x=/t/y",
        ),
        ("/t/contoso", "contoso", "/"),
        ("/t/contoso?a", "contoso", "/?a"),
        ("/t/contoso/", "contoso", "/"),
        ("/t/contoso//x", "contoso", "//x"),
        ("/t/a.example/x", "a.example", "/x"),
    ] {
        let target = target(whole);
        let (found, behind) = split(&target).unwrap().unwrap();
        assert_eq!((found, behind.as_str()), (name, rest), "{whole}");
    }
    for whole in ["/", "/api/t/contoso", "/tt/contoso/api", "/t-contoso"] {
        assert!(split(&target(whole)).unwrap().is_none(), "{whole}");
    }
}

#[test]
fn no_encoding_hides_a_customer() {
    for whole in [
        "/t",
        "/t/",
        "/t//api",
        "/T/contoso/api",
        "/%74/contoso/api",
        "/%2574/contoso/api",
        "/t%2fcontoso/api",
        "/t/cont%6Fso/api",
        "/t/contoso%2Fapi",
        "/t/contoso;a/api",
        "/t;a/contoso/api",
        "/t/.contoso/api",
        "/t/a..b/api",
        "/t/con:toso/api",
        "/t/contoso/t/fabrikam/api",
        "/t/contoso/%74/fabrikam",
        "/t/contoso//t/x",
        "/t/contoso/T",
        "/t/contoso;/api",
    ] {
        assert!(split(&target(whole)).is_err(), "{whole}");
    }
}

#[test]
fn one_field_names_one_customer() {
    let headers = |fields: &[(&'static str, &'static str)]| -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_static(value),
            )
        };
        fields.iter().map(field).collect()
    };
    for (fields, expected) in [
        (&[][..], Some(None)),
        (
            &[("x-defender-tenan", "contoso"), ("x-defender-tenants", "a")],
            Some(None),
        ),
        (&[("X-Defender-Tenant", " Contoso ")], Some(Some("Contoso"))),
        (&[("x_defender_tenant", "contoso")], Some(Some("contoso"))),
        (
            &[
                ("x-defender-tenant", "contoso"),
                ("x-defender_tenant", "contoso"),
            ],
            None,
        ),
        (&[("x-defender-tenant", "")], None),
        (&[("x-defender-tenant", "contoso, fabrikam")], None),
        (&[("x-defender-tenant", "cont%6Fso")], None),
    ] {
        let mut map = HeaderMap::new();
        for (name, value) in &headers(fields) {
            map.append(name, value.clone());
        }
        assert_eq!(of_header(&map).ok(), expected, "{fields:?}");
    }
    let mut twice = headers(&[("x-defender-tenant", "contoso")]);
    twice.append("x-defender-tenant", HeaderValue::from_static("contoso"));
    assert!(of_header(&twice).is_err());
    let foreign = HeaderValue::from_bytes(b"contos\xf6").unwrap();
    assert!(
        of_header(&HeaderMap::from_iter([(
            HeaderName::from_static(FIELD),
            foreign
        )]))
        .is_err()
    );
}

#[test]
fn the_nearest_names_come_first_and_twenty_at_most() {
    let names: Vec<String> = (0..50).map(|number| format!("customer-{number}")).collect();
    let names: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .chain(["Contoso"])
        .collect();
    let all = customers(&names);
    let near = Listed::new(&all, Some("contosso"));
    assert_eq!((near.names.len(), near.count), (20, 51));
    assert_eq!(&*near.names[0], "Contoso");
    let first = Listed::new(&all, None);
    assert_eq!(&*first.names[0], "customer-0");
}

proptest! {
    /// Whoever reads a target that is taken for none of a customer, however often decoding, finds no customer in it.
    #[test]
    fn a_target_is_a_customers_to_all_or_to_nobody(text in "/(t|T|%74|%2574|;|/|x)(/|%2f|;a)(contoso|%63)(/|;|%2F){0,2}(t|api)?(/x)?") {
        let whole = target(&text);
        if target::check(whole.path()).is_ok() && let Ok(None) = split(&whole) {
            let canonical = target::canonical(whole.path());
            prop_assert!(!canonical.starts_with("/t/") && canonical != "/t", "{}", text);
        }
    }

    #[test]
    fn what_is_split_is_put_together_again(name in "[A-Za-z0-9_-]{1,9}", path in "(/[a-zA-Z0-9%.=()-]{1,6}){0,4}", query in "(\\?[a-z=/&%0-9]{0,9})?") {
        let whole = target(&format!("/t/{name}{path}{query}"));
        if let Ok(Some((found, rest))) = split(&whole) {
            prop_assert_eq!(found, &name);
            let slash = if path.is_empty() { "/" } else { "" };
            prop_assert_eq!(rest.as_str(), format!("{slash}{path}{query}"));
        }
    }
}
