//! Tenants with and without consent, and how an administrator gives it.

use serde_json::json;
use url::Url;

use super::{Bench, XDR};
use crate::sandbox::Options;

impl Bench {
    async fn code_in(&self, tenant: &str) -> Option<u64> {
        let path = format!("/{tenant}/oauth2/v2.0/token");
        let body = self.ask(&path, &self.form(XDR)).await.json();
        body["error_codes"][0].as_u64()
    }

    async fn admin(&self, path: &str, more: &str) -> Vec<(String, String)> {
        let url = format!(
            "{}{path}?client_id={}&scope={XDR}/.default&redirect_uri=http://localhost:50123&state=s1&{more}",
            self.sandbox.login(),
            self.sandbox.options().client_id
        );
        let reply = self.get(&url, "").await;
        assert_eq!(reply.status.as_u16(), 302, "{}", reply.text());
        let back = Url::parse(reply.header("location").unwrap()).unwrap();
        back.query_pairs().into_owned().collect()
    }
}

#[tokio::test]
async fn one_tenant_refuses_and_the_others_do_not() {
    let bench = Bench::start().await;
    let Options {
        tenant, customers, ..
    } = bench.sandbox.options();
    for (word, code) in [
        ("no_consent", 65001),
        ("blocked", 53003),
        ("app_missing", 700_016),
    ] {
        bench
            .script(json!({"settings": {"tenants": {&customers[0]: word}}}))
            .await;
        assert_eq!(bench.code_in(&customers[0]).await, Some(code));
        assert_eq!(bench.code_in(&customers[1]).await, None);
        assert_eq!(bench.code_in(tenant).await, None);
    }
    bench
        .script(json!({"settings": {"tenants": {&customers[0]: "consented"}}}))
        .await;
    assert_eq!(bench.code_in(&customers[0]).await, None);
}

#[tokio::test]
async fn a_tenant_can_only_be_what_there_is() {
    let bench = Bench::start().await;
    let customer = &bench.sandbox.options().customers[0];
    let script = json!({"settings": {"tenants": {customer: "away"}}});
    let reply = bench.control("faults", &script).await;
    assert_eq!(reply.status.as_u16(), 400);
    assert!(
        reply
            .text()
            .contains("it takes consented, no_consent, blocked or app_missing")
    );
    assert_eq!(bench.code_in(customer).await, None);
}

#[tokio::test]
async fn an_administrator_consents() {
    let bench = Bench::start().await;
    let customers = &bench.sandbox.options().customers;
    bench.script(json!({"settings": {"tenants": {&customers[0]: "no_consent", &customers[1]: "app_missing"}}})).await;
    let denied = bench
        .admin(
            &format!("/{}/v2.0/adminconsent", customers[0]),
            "sandbox_error=access_denied",
        )
        .await;
    let find = |answer: &[(String, String)], name: &str| {
        answer
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    assert_eq!(find(&denied, "error").as_deref(), Some("access_denied"));
    assert!(
        find(&denied, "error_description")
            .unwrap()
            .starts_with("AADSTS65004")
    );
    assert_eq!(find(&denied, "admin_consent").as_deref(), Some("True"));
    assert_eq!(bench.code_in(&customers[0]).await, Some(65001));

    let given = bench
        .admin(
            &format!("/{}/v2.0/adminconsent", customers[0]),
            "sandbox_user=admin",
        )
        .await;
    let expected = [
        ("admin_consent", "True".to_owned()),
        ("tenant", customers[0].clone()),
        ("scope", format!("{XDR}/.default")),
        ("state", "s1".to_owned()),
    ];
    assert_eq!(given, expected.map(|(key, value)| (key.to_owned(), value)));
    assert_eq!(bench.code_in(&customers[0]).await, None);

    let more = format!("sandbox_user=admin&sandbox_tenant={}", customers[1]);
    let chosen = bench.admin("/organizations/v2.0/adminconsent", &more).await;
    assert_eq!(find(&chosen, "tenant").as_ref(), Some(&customers[1]));
    assert_eq!(bench.code_in(&customers[1]).await, None);
}

#[tokio::test]
async fn consent_does_not_lift_a_policy() {
    let bench = Bench::start().await;
    let customer = &bench.sandbox.options().customers[0];
    bench
        .script(json!({"settings": {"tenants": {customer: "blocked"}}}))
        .await;
    bench
        .admin(&format!("/{customer}/adminconsent"), "sandbox_user=admin")
        .await;
    assert_eq!(bench.code_in(customer).await, Some(53003));
}

#[test]
fn there_can_be_many_customers() {
    let options = Options::default().more_customers(1000);
    assert_eq!(options.customers.len(), 1002);
    let last = &options.customers[1001];
    assert_eq!(options.tenant_named(last), Some(last.as_str()));
}
