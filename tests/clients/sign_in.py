"""MSAL and azure-identity, as they come from PyPI, sign in: against the sandbox, and against a proxy with `stand_in_login`
that they know nothing of.

Needs the packages of requirements.txt, and the program for its argument. Prints a line for each check; ends with 1 when one
fails.
"""

import os
import sys
import tempfile
import time
import traceback
import warnings

# What a machine may have set would lead the libraries elsewhere, or lend them credentials.
for name in list(os.environ):
    if name.lower().endswith("_proxy") or name.startswith(("AZURE_", "IDENTITY_", "IMDS_", "MSI_")):
        del os.environ[name]

import browser
import programs
import with_azure_identity
import with_msal

LIBRARIES = [with_msal, with_azure_identity]


def main():
    # The libraries advise against some of what they can do; it is checked all the same.
    warnings.simplefilter("ignore")
    with programs.stand_ins() as stand_ins, tempfile.TemporaryDirectory() as folder:
        trust(folder, stand_ins.ca)
        browser.install(stand_ins.user)
        failed = directly(stand_ins)
        with programs.proxy(stand_ins, folder) as proxy:
            trust(folder, stand_ins.ca, f"{folder}/tls.pem")
            failed += through(proxy, stand_ins)
    if failed:
        sys.exit(f"{failed} of the checks failed")


def trust(folder, *certificates):
    """`requests` lets these variables overrule what a library is told, so they have to be right."""
    bundle = f"{folder}/trusted.pem"
    with open(bundle, "w") as out:
        for certificate in certificates:
            with open(certificate) as file:
                out.write(file.read())
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["CURL_CA_BUNDLE"] = bundle


def directly(stand_ins):
    return sum(
        not passed(f"{library.__name__}.{check.__name__}", check, stand_ins)
        for library in LIBRARIES
        for check in library.CHECKS
    )


def through(proxy, stand_ins):
    failed = sum(
        not passed(f"stand_in_login: {library.__name__}.{check.__name__}", check, proxy)
        for library in LIBRARIES
        for check in library.ANYWHERE
    )
    return failed + (not passed("stand_in_login: none of its tokens left", none_left, proxy, stand_ins))


def none_left(proxy, stand_ins):
    """No token that a client got from the proxy has reached a stand-in."""
    assert proxy.tokens
    seen = stand_ins.control("requests").text
    assert '"Bearer ' in seen
    for token in proxy.tokens:
        assert token not in seen, "a worthless token went upstream"


def passed(name, check, *arguments):
    start = time.monotonic()
    try:
        check(*arguments)
    except Exception:
        traceback.print_exc()
        print(f"FAILED {name}", flush=True)
        return False
    print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
    return True


main()
