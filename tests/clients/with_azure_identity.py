"""Unmodified azure-identity signs in against the stand-ins."""

import os
import tempfile
from contextlib import contextmanager

from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    DeviceCodeCredential,
    EnvironmentCredential,
    InteractiveBrowserCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from with_msal import APP, CERTIFICATES, USER

MANAGED_CLIENT_ID = "5a9db0c5-0000-4000-8000-0000000000dd"


def use(stand_ins, credential, scopes=APP):
    stand_ins.incidents(credential.get_token(*scopes).token)


def at(stand_ins):
    """The arguments that lead a credential to the stand-in."""
    return {
        "tenant_id": stand_ins.tenant,
        "authority": stand_ins.login,
        "disable_instance_discovery": True,
    }


@contextmanager
def environment(**variables):
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def secret(stand_ins):
    use(
        stand_ins,
        ClientSecretCredential(
            client_id=stand_ins.client_id, client_secret=stand_ins.secret, **at(stand_ins)
        ),
    )


def certificate(stand_ins):
    for name, password in [("app.pem", None), ("app-encrypted.pem", stand_ins.password), ("app.p12", stand_ins.password)]:
        use(
            stand_ins,
            CertificateCredential(
                client_id=stand_ins.client_id,
                certificate_path=f"{CERTIFICATES}/{name}",
                password=password,
                **at(stand_ins),
            ),
        )


def environment_of_a_secret(stand_ins):
    with environment(
        AZURE_TENANT_ID=stand_ins.tenant,
        AZURE_CLIENT_ID=stand_ins.client_id,
        AZURE_CLIENT_SECRET=stand_ins.secret,
        AZURE_AUTHORITY_HOST=stand_ins.login,
    ):
        use(stand_ins, EnvironmentCredential(disable_instance_discovery=True))


def workload_identity(stand_ins):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(stand_ins.federated_token())
        file.flush()
        use(
            stand_ins,
            WorkloadIdentityCredential(
                client_id=stand_ins.client_id, token_file_path=file.name, **at(stand_ins)
            ),
        )


def managed_identity_of_a_virtual_machine(stand_ins):
    with environment(AZURE_POD_IDENTITY_AUTHORITY_HOST=stand_ins.managed_identity):
        use(stand_ins, ManagedIdentityCredential())
        use(stand_ins, ManagedIdentityCredential(client_id=MANAGED_CLIENT_ID))


def managed_identity_of_app_service(stand_ins):
    with environment(
        IDENTITY_ENDPOINT=stand_ins.app_service, IDENTITY_HEADER=stand_ins.identity_header
    ):
        use(stand_ins, ManagedIdentityCredential())
        use(stand_ins, ManagedIdentityCredential(client_id=MANAGED_CLIENT_ID))


def device_code(stand_ins):
    def enter(_link, user_code, _ends):
        stand_ins.control("device", {"user_code": user_code, "user": stand_ins.user})

    use(
        stand_ins,
        DeviceCodeCredential(
            client_id=stand_ins.public_client_id, prompt_callback=enter, **at(stand_ins)
        ),
        USER,
    )


def browser(stand_ins):
    use(
        stand_ins,
        InteractiveBrowserCredential(
            client_id=stand_ins.public_client_id, timeout=60, **at(stand_ins)
        ),
        USER,
    )


# Those that a proxy which answers token requests has to pass as well.
ANYWHERE = [
    secret,
    certificate,
    environment_of_a_secret,
    workload_identity,
    managed_identity_of_a_virtual_machine,
    managed_identity_of_app_service,
]

CHECKS = ANYWHERE + [
    device_code,
    browser,
]
