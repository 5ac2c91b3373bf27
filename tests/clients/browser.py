"""A browser for the libraries: it opens a link, signs alice in without a click and follows where the stand-in leads."""

import threading
import webbrowser

import requests


class SandboxBrowser(webbrowser.BaseBrowser):
    """Opens links at once, as the user."""

    def __init__(self, user):
        super().__init__("sandbox")
        self.user = user

    def open(self, url, new=0, autoraise=True):
        # The library that asks waits on its own port, so it must go on meanwhile.
        link = signed_in(url, self.user)
        threading.Thread(target=requests.get, args=(link,), daemon=True).start()
        return True


def signed_in(url, user):
    """The link that a click of `user` leads to."""
    return f"{url}&sandbox_user={user}"


def install(user):
    """Makes it the only browser."""
    webbrowser.register("sandbox", None, SandboxBrowser(user), preferred=True)
