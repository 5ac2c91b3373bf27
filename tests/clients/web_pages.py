"""What web pages can do to a proxy on their user's machine: tried in headless Chromium.

Needs Chromium, openssl, and the program for its argument; nothing but Python's standard library. Pages of several origins try
every way of theirs to send a request, on every way to write the proxy's address. For each way: how often it reached the proxy
(or else the browser did the work, and nothing was tested), how often it reached the APIs, and how often the page learned
something. Ends with 1 unless the last two are 0.
"""

import collections
import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

PROGRAM = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 240
ONLY = sys.argv[2:]
CUSTOMER = "5a9db0c5-0000-4000-8000-000000000002"
OTHER = "5a9db0c5-0000-4000-8000-000000000003"
# Chromium would keep some requests to this machine to itself, or ask the user. Other browsers don't, so neither shall this one.
LENIENT = [
    "LocalNetworkAccessChecks",
    "LocalNetworkAccessChecksWebSockets",
    "LocalNetworkAccessChecksWebRTC",
    "BlockInsecurePrivateNetworkRequests",
    "BlockInsecurePrivateNetworkRequestsFromPrivate",
    "BlockInsecurePrivateNetworkRequestsForNavigations",
    "PrivateNetworkAccessSendPreflights",
    "PrivateNetworkAccessRespectPreflightResults",
    "PrivateNetworkAccessForNavigations",
    "PrivateNetworkAccessForWorkers",
    "PrivateNetworkAccessNullIpAddress",
    "HttpsUpgrades",
    "HttpsFirstBalancedMode",
    "OptimizationHints",
    "MediaRouter",
]


class Server(http.server.ThreadingHTTPServer):
    """Serves the attackers' pages. With `relay`, everything else goes on to the proxy at that port, as if the name had been
    pointed there meanwhile."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address, relay=None):
        super().__init__(address, Pages)
        self.relay = relay
        self.home = None
        self.plan = {}
        self.found = {}
        self.done = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Browsers hang up often."""


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *_):
        pass

    def do(self):
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        own = getattr(self, "page_" + path.strip("/").replace(".", "_"), None)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if own:
            own(query, body)
        elif self.server.relay:
            self.relay(body)
        else:
            self.answer("", code=404)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = do

    def answer(self, body, code=200, kind="text/html", **fields):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def relay(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.relay, timeout=10)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        self.answer(answer.read(), answer.status, answer.getheader("Content-Type", ""))
        connection.close()

    def page_start(self, *_):
        """Opens a window for each of the pages."""
        urls = json.dumps([plan["url"] for plan in self.server.plan.values()])
        self.answer(f"<script>for (const url of {urls}) open(url, '_blank', 'noopener,popup')</script>")

    def page_attack(self, query, _):
        plan = self.server.home.plan[query["page"]]
        home = f"http://localhost:{self.server.home.server_port}"
        told = json.dumps({"page": query["page"], "targets": plan["targets"], "home": home})
        self.answer(f"<body><script src=/attacks.js></script><script>run({told})</script>")

    def page_good(self, query, _):
        """A page that is listed: what it asks for, it gets. Also with a preflight."""
        script = """
            const ask = (options) => fetch(URL, options).then(async (a) => `${a.status}` + (await a.text())).catch(String);
            (async () => {
                const all = [await ask({}), await ask({ headers: { 'X-Mine': '1' } }), await ask({ method: 'HEAD' })];
                await fetch('HOME/found?page=good', { method: 'POST', mode: 'no-cors', body: JSON.stringify(all) });
            })();
        """
        home = f"http://localhost:{self.server.home.server_port}"
        self.answer(f"<script>{script.replace('URL', repr(query['to'])).replace('HOME', home)}</script>")

    def page_found(self, query, body):
        home = self.server.home
        home.found[query["page"]] = json.loads(body)
        if len(home.found) == len(home.plan):
            home.done.set()
        self.answer("")

    def page_attacks_js(self, *_):
        self.file("attacks.js")

    def page_worker_js(self, *_):
        self.file("worker.js")

    def file(self, name):
        with open(f"{HERE}/pages/{name}", "rb") as file:
            self.answer(file.read(), kind="text/javascript")

    def page_redirect(self, query, _):
        self.answer("", int(query["code"]), Location=query["to"], Access_Control_Allow_Origin="*")

    def page_refresh(self, query, _):
        self.answer("", Refresh=f"0;url={query['to']}")

    def page_link(self, query, _):
        self.answer("<p>", Link=f"<{query['to']}>; rel=preload; as=image")

    def page_report(self, query, _):
        policy = f"default-src 'none'; report-uri {query['to']}"
        self.answer("<img src=/forbidden.png>", Content_Security_Policy=policy)


