//! Signing in with a browser on this machine (RFC 8252).

use std::time::Duration;

use super::{SignInError, SigningIn, Way};
use crate::{
    auth::{AccessToken, entra::Authorizing, error::Refusal, user::kept::Kept},
    error::Chain,
    loopback::{Caught, Loopback, Page},
};

pub(super) async fn sign_in(
    signing: &SigningIn<'_>,
    way: Way,
) -> Result<(Kept, AccessToken), SignInError> {
    let loopback = Loopback::bind().await.map_err(SignInError::Loopback)?;
    let begun = signing
        .entra
        .authorize(signing.user, signing.key, loopback.redirect_uri())?;
    (signing.prompt)(&format!(
        "To sign in, open this link in a browser on this machine:\n{}",
        begun.url
    ));
    if way == Way::Configured {
        // The link has been shown, for where there is no browser to open.
        let _ = open::that_detached(&begun.url);
    }
    let caught = tokio::time::timeout(PATIENCE, loopback.caught(&begun.state))
        .await
        .map_err(|_| SignInError::TimedOut)?
        .map_err(SignInError::Loopback)?;
    let result = redeem(signing, &caught, begun).await;
    caught.show(page(&result)).await;
    result
}

async fn redeem(
    signing: &SigningIn<'_>,
    caught: &Caught,
    begun: Authorizing,
) -> Result<(Kept, AccessToken), SignInError> {
    let Some(code) = caught.parameter("code") else {
        return Err(SignInError::Refused(refusal(caught)));
    };
    let nonce = begun.nonce.clone();
    let granted = signing
        .entra
        .redeem(signing.user, signing.key, (code, begun))
        .await?;
    signing.finish(granted, Some(&nonce))
}

/// The refusal in a redirect (RFC 6749 §4.1.2.1). Of its description only the number is read: anybody can write the rest.
fn refusal(caught: &Caught) -> Refusal {
    let error = caught.parameter("error").unwrap_or_default();
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
    let known = !error.is_empty() && error.len() <= LONGEST_WORD && error.chars().all(is_word);
    let description = caught.parameter("error_description").unwrap_or_default();
    Refusal {
        error: if known { error } else { "an unknown error" }.to_owned(),
        suberror: None,
        code: number(description),
        trace_id: None,
        retry_after: None,
    }
}

/// The number of a text that begins with `AADSTS65004: …`.
fn number(description: &str) -> Option<u32> {
    let digits = description.strip_prefix("AADSTS")?;
    let end = digits.find(|c: char| !c.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().ok()
}

fn page(result: &Result<(Kept, AccessToken), SignInError>) -> Page {
    match result {
        Ok((kept, _)) if kept.account.name.is_empty() => Page::done("You are signed in."),
        Ok((kept, _)) => Page::done(format!("You are signed in as {}.", kept.account.name)),
        Err(error) => {
            let next = error.next_step().map(|next| format!(". To do: {next}"));
            let next = next.unwrap_or_default();
            Page::failed(format!("Nobody was signed in. {}{next}.", Chain(error)))
        }
    }
}

/// How long a person may take.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);
const LONGEST_WORD: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_of_a_description_is_read() {
        for (text, found) in [
            ("AADSTS65004: User declined to consent.", Some(65_004)),
            ("AADSTS1", Some(1)),
            ("AADSTS", None),
            ("see AADSTS65004", None),
            ("AADSTS99999999999999: x", None),
        ] {
            assert_eq!(number(text), found, "{text}");
        }
    }
}
