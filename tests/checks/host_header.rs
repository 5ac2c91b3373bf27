//! Who is let in by `Host`, by the target's own authority, and by `Origin`.

use defender_proxy::guard::Guard;
use http::{
    Request,
    header::{HOST, ORIGIN},
};

/// Whatever is admitted names this machine or a listed host, and comes from no page but its own or a listed one.
pub(crate) fn host_header(request: Request<()>) {
    let guard = Guard::new(
        vec![HOST_LISTED.to_owned(), HOST_AND_PORT_LISTED.to_owned()],
        vec![PAGE_LISTED.to_owned()],
        None,
        false,
    );
    let values = |name: &str| -> Vec<String> {
        let values = request.headers().get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase())
            .collect()
    };
    let (hosts, pages, sites) = (
        values(HOST.as_str()),
        values(ORIGIN.as_str()),
        values("sec-fetch-site"),
    );
    let target = request
        .uri()
        .authority()
        .map(|target| target.as_str().to_lowercase());
    let shown = format!("{request:?}");
    if guard.admit(request).is_err() {
        return;
    }
    assert_eq!(hosts.len(), 1, "{shown}");
    assert!(
        hosts.iter().chain(&target).all(|host| is_ours(host)),
        "{shown}"
    );
    assert!(target.is_none_or(|target| target == hosts[0]), "{shown}");
    assert!(pages.len() <= 1, "{shown}");
    if pages.iter().any(|page| page == PAGE_LISTED) {
        return;
    }
    assert!(
        pages
            .iter()
            .all(|page| *page == format!("http://{}", hosts[0])),
        "{shown}"
    );
    assert!(
        sites
            .iter()
            .all(|site| site == "none" || site == "same-origin"),
        "{shown}"
    );
}

/// A loopback name or a listed one, with a port or without.
fn is_ours(text: &str) -> bool {
    if text == HOST_AND_PORT_LISTED {
        return true;
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        Some(_) | None => (text, "0"),
    };
    let octets: Vec<_> = host.split('.').collect();
    let is_number = |octet: &&str| {
        octet
            .parse::<u8>()
            .is_ok_and(|number| number.to_string() == **octet)
    };
    let is_127 = octets.len() == 4 && octets[0] == "127" && octets.iter().all(is_number);
    let known = is_127 || ["localhost", "[::1]", HOST_LISTED].contains(&host);
    known && port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

const HOST_LISTED: &str = "proxy.contoso.example";
const HOST_AND_PORT_LISTED: &str = "box:8443";
const PAGE_LISTED: &str = "https://grafana.contoso.example";
