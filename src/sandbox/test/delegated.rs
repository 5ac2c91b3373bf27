//! What a user's permissions allow, and how a revoked token is turned away.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::claims::Claims;
use super::super::tokens::{Order, Proof};
use super::super::{family, users};
use super::{Bench, ENDPOINT, GRAPH, Reply, XDR};

impl Bench {
    /// A token of alice's for `resource`.
    fn users_token(&self, resource: &str, permissions: &[&str]) -> String {
        let state = &self.sandbox.state;
        state.tokens.issue(Order {
            family: family::of_resource(resource).unwrap(),
            audience: resource.into(),
            tenant: state.options.tenant.clone(),
            client_id: state.options.public_client_id.clone(),
            roles: permissions.iter().map(|name| (*name).into()).collect(),
            user: users::named(state, "alice@contoso.example"),
            proof: Proof::Nothing,
            claims: Claims::default(),
            lifetime: Duration::from_mins(5),
            opaque: false,
        })
    }

    async fn token_with_claims(&self, resource: &str, claims: &str) -> String {
        let claims: String = form_urlencoded::byte_serialize(claims.as_bytes()).collect();
        let form = format!("{}&claims={claims}", self.form(resource));
        let reply = self.ask(&self.token_path(), &form).await;
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    async fn graph_incidents(&self, token: &str) -> Reply {
        let url = format!("{}/v1.0/security/incidents", self.sandbox.graph());
        self.get(&url, token).await
    }
}

/// The claims of a challenge, as they go into a token request.
fn challenge(reply: &Reply) -> String {
    let header = reply.header("www-authenticate").unwrap();
    assert!(header.contains("error=\"insufficient_claims\""), "{header}");
    let claims = header.split_once("claims=\"").unwrap().1;
    let claims = claims.split_once('"').unwrap().0;
    String::from_utf8(BASE64.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn a_user_needs_the_delegated_permission() {
    let bench = Bench::start().await;
    let may = bench.users_token(XDR, &["Incident.Read"]);
    assert_eq!(bench.api("/api/incidents", &may).await.status, 200);
    let refused = bench.api("/api/advancedhunting/run", &may).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let message = refused.json()["error"]["message"].clone();
    for part in ["required scopes: AdvancedHunting.Read,", "Incident.Read."] {
        assert!(message.as_str().unwrap().contains(part), "{message}");
    }
    let role = bench.users_token(ENDPOINT, &["Machine.Read.All"]);
    assert_eq!(bench.api("/api/machines", &role).await.status, 403);
    let graph = bench.users_token(GRAPH, &["SecurityIncident.Read.All"]);
    assert_eq!(bench.graph_incidents(&graph).await.status, 200);
}

#[tokio::test]
async fn who_takes_challenges_is_challenged_when_its_token_is_revoked() {
    let bench = Bench::start().await;
    let capable = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
    for status in [401_u16, 403] {
        let settings = json!({"settings": {"cae_status": status}});
        bench.script(settings).await;
        let token = bench.token_with_claims(GRAPH, capable).await;
        assert_eq!(bench.graph_incidents(&token).await.status, 200);
        bench.sandbox.state.tokens.revoke(None);
        let refused = bench.graph_incidents(&token).await;
        assert_eq!(refused.status.as_u16(), status);
        let claims = challenge(&refused);
        let wanted: Value = serde_json::from_str(&claims).unwrap();
        assert!(
            wanted["access_token"]["nbf"]["value"].is_string(),
            "{wanted}"
        );
        let newer = bench.token_with_claims(GRAPH, &claims).await;
        assert_eq!(bench.graph_incidents(&newer).await.status, 200);
    }
}

#[tokio::test]
async fn a_revoked_token_is_turned_away_plainly_elsewhere() {
    let bench = Bench::start().await;
    let capable = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
    let (plain, defender) = (
        bench.token(GRAPH).await,
        bench.token_with_claims(XDR, capable).await,
    );
    bench.sandbox.state.tokens.revoke(None);
    for refused in [
        bench.graph_incidents(&plain).await,
        bench.api("/api/incidents", &defender).await,
    ] {
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert!(refused.header("www-authenticate").is_none());
        assert!(refused.text().contains("revoked"));
    }
}
