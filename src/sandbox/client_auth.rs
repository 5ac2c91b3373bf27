//! Which application asks, and whether it is the one it says.

use super::aadsts::{
    MALFORMED, NO_CREDENTIAL, NO_CREDENTIAL_OF_APP, PUBLIC_WITH_CREDENTIAL, UNKNOWN_APP,
    WRONG_SECRET,
};
use super::assertion;
use super::entra_errors::EntraError;
use super::state::State;
use super::token_form::{CLIENT_CREDENTIALS, Endpoint, Form, missing};
use super::tokens::Proof;

/// An application that is what it says.
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) proof: Proof,
}

/// The registered application of this id.
pub(crate) fn known<'a>(
    state: &'a State,
    tenant: &str,
    client_id: &str,
) -> Result<&'a str, EntraError> {
    let options = &state.options;
    [&options.client_id, &options.public_client_id]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(client_id))
        .map(String::as_str)
        .ok_or_else(|| unknown_app(client_id, tenant))
}

pub(crate) fn unknown_app(client_id: &str, tenant: &str) -> EntraError {
    let text = format!(
        "Application with identifier '{client_id}' was not found in the directory '{tenant}'."
    );
    EntraError::saying(&UNKNOWN_APP, text)
}

/// Finds out who asks for a token of `tenant`.
pub(crate) fn authenticate(
    state: &State,
    endpoint: &Endpoint,
    tenant: &str,
    form: &Form,
) -> Result<Client, EntraError> {
    let asked = form
        .client_id
        .as_deref()
        .ok_or_else(|| missing("client_id"))?;
    let id = known(state, tenant, asked)?;
    let proof = if id == state.options.public_client_id {
        without_proof(form)?
    } else {
        prove(state, endpoint, tenant, form)?
    };
    Ok(Client {
        id: id.to_owned(),
        proof,
    })
}

fn without_proof(form: &Form) -> Result<Proof, EntraError> {
    if form.secret.is_some() || form.get("client_assertion").is_some() {
        return Err(EntraError::usual(&PUBLIC_WITH_CREDENTIAL));
    }
    if form.get("grant_type") == Some(CLIENT_CREDENTIALS) {
        return Err(EntraError::usual(&NO_CREDENTIAL));
    }
    Ok(Proof::Nothing)
}

fn prove(
    state: &State,
    endpoint: &Endpoint,
    tenant: &str,
    form: &Form,
) -> Result<Proof, EntraError> {
    if let Some(secret) = &form.secret {
        return check_secret(state, secret).map(|()| Proof::Secret);
    }
    let Some(assertion) = form.get("client_assertion") else {
        let row = match form.get("grant_type") {
            Some(CLIENT_CREDENTIALS) => &NO_CREDENTIAL,
            Some(_) | None => &NO_CREDENTIAL_OF_APP,
        };
        return Err(EntraError::usual(row));
    };
    if form.require("client_assertion_type")? != ASSERTION_TYPE {
        return Err(EntraError::usual(&MALFORMED));
    }
    assertion::check(state, endpoint, tenant, assertion).map(|()| Proof::Assertion)
}

fn check_secret(state: &State, secret: &str) -> Result<(), EntraError> {
    let options = &state.options;
    if secret == options.client_secret {
        return Ok(());
    }
    let text = format!(
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the \
         client secret ID, for a secret added to app '{}'.",
        options.client_id
    );
    Err(EntraError::saying(&WRONG_SECRET, text))
}

/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