class StandIns:
    """Where the stand-ins are, from the proxy.toml that they print."""

    def __init__(self, printed):
        self.config = printed
        self.url = re.search(r'defender_xdr = "(.*)"', printed).group(1)
        self.trust = ssl.create_default_context(cafile=re.search(r'\nca = "(.*)"', printed).group(1))

    def requests(self):
        with urllib.request.urlopen(f"{self.url}/_sandbox/requests", context=self.trust) as answer:
            return json.load(answer)["requests"]

    def reached(self):
        """How often each attack reached the APIs."""
        return count(request["target"] for request in self.requests() if request["listener"] != "entra")

    def for_customers(self):
        kind = re.sub(
            r'kind = "application"\ntenant = ".*"',
            f'kind = "partner"\ncustomers = {{ contoso = "{CUSTOMER}", fabrikam = "{OTHER}" }}',
            self.config,
        )
        assert kind != self.config
        return kind


class Proxy:
    def __init__(self, printed, log):
        self.url = printed.splitlines()[-1].removeprefix("listening on ")
        self.port = int(self.url.rsplit(":", 1)[1])
        self.log = log

    def arrived(self):
        with open(self.log) as log:
            return count(log)


def count(texts):
    """How often each attack is named."""
    names = (re.search(r"[?&]search=([^&\s\"]+)", text) for text in texts)
    return collections.Counter(urllib.parse.unquote_plus(name.group(1)) for name in names if name)


@contextlib.contextmanager
def running(*arguments, ready, log=os.devnull):
    """The program; yields what it printed up to the line that starts with `ready`."""
    with open(log, "w") as errors:
        process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith(ready):
                break
        else:
            sys.exit(f"{arguments} ended with {process.wait()}: {open(log).read()}")
        yield printed
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def proxy(folder, name, listen, config):
    path, log = f"{folder}/{name}.toml", f"{folder}/{name}.log"
    with open(path, "w") as file:
        file.write(f"[listen]\n{listen}\n{config}")
    with running("serve", "--config", path, ready="listening on ", log=log) as printed:
        yield Proxy(printed, log)


def chromium(folder, *arguments):
    """The command, with a profile of its own."""
    names = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not names:
        sys.exit("no Chromium: apt-get install chromium")
    names_of_pages = {"evil.example": "127.0.0.1", "listed.example": "127.0.0.1", "rebind.example": "127.0.0.2"}
    rules = [f"MAP {name} {address}" for name, address in names_of_pages.items()]
    return [
        names,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--no-default-browser-check",
        "--no-proxy-server",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-extensions",
        "--disable-sync",
        "--disable-popup-blocking",
        "--disable-background-timer-throttling",
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        "--ignore-certificate-errors",
        "--autoplay-policy=no-user-gesture-required",
        "--disable-features=" + ",".join(LENIENT),
        "--host-resolver-rules=" + ", ".join(rules),
        f"--user-data-dir={tempfile.mkdtemp(dir=folder)}",
        *arguments,
    ]


def address_bar(folder, url):
    """What a user sees who types a URL."""
    command = chromium(folder, "--dump-dom", url)
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout


def attack(folder, home):
    """Opens all the pages, and waits until the last has told what it learned."""
    with open(f"{folder}/chromium.log", "w") as log:
        browser = subprocess.Popen(
            chromium(folder, f"http://localhost:{home.server_port}/start"), stdout=log, stderr=log
        )
    try:
        if not home.done.wait(PATIENCE):
            missing = sorted(set(home.plan) - set(home.found))
            sys.exit(f"no findings of {missing}: {open(f'{folder}/chromium.log').read()[-2000:]}")
        # What is sent when a page has gone (beacons, reports) may come a moment later; there is no event for it.
        time.sleep(1)
    finally:
        browser.terminate()
        browser.wait()


def certificate(folder):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-out", f"{folder}/tls.pem", "-keyout", f"{folder}/tls.key"]
    subprocess.run(command.split() + files, check=True, stderr=subprocess.DEVNULL)
    os.chmod(f"{folder}/tls.key", 0o600)
    return 'tls = { cert = "tls.pem", key = "tls.key" }\n'


def plan(home, proxies):
    """Which pages attack which ways to write the proxies' addresses."""
    plain, login, six, tls, customers = (proxies[name].port for name in ("plain", "login", "six", "tls", "customers"))
    full = {
        "localhost": f"http://localhost:{plain}",
        "stand_in_login": f"http://localhost:{login}",
        "TLS": f"https://localhost:{tls}",
        "customer": f"http://contoso.localhost:{customers}",
    }
    short = {
        "127.0.0.1": f"http://127.0.0.1:{plain}",
        "127.1": f"http://127.1:{plain}",
        "decimal": f"http://2130706433:{plain}",
        "hex": f"http://0x7f.0.0.1:{plain}",
        "0.0.0.0": f"http://0.0.0.0:{plain}",
        "0": f"http://0:{plain}",
        "localhost.": f"http://localhost.:{plain}",
        "any.localhost": f"http://any.localhost:{plain}",
        "v4 as v6": f"http://[::ffff:127.0.0.1]:{plain}",
        "[::1]": f"http://[::1]:{six}",
        "other name": f"http://evil.example:{plain}",
    }
    def targets(*tried_in_full):
        rebound = {"rebound": f"http://rebind.example:{plain}"} if "rebound" in tried_in_full else {}
        everywhere = rebound or "localhost" in tried_in_full
        bases = rebound | full | (short if everywhere else {})
        return {name: {"base": base, "full": name in tried_in_full} for name, base in bases.items()}

    origins = {
        "same-site": (f"http://localhost:{home}", ["localhost"]),
        "address": (f"http://127.0.0.1:{home}", ["stand_in_login"]),
        "cross-site": (f"http://evil.example:{home}", ["localhost"]),
        "other-customer": (f"http://fabrikam.localhost:{home}", ["customer"]),
        "rebinding": (f"http://rebind.example:{plain}", ["rebound"]),
        # Listed by another of the proxies alone.
        "listed-elsewhere": (f"http://listed.example:{home}", ["TLS"]),
    }
    return {
        page: {"url": f"{origin}/attack?page={page}&home={home}", "targets": targets(*tried_in_full)}
        for page, (origin, tried_in_full) in origins.items()
        if not ONLY or page in ONLY
    }


