//! Users who sign in with a browser.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::digest::{SHA256, digest};
use url::Url;

use super::users::{ALICE, claims, error, refused};
use super::{Bench, Reply, XDR};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

impl Bench {
    /// What the browser is sent back with.
    async fn authorize(&self, more: &str) -> Url {
        let reply = self.visit(more).await;
        assert_eq!(reply.status.as_u16(), 302, "{}", reply.text());
        Url::parse(reply.header("location").unwrap()).unwrap()
    }

    async fn visit(&self, more: &str) -> Reply {
        let challenge = BASE64URL.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let url = format!(
            "{}/organizations/oauth2/v2.0/authorize?client_id={}&response_type=code&redirect_uri=http://localhost:50123\
             &scope=openid%20offline_access%20{XDR}/.default&state=s1&nonce=n1&code_challenge={challenge}\
             &code_challenge_method=S256{more}",
            self.sandbox.login(),
            self.public()
        );
        self.get(&url, "").await
    }

    async fn redeem(&self, code: &str, verifier: &str) -> Reply {
        self.grant(&format!(
            "grant_type=authorization_code&code={code}&redirect_uri=http://localhost:50123&code_verifier={verifier}&client_info=1"
        ))
        .await
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_code_is_redeemed_once_with_its_verifier() {
    let bench = Bench::start().await;
    let back = bench.authorize(&format!("&sandbox_user={ALICE}")).await;
    assert_eq!((back.port(), back.path()), (Some(50123), "/"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
    let code = parameter(&back, "code").unwrap();
    let wrong = bench.redeem(&code, &VERIFIER.replace('d', "e")).await;
    assert_eq!(refused(&wrong), error(400, "invalid_grant", 501_481));
    let body = bench.redeem(&code, VERIFIER).await.json();
    assert_eq!(claims(&body["id_token"])["nonce"], "n1");
    assert!(body["refresh_token"].is_string() && body["client_info"].is_string());
    let again = bench.redeem(&code, VERIFIER).await;
    assert_eq!(refused(&again), error(400, "invalid_grant", 54005));
}

#[tokio::test]
async fn the_way_back_says_what_went_wrong() {
    let bench = Bench::start().await;
    for (more, word) in [
        ("&sandbox_error=access_denied", "access_denied"),
        (
            "&sandbox_error=interaction_required&sandbox_aadsts=50076",
            "interaction_required",
        ),
        ("&prompt=none", "login_required"),
        (&format!("&prompt=none&login_hint={ALICE}"), ""),
    ] {
        let back = bench.authorize(more).await;
        assert_eq!(parameter(&back, "error").unwrap_or_default(), word);
        assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
        let text = parameter(&back, "error_description");
        assert_eq!(
            text.is_some_and(|text| text.starts_with("AADSTS")),
            !word.is_empty()
        );
    }
    let fragment = bench
        .authorize(&format!("&response_mode=fragment&sandbox_user={ALICE}"))
        .await;
    assert!(fragment.fragment().unwrap().starts_with("code=") && fragment.query().is_none());
    let post = bench
        .visit(&format!("&response_mode=form_post&sandbox_user={ALICE}"))
        .await
        .text();
    assert!(
        post.contains("method=\"post\" action=\"http://localhost:50123/\"")
            && post.contains("name=\"code\"")
    );
}

#[tokio::test]
async fn people_choose_on_a_page_and_stay_on_it_when_the_client_is_wrong() {
    let bench = Bench::start().await;
    let page = bench.visit("").await;
    let text = page.text();
    assert_eq!(page.status.as_u16(), 200);
    assert!(
        text.contains("sandbox_user=alice%40contoso.example")
            && text.contains("sandbox_error=access_denied")
    );
    let url = format!(
        "{}/organizations/oauth2/v2.0/authorize",
        bench.sandbox.login()
    );
    for (query, code) in [
        (
            format!("client_id=x&redirect_uri=http://localhost:1&scope={XDR}/.default"),
            "AADSTS700016",
        ),
        (
            format!(
                "client_id={}&redirect_uri=http://127.0.0.1:1&scope={XDR}/.default",
                bench.public()
            ),
            "AADSTS50011",
        ),
        (
            format!("redirect_uri=http://localhost&scope={XDR}/.default"),
            "AADSTS900144",
        ),
    ] {
        let reply = bench.get(&format!("{url}?{query}"), "").await;
        assert_eq!(reply.status.as_u16(), 400);
        assert!(reply.text().contains(code), "{}", reply.text());
    }
}
