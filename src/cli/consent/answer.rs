//! What Entra ID answered on the administrator's way back. It is a claim and no proof: whoever has the link can send any.

use anyhow::{Context as _, bail};

use crate::{
    auth::{
        aadsts,
        identity::{TenantId, is_guid},
    },
    loopback::Caught,
};

/// The tenant in which consent is said to be given.
pub(super) fn tenant(answer: &Caught, asked: Option<&TenantId>) -> anyhow::Result<TenantId> {
    // `admin_consent=True` stands in refusals, too.
    if let Some(error) = answer.parameter("error") {
        let code = answer.parameter("error_description").and_then(number);
        bail!(refusal(error, code));
    }
    let consent = answer.parameter("admin_consent").unwrap_or_default();
    if !consent.eq_ignore_ascii_case("true") {
        bail!("the answer doesn't say that anybody consented: open the link again");
    }
    let named = answer.parameter("tenant").filter(|text| is_guid(text));
    let named: TenantId = named
        .and_then(|text| text.parse().ok())
        .context("the answer names no tenant: open the link again")?;
    match asked {
        // A domain name can't be compared with an id; the token will tell.
        Some(asked) if is_guid(asked.as_str()) && *asked != named => bail!(
            "the consent is for tenant {named}, and the customer's is {asked}: open the link again, and sign in there"
        ),
        Some(asked) => Ok(asked.clone()),
        None => Ok(named),
    }
}

/// Why nobody consented, without a word of the answer's own text.
fn refusal(error: &str, code: Option<u32>) -> String {
    let cause = match (code, error) {
        (Some(DECLINED), _) | (None, "access_denied") => "the administrator declined",
        (code, _) => code
            .and_then(aadsts::advice)
            .map_or("Entra ID refused", |advice| advice.cause),
    };
    let number = code.map(|code| format!(" (AADSTS{code})"));
    format!(
        "no consent: {cause}{}; open the link again as an administrator of the customer's tenant who may consent for all its users",
        number.unwrap_or_default()
    )
}

fn number(description: &str) -> Option<u32> {
    let digits = description.strip_prefix("AADSTS")?;
    let end = digits.find(|c: char| !c.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().ok()
}

/// "User declined to consent" (Entra ID, "Microsoft Entra authentication and authorization error codes").
const DECLINED: u32 = 65_004;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_the_number_and_nothing_else_of_the_answer() {
        assert_eq!(number("AADSTS65004: secret text"), Some(65_004));
        for text in ["", "AADSTS", "AADSTSx", "AADSTS99999999999999", "65004"] {
            assert_eq!(number(text), None, "{text}");
        }
        let declined = refusal("access_denied", Some(65_004));
        assert!(declined.contains("declined (AADSTS65004);"), "{declined}");
        let other = refusal("<script>", Some(1));
        assert!(other.contains("refused (AADSTS1);") && !other.contains("script"));
    }
}
