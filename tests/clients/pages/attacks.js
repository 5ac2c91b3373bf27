// What a web page can try with a URL of the proxy. Each attack gives the text that the page has learned: none, if all is well.

const JSON_TYPE = { "Content-Type": "application/json" };

/// The text of an answer, as far as the page may read it.
const text = (options) => async (url) => {
  const answer = await fetch(url, options);
  return (answer.type === "opaque" ? "" : `${answer.status}`) + (await answer.text());
};

const xhr = (method, credentials) => (url) =>
  new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.withCredentials = credentials;
    request.onload = () => done(request.responseText);
    request.onerror = () => done("");
    request.send(method === "POST" ? "Query=1" : null);
  });

function put(tag, attributes) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  return element;
}

/// An element that says whether it got something it could use.
const element = (tag, attribute, more = {}) => (url) =>
  new Promise((done) => {
    const made = put(tag, { [attribute]: url, ...more });
    made.onload = made.onloadeddata = () => done("loaded");
    made.onerror = () => done("");
    (tag === "link" ? document.head : document.body).append(made);
  });

/// What a frame holds, as far as its page may look.
function inside(frame) {
  try {
    return frame.contentDocument?.documentElement?.textContent ?? "";
  } catch {
    return "";
  }
}

function loaded(frame) {
  return new Promise((done) => {
    frame.onload = () => done(inside(frame));
    document.body.append(frame);
  });
}

const frame = (more = {}) => (url) => loaded(put("iframe", { src: url, ...more }));

const markup = (html) => async (url) => {
  await loaded(put("iframe", { srcdoc: html.replaceAll("URL", url) }));
  await pause();
  return "";
};

let forms = 0;
const form = (method, enctype, more = {}) => (url) => {
  const name = `form-${(forms += 1)}`;
  const made = put("form", { action: url, method, enctype, target: name, ...more });
  // A GET's own query takes the place of the action's.
  const get = { name: "search", value: new URL(url, location).searchParams.get("search") };
  made.append(put("input", method === "GET" ? get : { name: '{"Query":"', value: 'DeviceInfo"}' }));
  document.body.append(made);
  return new Promise((done) => {
    const into = put("iframe", { name });
    document.body.append(into);
    into.onload = () => done(inside(into));
    made.submit();
  });
};

/// A window of its own: a navigation of the top level, which frames can't forbid.
const popup = (features) => async (url) => {
  const opened = open(url, "_blank", features);
  const here = opened?.location.href;
  try {
    // Where it has gone to another origin, looking throws.
    for (let tries = 0; tries < 60; tries += 1) {
      await pause(50);
      const { readyState, body } = opened.document;
      const gone = opened.location.href !== here && !opened.location.href.startsWith("blob:");
      if (gone && readyState === "complete") return body.innerText;
    }
    return "";
  } catch {
    return "";
  } finally {
    opened?.close();
  }
};

/// The same, by a page of ours that goes there.
const passage = (html) => (url) =>
  popup()(URL.createObjectURL(new Blob([html.replaceAll("URL", url)], { type: "text/html" })));

/// A page without an origin, which tells its parent what it learned.
const opaque = (options) => (url) =>
  new Promise((done) => {
    const learn = `fetch(${JSON.stringify(url)}, ${JSON.stringify(options)}).then((a) => a.text())`;
    const html = `<script>${learn}.catch(() => "").then((t) => parent.postMessage([${JSON.stringify(url)}, t], "*"))</script>`;
    addEventListener("message", ({ data }) => data[0] === url && done(data[1]));
    const data = `data:text/html,${encodeURIComponent(html)}`;
    const how = options.data ? { src: data } : { sandbox: "allow-scripts", srcdoc: html };
    document.body.append(put("iframe", how));
  });

const styled = (rule) => async (url) => {
  const style = document.createElement("style");
  style.textContent = rule.replaceAll("URL", url);
  document.head.append(style);
  document.body.append(put("p", { class: "styled" }));
  await pause();
  return "";
};

const rules = (kind) => async (url) => {
  const script = put("script", { type: "speculationrules" });
  script.textContent = JSON.stringify({ [kind]: [{ source: "list", urls: [url], eagerness: "immediate" }] });
  document.head.append(script);
  await pause();
  return "";
};

const socket = (url) =>
  new Promise((done) => {
    const made = new WebSocket(url.replace(/^http/, "ws"));
    made.onopen = () => done("opened");
    made.onerror = () => done("");
  });

const events = (credentials) => (url) =>
  new Promise((done) => {
    const source = new EventSource(url, { withCredentials: credentials });
    source.onopen = () => done("opened");
    source.onerror = () => done(source.close() ?? "");
  });

const worker = (url) =>
  new Promise((done) => {
    const made = new Worker("/worker.js");
    made.onmessage = ({ data }) => done(data);
    made.onerror = () => done("");
    made.postMessage(url);
  });

