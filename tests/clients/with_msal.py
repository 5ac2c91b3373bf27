"""Unmodified MSAL for Python signs in against the stand-ins."""

import hashlib
import os
import re
from base64 import b64decode
from urllib.parse import parse_qs, urlparse

import msal
import requests

import browser

XDR = "https://api.security.microsoft.com"
APP = [f"{XDR}/.default"]
USER = [f"{XDR}/Incident.Read"]
CERTIFICATES = os.path.join(os.path.dirname(__file__), "../../certs/sandbox")


def token(result):
    assert "access_token" in result, result
    return result["access_token"]


def confidential(stand_ins, credential, tenant=None):
    return msal.ConfidentialClientApplication(
        stand_ins.client_id,
        client_credential=credential,
        authority=f"{stand_ins.login}/{tenant or stand_ins.tenant}",
        instance_discovery=False,
    )


def public(stand_ins, **more):
    return msal.PublicClientApplication(
        stand_ins.public_client_id,
        authority=f"{stand_ins.login}/{stand_ins.tenant}",
        instance_discovery=False,
        **more,
    )


class WithPort(requests.Session):
    """Where MSAL asks how a user signs in, it takes the port from the address. This puts it back."""

    def __init__(self, login):
        super().__init__()
        self.login = login

    def request(self, method, url, **more):
        return super().request(method, url.replace("https://localhost/", f"{self.login}/"), **more)


def secret(stand_ins):
    app = confidential(stand_ins, stand_ins.secret)
    first = token(app.acquire_token_for_client(APP))
    stand_ins.incidents(first)
    assert token(app.acquire_token_for_client(APP)) == first, "not from the cache"


def wrong_secret(stand_ins):
    result = confidential(stand_ins, "wrong").acquire_token_for_client(APP)
    assert result["error"] == "invalid_client" and 7000215 in result["error_codes"], result


def secret_of_a_partner(stand_ins):
    app = confidential(stand_ins, stand_ins.secret, stand_ins.customer)
    found = stand_ins.incidents(token(app.acquire_token_for_client(APP)))
    assert stand_ins.customer[-6:] in found, "the data is not the customer's"


def certificate_with_sha1_thumbprint(stand_ins):
    with open(f"{CERTIFICATES}/app.pem") as file:
        pem = file.read()
    body = re.search("BEGIN CERTIFICATE-----(.*?)-----END", pem, re.DOTALL).group(1)
    key = re.search("-----BEGIN PRIVATE KEY.*?END PRIVATE KEY-----", pem, re.DOTALL).group(0)
    thumbprint = hashlib.sha1(b64decode(body)).hexdigest()
    app = confidential(stand_ins, {"private_key": key, "thumbprint": thumbprint})
    stand_ins.incidents(token(app.acquire_token_for_client(APP)))


def certificate_from_pkcs12(stand_ins):
    credential = {"private_key_pfx_path": f"{CERTIFICATES}/app.p12", "passphrase": stand_ins.password}
    app = confidential(stand_ins, credential)
    stand_ins.incidents(token(app.acquire_token_for_client(APP)))


def federated_token(stand_ins):
    app = confidential(stand_ins, {"client_assertion": stand_ins.federated_token()})
    stand_ins.incidents(token(app.acquire_token_for_client(APP)))


def code_with_pkce_then_refresh(stand_ins):
    app = public(stand_ins)
    flow = app.initiate_auth_code_flow(USER, redirect_uri="http://localhost:53682")
    assert "code_challenge" in flow["auth_uri"], flow
    link = browser.signed_in(flow["auth_uri"], stand_ins.user)
    back = requests.get(link, allow_redirects=False).headers["Location"]
    answer = {name: values[0] for name, values in parse_qs(urlparse(back).query).items()}
    result = app.acquire_token_by_auth_code_flow(flow, answer)
    stand_ins.incidents(token(result))
    assert result["id_token_claims"]["preferred_username"] == stand_ins.user, result
    refresh(app, stand_ins)


def browser_on_a_free_port(stand_ins):
    app = public(stand_ins)
    result = app.acquire_token_interactive(USER, timeout=60)
    stand_ins.incidents(token(result))
    refresh(app, stand_ins)


def device_code(stand_ins):
    app = public(stand_ins)
    flow = app.initiate_device_flow(USER)
    assert flow["user_code"] in flow["message"], flow
    stand_ins.control("device", {"user_code": flow["user_code"], "user": stand_ins.user})
    result = app.acquire_token_by_device_flow(flow)
    stand_ins.incidents(token(result))
    refresh(app, stand_ins)


def password(stand_ins):
    app = public(stand_ins, http_client=WithPort(stand_ins.login))
    result = app.acquire_token_by_username_password(stand_ins.user, stand_ins.password, USER)
    stand_ins.incidents(token(result))
    refresh(app, stand_ins)


def refresh(app, stand_ins):
    """Twice, so that the rotated refresh token is used as well."""
    for _ in range(2):
        [account] = app.get_accounts()
        renewed = app.acquire_token_silent(USER, account, force_refresh=True)
        assert renewed and renewed["token_source"] == "identity_provider", renewed
        stand_ins.incidents(token(renewed))


# Those that a proxy which answers token requests has to pass as well.
ANYWHERE = [
    secret,
    certificate_with_sha1_thumbprint,
    certificate_from_pkcs12,
    federated_token,
    password,
]

CHECKS = ANYWHERE + [
    wrong_secret,
    secret_of_a_partner,
    code_with_pkce_then_refresh,
    browser_on_a_free_port,
    device_code,
]
