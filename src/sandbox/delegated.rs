//! The grants of users: how each shows who signed in, and what is issued then.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::authorize::client_info;
use super::claims::Claims;
use super::client_auth::Client;
use super::codes::Shown;
use super::entra_errors::EntraError;
use super::entra_settings::Rotation;
use super::issue::Issued;
use super::scopes::{self, Scope, Several};
use super::sessions::Session;
use super::settings::Settings;
use super::state::State;
use super::token_form::{Endpoint, Form, missing};
use super::tokens::{Order, unix_now};
use super::user_errors::{NO_PASSWORDS_THERE, UNKNOWN_USER, WRONG_PASSWORD};
use super::users::{self, SandboxUser};

/// A token request of a client that is known, for a user of the home tenant.
pub(crate) struct Request<'a> {
    pub(crate) state: &'a State,
    pub(crate) settings: &'a Settings,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) form: &'a Form,
    pub(crate) client: Client,
    pub(crate) claims: Claims,
}

/// Who signed in, and for what.
struct SignedIn {
    user: Arc<SandboxUser>,
    /// As it was asked for.
    scope: String,
    several: Several,
    nonce: Option<String>,
    refresh: Refresh,
}

/// Whether the answer has a refresh token.
enum Refresh {
    /// If `offline_access` was asked for.
    IfAsked,
    New,
    No,
}

impl Request<'_> {
    /// `authorization_code`.
    pub(crate) fn code(&self) -> Result<Issued, EntraError> {
        let shown = Shown {
            client_id: &self.client.id,
            redirect_uri: self.form.require("redirect_uri")?,
            verifier: self.form.get("code_verifier"),
        };
        let code = self.form.require("code")?;
        let authorized = self.state.codes.redeem(code, &shown)?;
        let offline = authorized.scope.contains("offline_access");
        self.issue(SignedIn {
            user: authorized.user,
            scope: self.asked().unwrap_or(authorized.scope),
            several: Several::Refused,
            nonce: authorized.nonce,
            refresh: if offline {
                Refresh::New
            } else {
                Refresh::IfAsked
            },
        })
    }

    /// `refresh_token`.
    pub(crate) fn refresh(&self) -> Result<Issued, EntraError> {
        let token = self.form.require("refresh_token")?;
        let rotation = self.settings.entra.rotation;
        let sessions = &self.state.sessions;
        let session = sessions.redeem(token, &self.client.id, rotation)?;
        self.issue(SignedIn {
            user: Arc::clone(&session.user),
            scope: self.asked().unwrap_or_else(|| session.scope.clone()),
            several: Several::First,
            nonce: None,
            refresh: match rotation {
                Rotation::Rotate | Rotation::Strict => Refresh::New,
                Rotation::None => Refresh::No,
            },
        })
    }

    /// `urn:ietf:params:oauth:grant-type:device_code`. v1 calls the code `code`.
    pub(crate) fn device(&self) -> Result<Issued, EntraError> {
        let code = self
            .form
            .device_code()
            .ok_or_else(|| missing("device_code"))?;
        let devices = &self.state.devices;
        let (user, asked) = devices.poll(code, &self.client.id, &self.settings.entra)?;
        self.issue(SignedIn {
            user,
            scope: asked.scope,
            several: Several::Refused,
            nonce: None,
            refresh: Refresh::IfAsked,
        })
    }

    /// `password`.
    pub(crate) fn password(&self) -> Result<Issued, EntraError> {
        if ["common", "consumers"].contains(&self.endpoint.tenant.as_str()) {
            return Err(EntraError::usual(&NO_PASSWORDS_THERE));
        }
        let name = self.form.require("username")?;
        let password = self.form.require("password")?;
        let user =
            users::named(self.state, name).ok_or_else(|| EntraError::usual(&UNKNOWN_USER))?;
        if user.password != password {
            return Err(EntraError::usual(&WRONG_PASSWORD));
        }
        let scope = self.asked().ok_or_else(|| missing("scope"))?;
        self.issue(SignedIn {
            user,
            scope,
            several: Several::Refused,
            nonce: None,
            refresh: Refresh::IfAsked,
        })
    }

    fn asked(&self) -> Option<String> {
        scopes::asked(self.endpoint.version, self.form)
    }

    fn issue(&self, signed_in: SignedIn) -> Result<Issued, EntraError> {
        let scope = Scope::parse(&signed_in.scope, signed_in.several)?;
        let granted = scope.granted(self.settings.entra.scopes.as_deref());
        let more = self.more(&signed_in, &scope, &granted);
        let lifetime = self.settings.token_lifetime.pick();
        let token = self.state.tokens.issue(Order {
            family: scope.family,
            audience: scope.resource.clone(),
            tenant: self.state.options.tenant.clone(),
            client_id: self.client.id.clone(),
            roles: granted,
            user: Some(signed_in.user),
            proof: self.client.proof,
            claims: self.claims.clone(),
            lifetime,
            opaque: self.settings.opaque_tokens,
        });
        Ok(Issued {
            token,
            resource: scope.resource,
            lifetime,
            more,
        })
    }

    /// What the answer has beside the access token.
    fn more(&self, signed_in: &SignedIn, scope: &Scope, granted: &[String]) -> Map<String, Value> {
        let mut more = Map::new();
        more.insert("scope".into(), scope.answer(granted).into());
        let refresh = match signed_in.refresh {
            Refresh::New => true,
            Refresh::No => false,
            Refresh::IfAsked => scope.offline,
        };
        if refresh {
            more.insert("refresh_token".into(), self.session(signed_in).into());
        }
        if scope.openid && self.settings.entra.id_token {
            more.insert("id_token".into(), self.id_token(signed_in).into());
        }
        if self.form.get("client_info") == Some("1") {
            let info = client_info(&self.state.options.tenant, &signed_in.user);
            more.insert("client_info".into(), info.into());
        }
        more
    }

    fn session(&self, signed_in: &SignedIn) -> String {
        let session = Session {
            user: Arc::clone(&signed_in.user),
            client_id: self.client.id.clone(),
            scope: signed_in.scope.clone(),
        };
        let lifetime = self.settings.entra.refresh_token_lifetime;
        self.state.sessions.begin(session, lifetime)
    }

    /// Entra ID, "ID tokens in the Microsoft identity platform".
    fn id_token(&self, signed_in: &SignedIn) -> String {
        let tenant = &self.state.options.tenant;
        let user = &signed_in.user;
        let now = unix_now();
        let mut claims = json!({
            "aud": self.client.id,
            "iss": format!("{}/{tenant}/v2.0", self.state.origins.entra),
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "name": user.name,
            "oid": user.object_id,
            "preferred_username": user.name,
            "sub": user.object_id,
            "tid": tenant,
            "ver": "2.0",
        });
        if let Some(nonce) = &signed_in.nonce {
            claims["nonce"] = Value::from(nonce.as_str());
        }
        self.state.keys.tokens.sign(&claims)
    }
}