const blobWorker = (url) =>
  new Promise((done) => {
    const script = `fetch(${JSON.stringify(url)}).then((a) => a.text()).catch(() => "").then(postMessage)`;
    const made = new Worker(URL.createObjectURL(new Blob([script])));
    made.onmessage = ({ data }) => done(data);
  });

async function serviceWorker(url) {
  // Only pages of this machine, and those over TLS, have them.
  if (!navigator.serviceWorker) return "";
  await navigator.serviceWorker.register("/worker.js");
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  active.postMessage(url, [port2]);
  return new Promise((done) => (port1.onmessage = ({ data }) => done(data)));
}

async function click(url, attributes) {
  const link = put("a", attributes(url));
  document.body.append(link);
  link.click();
  await pause();
  return "";
}

/// The browser's own sign-in asks the address that the page names.
const identity = async (url) => {
  await navigator.credentials.get({ identity: { providers: [{ configURL: url, clientId: "1" }] } });
  return "signed in";
};

/// And so does its till.
const payment = async (url) => {
  const total = { label: "x", amount: { currency: "EUR", value: "1" } };
  return (await new PaymentRequest([{ supportedMethods: url }], { total }).canMakePayment()) ? "can pay" : "";
};

const beacon = (body) => async (url) => {
  navigator.sendBeacon(url, body);
  await pause();
  return "";
};

/// A link of this server that leads on to the URL.
const via = (code, attack, host = "") => (url) =>
  attack(`${host}/redirect?${new URLSearchParams({ code, to: url })}`);
const elsewhere = `http://evil.example:${location.search.match(/home=(\d+)/)[1]}`;

