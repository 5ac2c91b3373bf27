//! The page where an administrator lets an application into a tenant, or `sandbox_user=admin` in its address does.
//!
//! Entra ID, "Admin consent on the Microsoft identity platform".

use http::StatusCode;

use super::aadsts::UNKNOWN_TENANT;
use super::answers::page;
use super::api::Answer;
use super::authorize::scripted;
use super::client_auth;
use super::entra_errors::EntraError;
use super::pages::Visit;
use super::redirect::Redirect;
use super::token_form::{Version, missing};
use super::user_errors::FOREIGN_USER;

/// The page, or the way back to the client.
pub(crate) fn answer(visit: &Visit<'_>, tenant: &str, version: Version) -> Answer {
    grant(visit, tenant, version).unwrap_or_else(|error| visit.refused(&error))
}

fn grant(visit: &Visit<'_>, tenant: &str, version: Version) -> Result<Answer, EntraError> {
    let query = &visit.query;
    let tenant = chosen(visit, tenant)?;
    let client_id = query.client_id.as_deref();
    let client_id = client_id.ok_or_else(|| missing("client_id"))?;
    client_auth::known(visit.state, tenant, client_id)?;
    let scope = match version {
        Version::V2 => query.require("scope")?,
        Version::V1 => "",
    };
    let redirect = Redirect::of(&visit.state.options, query)?;
    let mut parameters = vec![("admin_consent", "True"), ("tenant", tenant)];
    if version == Version::V2 {
        parameters.push(("scope", scope));
    }
    if let Some(error) = scripted(query) {
        let text = visit.caller.describe(&error, &visit.state.settings());
        parameters.extend([("error", error.row.error), ("error_description", &text)]);
        return Ok(redirect.with(&parameters));
    }
    match query.get("sandbox_user") {
        None => Ok(ask(visit, tenant)),
        Some("admin") => {
            visit.state.consent(tenant);
            Ok(redirect.with(&parameters))
        }
        Some(_) => Err(EntraError::usual(&FOREIGN_USER)),
    }
}

/// The tenant of the path; with `organizations` the administrator's own, which `sandbox_tenant` says.
fn chosen<'a>(visit: &'a Visit<'_>, tenant: &str) -> Result<&'a str, EntraError> {
    let options = &visit.state.options;
    let tenant = match tenant {
        "organizations" | "common" => visit.query.get("sandbox_tenant").unwrap_or(&options.tenant),
        tenant => tenant,
    };
    let known = options.tenant_named(tenant);
    known.ok_or_else(|| EntraError::usual(&UNKNOWN_TENANT))
}

fn ask(visit: &Visit<'_>, tenant: &str) -> Answer {
    let accept = visit.link("Accept as administrator", &[("sandbox_user", "admin")]);
    let deny = visit.link("Cancel", &[("sandbox_error", "access_denied")]);
    let body = format!("<p>Let the application into the tenant {tenant}?</p>{accept}{deny}");
    page(StatusCode::OK, "Permissions requested", &body)
}
