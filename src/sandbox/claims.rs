//! The form field `claims`: what a client wants to be in its token (`OpenID` Connect Core section 5.5).

use serde_json::Value;

use super::aadsts::MALFORMED;
use super::entra_errors::EntraError;

/// What is understood of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The client declared `cp1`: it understands claims challenges.
    pub(crate) takes_challenges: bool,
    /// The token must be at least so new: Unix time in seconds.
    pub(crate) not_before: Option<u64>,
}

impl Claims {
    /// # Errors
    /// When the text is no JSON object.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, EntraError> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let claims: Value = serde_json::from_str(text)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| EntraError::usual(&MALFORMED))?;
        let wanted = &claims["access_token"];
        let capabilities = wanted["xms_cc"]["values"].as_array();
        let newer = &wanted["nbf"]["value"];
        Ok(Self {
            takes_challenges: capabilities
                .is_some_and(|values| values.iter().any(|value| value == "cp1")),
            not_before: newer
                .as_u64()
                .or_else(|| newer.as_str().and_then(|text| text.parse().ok())),
        })
    }

    /// What either asks for.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            takes_challenges: self.takes_challenges || other.takes_challenges,
            not_before: self.not_before.max(other.not_before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_and_age_are_read() {
        let text = r#"{"access_token":{"xms_cc":{"values":["cp1"]},"nbf":{"essential":true,"value":"17"}}}"#;
        let claims = Claims::read(Some(text)).ok();
        let expected = Claims {
            takes_challenges: true,
            not_before: Some(17),
        };
        assert_eq!(claims, Some(expected));
        assert_eq!(Claims::read(None).ok(), Some(Claims::default()));
        assert!(Claims::read(Some("eyJhY2Nlc3M=")).is_err());
        assert!(Claims::read(Some("[]")).is_err());
    }
}
