"""MSAL and azure-identity, as they come from PyPI, sign in against the sandbox and use their tokens.

Needs the packages of requirements.txt, and the program for its argument. Prints a line for each check; ends with 1 when one
fails.
"""

import os
import sys
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


def main():
    # The libraries advise against some of what they can do; it is checked all the same.
    warnings.simplefilter("ignore")
    failed = 0
    with programs.stand_ins() as stand_ins:
        # `requests` lets this variable overrule what a library is told, so it has to be right.
        os.environ["REQUESTS_CA_BUNDLE"] = stand_ins.ca
        os.environ.pop("CURL_CA_BUNDLE", None)
        browser.install(stand_ins.user)
        for library in [with_msal, with_azure_identity]:
            for check in library.CHECKS:
                failed += not passed(f"{library.__name__}.{check.__name__}", check, stand_ins)
    if failed:
        sys.exit(f"{failed} of the checks failed")


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