const FULL = {
  "fetch": text(),
  "fetch no-cors": text({ mode: "no-cors" }),
  "fetch no-cors, no referrer": text({ mode: "no-cors", referrerPolicy: "no-referrer" }),
  "fetch same-origin": text({ mode: "same-origin" }),
  "fetch with credentials": text({ credentials: "include" }),
  "fetch no-cors with credentials": text({ mode: "no-cors", credentials: "include" }),
  "fetch with Authorization": text({ headers: { Authorization: "Basic eDpvcGVu" } }),
  "fetch with X-Defender-Tenant": text({ headers: { "X-Defender-Tenant": "contoso" } }),
  "fetch with X-Proxy-Key": text({ headers: { "X-Proxy-Key": "open" } }),
  "fetch keepalive": text({ keepalive: true, mode: "no-cors" }),
  "fetch cached": text({ cache: "only-if-cached", mode: "same-origin" }),
  "fetch HEAD": text({ method: "HEAD", mode: "no-cors" }),
  "fetch OPTIONS": text({ method: "OPTIONS" }),
  "fetch PUT": text({ method: "PUT", body: "{}", headers: JSON_TYPE }),
  "fetch PATCH": text({ method: "PATCH", body: "{}", headers: JSON_TYPE }),
  "fetch DELETE": text({ method: "DELETE" }),
  "fetch POST of JSON": text({ method: "POST", body: "{}", headers: JSON_TYPE }),
  "fetch POST of text": text({ method: "POST", body: "{}", mode: "no-cors" }),
  "fetch POST of a form": text({ method: "POST", body: new URLSearchParams({ a: 1 }), mode: "no-cors" }),
  "XHR": xhr("GET", false),
  "XHR with credentials": xhr("GET", true),
  "XHR POST": xhr("POST", true),
  "beacon": beacon("{}"),
  "beacon of a form": beacon(new FormData()),
  "beacon of JSON": beacon(new Blob(["{}"], { type: "application/json" })),
  "img": element("img", "src"),
  "img of CORS": element("img", "src", { crossorigin: "use-credentials" }),
  "script": element("script", "src"),
  "module": element("script", "src", { type: "module" }),
  "import()": (url) => import(url).then(() => "loaded"),
  "link stylesheet": element("link", "href", { rel: "stylesheet" }),
  "link icon": element("link", "href", { rel: "icon" }),
  "link manifest": element("link", "href", { rel: "manifest" }),
  "link prefetch": element("link", "href", { rel: "prefetch" }),
  "link preload": element("link", "href", { rel: "preload", as: "script" }),
  "link modulepreload": element("link", "href", { rel: "modulepreload" }),
  "video": element("video", "src", { preload: "auto", autoplay: "", muted: "" }),
  "audio": element("audio", "src", { preload: "auto", autoplay: "", muted: "" }),
  "object": element("object", "data"),
  "embed": async (url) => (document.body.append(put("embed", { src: url })), await pause(), ""),
  "track": markup('<video crossorigin autoplay muted><track default src="URL"></video><script>document.querySelector("track").track.mode = "showing"</script>'),
  "input image": markup('<input type="image" src="URL">'),
  "SVG image": markup('<svg><image href="URL" width="9" height="9"></image></svg>'),
  "CSS url": styled(".styled { background: url(URL) }"),
  "CSS font": styled("@font-face { font-family: f; src: url(URL) } .styled::after { font: 9px f; content: 'x' }"),
  "CSS import": styled("@import url(URL);"),
  "iframe": frame(),
  "iframe sandboxed": frame({ sandbox: "allow-scripts allow-forms" }),
  "iframe without referrer": frame({ referrerpolicy: "no-referrer" }),
  "iframe credentialless": frame({ credentialless: "" }),
  "meta refresh in a frame": markup('<meta http-equiv="refresh" content="0;url=URL">'),
  "form GET": form("GET", ""),
  "form POST": form("POST", "application/x-www-form-urlencoded"),
  "form POST multipart": form("POST", "multipart/form-data"),
  "form POST text/plain": form("POST", "text/plain"),
  "form POST without referrer": form("POST", "text/plain", { rel: "noreferrer" }),
  "window.open": popup(),
  "window.open without opener": async (url) => (open(url, "_blank", "noopener,noreferrer"), await pause(), ""),
  "window and meta refresh": passage('<meta http-equiv="refresh" content="0;url=URL">'),
  "window and location": passage('<script>location = "URL"</script>'),
  "window and history": passage('<script>history.pushState(0, ""); location.replace("URL")</script>'),
  "window and form": passage('<form method="POST" action="URL"></form><script>document.forms[0].submit()</script>'),
  "a ping": (url) => click(url, (url) => ({ href: "#here", ping: url })),
  "a target": (url) => click(url, (url) => ({ href: url, target: "_blank", rel: "noreferrer" })),
  "a download": (url) => click(url, (url) => ({ href: url, download: "x", target: "_blank" })),
  "prefetch rules": rules("prefetch"),
  "prerender rules": rules("prerender"),
  "WebSocket": socket,
  "EventSource": events(false),
  "EventSource with credentials": events(true),
  "worker": worker,
  "worker of a blob": blobWorker,
  "service worker": serviceWorker,
  "FedCM": identity,
  "PaymentRequest": payment,
  "sandboxed page": opaque({}),
  "sandboxed page, no-cors": opaque({ mode: "no-cors" }),
  "data: page": opaque({ data: true }),
  "data: page, no-cors": opaque({ data: true, mode: "no-cors" }),
  "302, fetch": via(302, text()),
  "302, fetch no-cors": via(302, text({ mode: "no-cors" })),
  "302, img": via(302, element("img", "src")),
  "302, iframe": via(302, frame()),
  "302, window": via(302, popup()),
  "302 of another site, img": via(302, element("img", "src"), elsewhere),
  "302 of another site, fetch no-cors": via(302, text({ mode: "no-cors" }), elsewhere),
  "302 of another site, window": via(302, popup(), elsewhere),
  "307, fetch POST": via(307, text({ method: "POST", body: "{}", mode: "no-cors" })),
  "307, form POST": via(307, form("POST", "text/plain")),
  "307 of another site, form POST": via(307, form("POST", "text/plain"), elsewhere),
  "Refresh field": (url) => frame()(`/refresh?${new URLSearchParams({ to: url })}`).then(pause).then(() => ""),
  "Link field": (url) => frame()(`/link?${new URLSearchParams({ to: url })}`).then(pause).then(() => ""),
  "CSP report": (url) => frame()(`/report?${new URLSearchParams({ to: url })}`).then(pause).then(() => ""),
};

// One of each kind, for the other ways to write the proxy's address.
const KINDS = ["fetch", "fetch no-cors", "fetch POST of text", "img", "script", "iframe", "form POST", "window.open", "WebSocket", "302, img"];

const pause = (time = 400) => new Promise((done) => setTimeout(done, time));
const late = () => new Promise((done) => setTimeout(done, 4000, ""));

/// Tries the attacks on every target, some at a time, and tells the server.
async function run({ page, targets, home }) {
  const jobs = Object.entries(targets).flatMap(([target, { base, full }]) =>
    (full ? Object.keys(FULL) : KINDS).map((attack) => ({ target, base, attack })),
  );
  const results = [];
  const work = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const id = [page, job.target, job.attack].join("~");
      const url = `${job.base}/api/incidents?search=${encodeURIComponent(id)}`;
      const tried = new Promise((done) => done(FULL[job.attack](url))).catch(() => "");
      results.push([id, String(await Promise.race([tried, late()]))]);
    }
  };
  await Promise.all(Array.from({ length: 12 }, work));
  await fetch(`${home}/found?page=${page}`, { method: "POST", mode: "no-cors", body: JSON.stringify(results) });
}
