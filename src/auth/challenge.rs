//! Claims challenges (Entra ID, "Claims challenges and claims requests"): upstream refuses a token until it meets a condition,
//! and says which, for the token request to repeat.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, header::WWW_AUTHENTICATE};
use serde_json::{Map, Value};

/// The claims that a `401` or `403` asks for: of the first `Bearer` challenge with both `error="insufficient_claims"` and `claims`.
///
/// `claims` is base64 or, from some servers, the JSON itself. What is no JSON object is none.
#[must_use]
pub fn claims(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(WWW_AUTHENTICATE).iter();
    let mut challenges = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(challenges);
    let asked = challenges.find_map(|challenge| {
        let insufficient = challenge.get("error") == Some("insufficient_claims");
        let asked = challenge
            .get("claims")
            .filter(|_| insufficient && challenge.is_bearer());
        asked.map(str::to_owned)
    })?;
    let json = if asked.starts_with('{') {
        asked
    } else {
        String::from_utf8(base64(&asked)?).ok()?
    };
    serde_json::from_str::<Map<String, Value>>(&json)
        .is_ok()
        .then_some(json)
}

/// One challenge of a `WWW-Authenticate` line (RFC 9110 §11.6.1).
#[derive(Debug, Default)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn is_bearer(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("bearer")
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .parameters
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A word followed by `=` is a parameter of the challenge before it; any other word begins a challenge.
fn challenges(line: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',', '=']);
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        if word.is_empty() {
            // A quote where none can be: the rest is not to be trusted.
            return found;
        }
        let behind = behind.trim_start_matches([' ', '\t']);
        if let Some(value) = behind.strip_prefix('=') {
            let (value, behind) = parameter(value.trim_start_matches([' ', '\t']));
            if let Some(challenge) = found.last_mut() {
                challenge.parameters.push((word.to_owned(), value));
            }
            rest = behind;
        } else {
            found.push(Challenge {
                scheme: word.to_owned(),
                parameters: Vec::new(),
            });
            rest = behind;
        }
    }
}

/// A value, quoted or not, and what stands behind it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

/// Either alphabet, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    engine.decode(text.replace('-', "+").replace('_', "/")).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}"#;
    const CODED: &str =
        "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNjA0MTA2NjUxIn19fQ";

    fn of(lines: &[&str]) -> Option<String> {
        let lines = lines
            .iter()
            .map(|line| (WWW_AUTHENTICATE, line.parse().unwrap()));
        claims(&lines.collect())
    }

    #[test]
    fn found_in_any_order_and_line() {
        let raw = JSON.replace('"', "\\\"");
        for lines in [
            &[&*format!(
                r#"Bearer realm="", authorization_uri="https://x/authorize", error="insufficient_claims", claims="{CODED}==""#
            )][..],
            &[&format!(
                r#"Bearer claims="{CODED}==", error="insufficient_claims""#
            )],
            &[&format!("bearer error=insufficient_claims,claims={CODED}")],
            &[
                "Basic realm=\"a, b\"",
                &format!(r#"Bearer error = "insufficient_claims" , claims="{CODED}""#),
            ],
            &[&format!(
                r#"Negotiate abc==, Bearer realm="x", error="insufficient_claims", claims="{CODED}""#
            )],
            &[&format!(
                r#"Bearer error="insufficient_claims", claims="{raw}""#
            )],
        ] {
            assert_eq!(of(lines).as_deref(), Some(JSON), "{lines:?}");
        }
    }

    #[test]
    fn nothing_else_is_a_claims_challenge() {
        for line in [
            "Bearer",
            "",
            r#"Bearer error="invalid_token""#,
            r#"Bearer error="insufficient_claims""#,
            r#"Bearer error="insufficient_claims", claims="!""#,
            r#"Bearer error="insufficient_claims", claims="bm8ganNvbg==""#,
            r#"Bearer error="insufficient_claims", claims="WzFd""#,
            &format!(r#"Bearer error="invalid_token", claims="{CODED}""#),
            &format!(r#"Basic error="insufficient_claims", claims="{CODED}""#),
            &format!(r#"Bearer error="insufficient_claims", Basic claims="{CODED}""#),
        ] {
            assert_eq!(of(&[line]), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "[ -~]{0,80}") {
            of(&[&line]);
        }
    }
}