def harmless(page, learned):
    """Nothing, or what the proxy says to a page that reaches it by a name of its own: that this is no name of the proxy's."""
    own = page == "rebinding" and ('"status":421' in learned.replace(" ", "") or learned == "421")
    return not learned or own


def report(home, arrived, reached):
    """Prints the table; tells how many faults there are."""
    tables = [collections.defaultdict(collections.Counter) for _ in ("page", "target", "attack")]
    for page, results in home.found.items():
        for name, learned in results if page != "good" else []:
            read = not harmless(page, learned)
            if read or reached[name]:
                print(f"FAILED {name}: reached upstream {reached[name]} times, the page learned {learned[:200]!r}")
            for table, key in zip(tables, name.split("~")):
                # A counter's sum would drop what is 0.
                table[key].update(tried=1, arrived=arrived[name], reached=reached[name], read=read)
    for title, table in zip(("page", "address", "attack"), tables):
        show(title, table)
    total = sum(tables[0].values(), collections.Counter())
    show("all", {"": total})
    return total["reached"] + total["read"] + unsent(tables)


def show(title, table):
    print(f"\n{title:40}  tried  at the proxy  reached upstream  readable")
    for key, row in table.items():
        print(f"{key:40} {row['tried']:6} {row['arrived']:13} {row['reached']:17} {row['read']:9}")


def unsent(tables):
    """Tells how many pages and addresses got nothing through to the proxy, or whether too many attacks didn't: then nothing
    was tested."""
    pages, addresses, attacks = ([key for key, row in table.items() if not row["arrived"]] for table in tables)
    print("\nnever sent by the browser:", ", ".join(attacks) or "none")
    return len(pages) + len(addresses) + (len(attacks) > len(tables[2]) // 10)


def welcome(folder, home, proxies, stand_ins):
    """What has to work all the same; tells how much doesn't."""
    faults = 0
    for name, path in [("plain", "/"), ("login", "/"), ("tls", "/"), ("customers", "/t/contoso/")]:
        url = proxies[name].url.replace("127.0.0.1", "localhost")
        seen = address_bar(folder, f"{url}{path}api/incidents")
        faults += not said(f"the address bar, {name}", "incidentId" in seen, seen)
    asked = home.found["good"]
    faults += not said("a listed page reads", asked[0].startswith("200") and "incidentId" in asked[0], asked[0])
    faults += not said("… after a preflight", asked[1].startswith("200") and "incidentId" in asked[1], asked[1])
    faults += not said("… by HEAD", asked[2] == "200", asked[2])
    return faults


def said(what, holds, instead):
    print("ok" if holds else "FAILED", what, "" if holds else instead[:300])
    return holds


def main():
    start = time.monotonic()
    home = Server(("127.0.0.1", 0))
    home.home = home
    local = 'address = "127.0.0.1:0"\n'
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        ready = stack.enter_context(running("sandbox", "--upstreams-only", ready="# listening on "))
        stand_ins = StandIns(ready)
        origins = f'allowed_origins = ["http://listed.example:{home.server_port}"]\n'
        listens = {
            "plain": (local, stand_ins.config),
            "login": (local + "stand_in_login = true\n", stand_ins.config),
            "six": ('address = "[::1]:0"\n', stand_ins.config),
            "tls": (local + certificate(folder), stand_ins.config),
            "customers": (local, stand_ins.for_customers()),
            "listing": (local + origins, stand_ins.config),
        }
        proxies = {name: stack.enter_context(proxy(folder, name, *how)) for name, how in listens.items()}
        rebinding = Server(("127.0.0.2", proxies["plain"].port), relay=proxies["plain"].port)
        rebinding.home = home
        home.plan = plan(home.server_port, proxies)
        to = urllib.parse.quote(f"http://localhost:{proxies['listing'].port}/api/incidents")
        home.plan["good"] = {"url": f"http://listed.example:{home.server_port}/good?to={to}"}
        attack(folder, home)
        arrived = sum((proxy.arrived() for proxy in proxies.values()), collections.Counter())
        faults = report(home, arrived, stand_ins.reached())
        faults += welcome(folder, home, proxies, stand_ins)
    print(f"{faults} faults, {time.monotonic() - start:.0f} s")
    sys.exit(min(faults, 1))


main()
