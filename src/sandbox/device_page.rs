//! The page where people enter the code that a device shows.

use http::StatusCode;

use super::answers::page;
use super::api::Answer;
use super::device::Decision;
use super::pages::{Visit, escaped};
use super::users;

/// The form, or what became of it.
pub(crate) fn answer(visit: &Visit<'_>) -> Answer {
    let Some(code) = visit.query.get("user_code") else {
        return form(visit);
    };
    let user = visit.query.get("sandbox_user");
    let decision = match user.map(|name| users::named(visit.state, name)) {
        Some(Some(user)) => Decision::SignIn(user),
        Some(None) | None => Decision::Decline,
    };
    let text = match (visit.state.decide(code, decision), user) {
        (false, _) => "That code is not known. Check it and try again.",
        (true, Some(_)) => "You have signed in. You may close this window.",
        (true, None) => "You have declined. You may close this window.",
    };
    page(StatusCode::OK, "Sign in", &format!("<p>{text}</p>"))
}

fn form(visit: &Visit<'_>) -> Answer {
    let names: Vec<String> = visit
        .state
        .options
        .users
        .iter()
        .map(|user| escaped(&user.name))
        .collect();
    let button = |name: &String| {
        format!("<p><button name=\"sandbox_user\" value=\"{name}\">Sign in as {name}</button></p>")
    };
    let buttons = names.iter().map(button).collect::<Vec<_>>().concat();
    let body = format!(
        "<form><p><label>Code <input name=\"user_code\" autofocus></label></p>{buttons}<p><button>Decline</button></p></form>"
    );
    page(StatusCode::OK, "Enter code", &body)
}
