//! The claims of an access token, for showing to a person. Nothing is decided by them: to the proxy a token is opaque.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

/// The claims of a token that is a JWT (RFC 7519).
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Decodes the middle part. `None` if the text is no JWT.
    pub(super) fn decode(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&bytes).ok().map(Self)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The application's permissions (`roles`), or the user's (`scp`).
    pub(super) fn permissions(&self) -> Vec<&str> {
        let roles = self.0.get("roles").and_then(Value::as_array);
        let roles = roles.into_iter().flatten().filter_map(Value::as_str);
        let scopes = self
            .text("scp")
            .unwrap_or_default()
            .split_ascii_whitespace();
        roles.chain(scopes).collect()
    }

    pub(super) fn json(&self) -> String {
        format!("{:#}", Value::Object(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_roles_and_scopes() {
        let token = |payload: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload));
        let app = Claims::decode(&token(
            r#"{"tid":"t","roles":["Alert.Read.All","Machine.Read.All"]}"#,
        ))
        .unwrap();
        assert_eq!(app.permissions(), ["Alert.Read.All", "Machine.Read.All"]);
        assert_eq!(app.text("tid"), Some("t"));
        let user = Claims::decode(&token(r#"{"scp":"Alert.Read Machine.Read"}"#)).unwrap();
        assert_eq!(user.permissions(), ["Alert.Read", "Machine.Read"]);
    }

    #[test]
    fn an_opaque_token_has_none() {
        for token in ["", "opaque", "a.b.c", "e30.!!.x"] {
            assert!(Claims::decode(token).is_none(), "{token}");
        }
    }
}
