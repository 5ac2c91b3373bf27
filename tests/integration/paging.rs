//! A client that follows links from the first page to the last stays inside the proxy and misses nothing.

use std::{collections::HashSet, io::Read};

use flate2::read::GzDecoder;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};

use crate::support::{self, Answer, PATIENCE, PlainClient, Proxy, Upstreams};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_followed_through_the_proxy_with_global_links() {
    every_list_whoever_asks("global").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_followed_through_the_proxy_with_regional_links() {
    every_list_whoever_asks("regional").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_followed_through_the_proxy_with_legacy_links() {
    every_list_whoever_asks("legacy").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_followed_through_the_proxy_when_links_name_the_upstream_itself() {
    every_list_whoever_asks("self").await;
}

/// Whatever size a client asks for: the links come at the end of megabytes that stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_export_is_followed_to_its_last_record() {
    let (_upstreams, proxy) = support::start().await;
    let list = List {
        first: "/api/machines/SoftwareVulnerabilitiesByMachine?sandboxRecords=9000&pageSize=4000",
        records: 9000,
        pages: 3,
        id: "id",
    };
    let asks = Asks {
        client: &proxy.client,
        origin: &proxy.url,
        encoding: Some("gzip"),
    };
    asks.follow(&list).await;
}

/// A page may come in pieces of any size, with pauses: nothing is lost where a link is cut in two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_trickle_are_followed_too() {
    let (upstreams, proxy) = support::start().await;
    upstreams
        .faults(json!({
            "settings": {"page_size": 100, "gzip": false},
            "api": [{"slow_body_ms": 5, "times": "always"}],
        }))
        .await;
    let asks = Asks {
        client: &proxy.client,
        origin: &proxy.url,
        encoding: None,
    };
    asks.follow(&MACHINES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_stay_as_they_are_where_rewriting_is_off() {
    let upstreams = Upstreams::start().await;
    let config = upstreams.config()
        + "\n[[route]]\nprefix = \"/\"\napi = \"defender\"\nrewrite_links = false\n";
    let proxy = Proxy::start(&upstreams, &config);
    for (target, host) in [
        ("/api/incidents", "https://api.security.microsoft.com/"),
        ("/v1.0/security/incidents", "https://graph.microsoft.com/"),
    ] {
        let page = proxy.get(target).await.json();
        for field in ["@odata.nextLink", "@odata.context"] {
            let link = page[field].as_str().unwrap();
            assert!(link.starts_with(host), "{target}: {field} {link}");
        }
    }
}

/// Only what is the client's own may be named: a listed host, with the case that the client wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_names_the_host_that_the_client_named() {
    let upstreams = Upstreams::start().await;
    let config = format!(
        "{}\n[listen]\nallowed_hosts = [\"soc.contoso.example\"]\n",
        upstreams.config()
    );
    let proxy = Proxy::start(&upstreams, &config);
    for host in [
        "soc.contoso.example",
        "soc.contoso.example:8443",
        "SOC.Contoso.Example",
        "[::1]:1",
    ] {
        let answer = proxy
            .raw(format!(
                "GET /api/incidents HTTP/1.0\r\nHost: {host}\r\n\r\n"
            ))
            .await;
        let link = format!("\"@odata.nextLink\":\"http://{host}/api/incidents?$skip=100\"");
        assert!(answer.contains(&link), "{host}: {}", &answer[..600]);
    }
}

/// The five lists, by four kinds of client, under both names of the proxy.
async fn every_list_whoever_asks(links: &str) {
    let (upstreams, proxy) = support::start().await;
    upstreams
        .settings(json!({"links": links, "page_size": 70}))
        .await;
    let h2c: PlainClient = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let named = proxy.url.replace("127.0.0.1", "localhost");
    assert_ne!(named, proxy.url);
    for (client, encoding, origin) in [
        (&proxy.client, None, &named),
        (&proxy.client, Some("gzip"), &proxy.url),
        (&h2c, None, &proxy.url),
        (&h2c, Some("gzip, br"), &named),
    ] {
        let asks = Asks {
            client,
            origin,
            encoding,
        };
        for list in LISTS {
            asks.follow(&list).await;
        }
    }
}

const MACHINES: List = List {
    first: "/api/machines",
    records: 200,
    pages: 2,
    id: "id",
};

/// With 70 records to a page; the export has a page size of its own.
const LISTS: [List; 5] = [
    List {
        first: "/api/incidents",
        records: 300,
        pages: 5,
        id: "incidentId",
    },
    List {
        pages: 3,
        ..MACHINES
    },
    List {
        first: "/api/v1.0/Alerts?$filter=severity%20ne%20'None'",
        records: 1000,
        pages: 15,
        id: "id",
    },
    List {
        first: "/v1.0/security/incidents",
        records: 300,
        pages: 5,
        id: "id",
    },
    List {
        first: "/api/machines/SoftwareVulnerabilitiesByMachine?sandboxRecords=130&pageSize=50",
        records: 130,
        pages: 3,
        id: "id",
    },
];

struct List {
    first: &'static str,
    records: usize,
    pages: usize,
    id: &'static str,
}

/// A client, and how it asks.
struct Asks<'a> {
    client: &'a PlainClient,
    origin: &'a str,
    encoding: Option<&'a str>,
}

impl Asks<'_> {
    /// Follows a list to its end: every record once, and never a link to elsewhere.
    async fn follow(&self, list: &List) {
        let mut ids = HashSet::new();
        let mut records = 0;
        let mut next = Some(format!("{}{}", self.origin, list.first));
        let mut pages = 0;
        while let Some(url) = next {
            assert!(
                pages < list.pages,
                "{}: {pages} pages and then {url}",
                list.first
            );
            pages += 1;
            let page = self.page(&url).await;
            self.names_only_us(&page, list.first);
            for record in page["value"].as_array().expect("a list") {
                records += 1;
                ids.insert(record[list.id].to_string());
            }
            next = page["@odata.nextLink"].as_str().map(str::to_owned);
        }
        assert_eq!(records, list.records, "{}", list.first);
        assert_eq!(
            ids.len(),
            list.records,
            "{}: a record came twice",
            list.first
        );
        assert_eq!(pages, list.pages, "{}", list.first);
    }

    async fn page(&self, url: &str) -> Value {
        let mut request = Request::get(url);
        if let Some(encoding) = self.encoding {
            request = request.header("accept-encoding", encoding);
        }
        let request = self.client.request(request.body(Full::default()).unwrap());
        let response = tokio::time::timeout(PATIENCE, request)
            .await
            .expect("no hang");
        let answer = Answer::read(response.expect("an answer")).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        decoded(&answer, self.encoding)
    }

    /// Every control field of a page leads to the origin that was called.
    fn names_only_us(&self, page: &Value, list: &str) {
        let own = format!("{}/", self.origin);
        let fields = page.as_object().unwrap().iter();
        let links: Vec<_> = fields
            .filter(|(name, _)| name.contains("@odata.") && *name != "@odata.count")
            .collect();
        assert!(!links.is_empty(), "{list}");
        for (name, link) in links {
            let link = link.as_str().unwrap();
            assert!(link.starts_with(&own), "{list}: {name} leads to {link}");
        }
    }
}

/// The JSON of an answer, which must be in a coding that was asked for.
fn decoded(answer: &Answer, encoding: Option<&str>) -> Value {
    match answer.header("content-encoding") {
        "" => answer.json(),
        "gzip" => {
            assert!(encoding.is_some(), "gzip for who can't read it");
            let mut text = Vec::new();
            GzDecoder::new(&answer.body[..])
                .read_to_end(&mut text)
                .unwrap();
            serde_json::from_slice(&text).unwrap()
        }
        other => panic!("{other}"),
    }
}
