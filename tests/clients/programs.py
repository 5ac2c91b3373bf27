"""The programs under test: the stand-ins alone, and a proxy in front of them."""

import os
import re
import subprocess
import sys
import tomllib
from contextlib import contextmanager

import requests

PROGRAM = sys.argv[1]


class StandIns:
    """Where the stand-ins are, from the proxy.toml that they print."""

    def __init__(self, printed):
        config = tomllib.loads(printed)
        identity = config["identity"]["sandbox"]
        self.printed = printed
        self.login = config["cloud"]["login"]
        self.defender = config["cloud"]["defender_xdr"]
        self.ca = config["upstream"]["ca"]
        self.tenant = identity["tenant"]
        self.client_id = identity["client_id"]
        with open(identity["credential"]["secret"]["file"]) as file:
            self.secret = file.read()
        # What only comments tell.
        self.public_client_id = self._said(r"users, for client_id (\S+):")
        self.user = self._said(r"(\S+@\S+), password")
        self.password = self._said(r"@\S+, password (\S+)")
        self.customer = self._said(r"customers: (\S+),")
        self.managed_identity = self._said(r"AZURE_POD_IDENTITY_AUTHORITY_HOST=(\S+)")
        self.app_service = self._said(r"IDENTITY_ENDPOINT=(\S+)")
        self.identity_header = self._said(r"IDENTITY_HEADER=(\S+)")

    def _said(self, pattern):
        return re.search(pattern, self.printed).group(1)

    def control(self, path, body=None):
        """What `/_sandbox/…` answers."""
        url = f"{self.login}/_sandbox/{path}"
        answer = requests.get(url) if body is None else requests.post(url, json=body)
        answer.raise_for_status()
        return answer

    def federated_token(self):
        return self.control("federated-token").text

    def incidents(self, token):
        """The incidents that `token` lets one read."""
        return incidents(self.defender, token)


class Proxy:
    """A proxy with `stand_in_login`: where it is, and credentials that nobody ever gave out."""

    tenant = "77777777-7777-4777-8777-777777777777"
    client_id = public_client_id = "88888888-8888-4888-8888-888888888888"
    secret = "invented-secret"
    user = "nobody@elsewhere.example"
    # Of the published keys, which certificates are read from here too.
    password = "sandbox-password-do-not-use"
    identity_header = "invented-header"

    def __init__(self, url):
        self.login = self.managed_identity = self.url = url
        self.app_service = f"{url}/msi/token"
        self.tokens = []

    def federated_token(self):
        return "invented-assertion"

    def incidents(self, token):
        self.tokens.append(token)
        return incidents(self.url, token)


def incidents(base, token):
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{base}/api/incidents", headers=headers)
    assert answer.status_code == 200, (answer.status_code, answer.text)
    assert answer.json()["value"], "no incidents"
    return answer.text


@contextmanager
def running(*arguments, ready):
    """The program; yields what it printed up to the line that starts with `ready`."""
    process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith(ready):
                break
        else:
            raise RuntimeError(f"{arguments} ended with {process.wait()}")
        yield printed
    finally:
        process.terminate()
        process.wait()


@contextmanager
def proxy(stand_ins, folder):
    """A proxy in front of the stand-ins, over TLS, which the libraries insist on. Its certificate is `folder`/tls.pem."""
    cert, key, config = f"{folder}/tls.pem", f"{folder}/tls.key", f"{folder}/proxy.toml"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-out", cert, "-keyout", key]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    os.chmod(key, 0o600)
    listen = f'address = "127.0.0.1:0"\nstand_in_login = true\ntls = {{ cert = "{cert}", key = "{key}" }}\n'
    with open(config, "w") as file:
        file.write(f"[listen]\n{listen}\n{stand_ins.printed}")
    with running("-q", "serve", "--config", config, ready="listening on ") as printed:
        port = printed.rsplit(":", 1)[1].strip()
        yield Proxy(f"https://localhost:{port}")


@contextmanager
def stand_ins():
    with running("sandbox", "--upstreams-only", ready="# listening on ") as printed:
        yield StandIns(printed)
