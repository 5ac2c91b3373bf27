//! Generated inputs for the properties: mostly near what is valid, because anything else is refused at once.

use std::ops::Range;

use flate2::{Compression, write::GzEncoder};
use http::{Method, Request};
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value};

use crate::checks;

pub(crate) fn method() -> impl Strategy<Value = Method> {
    select(vec![
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ])
}

/// Paths near the routes of the check, in disguise.
pub(crate) fn target() -> impl Strategy<Value = String> {
    const PARTS: &str = "/ // api API Api machines Machines incidents advancedhunting run open security v1.0 V1.0 beta \
        users runHuntingQuery microsoft.graph.security.runHuntingQuery isolate %2f %2F %252f %25252F %5c %5C %255c \\ . .. ... %2e %2E %252e %25252e ; ;x=1 ..; %3b ( ) \
        %28 ' % %6d %4D %256d %+1 %00 %ff é %c3%a9 a ? ?a=/.. # @ : * http://localhost http://LOCALHOST:8080 https://evil.example";
    let words: Vec<&str> = PARTS.split_whitespace().collect();
    let free = prop::collection::vec(select(words.clone()), 0..8).prop_map(|words| words.concat());
    let path = prop::collection::vec(select(words), 0..8)
        .prop_map(|words| format!("/{}", words.join("/")));
    let near = select(vec![
        "/api/machines",
        "/api/v1.0/machines/open",
        "/api/v1.0",
        "/v1.0/security",
        "/api/incidents",
    ]);
    let near = (near, free.clone()).prop_map(|(near, more)| format!("{near}{more}"));
    prop_oneof![
        free.clone().prop_map(|rest| format!("/{rest}")),
        path,
        near,
        free,
        "/\\PC{0,30}"
    ]
}

/// A target that may name a customer, or look as if it did.
pub(crate) fn customer_target() -> impl Strategy<Value = String> {
    const PARTS: &str = "/ /t/ t T %74 %2574 contoso Contoso fabrikam cont%6Fso %63ontoso 5a9db0c5-0000-4000-8000-000000000003 nobody \
        /api /api/incidents %2f %252f %5c ; ;x // . .. ? ?/t/fabrikam # http://localhost /t /t/contoso /t/fabrikam";
    let words: Vec<&str> = PARTS.split_whitespace().collect();
    let near = select(vec![
        "",
        "/",
        "/t/contoso",
        "/t/Fabrikam/api",
        "/T/contoso",
        "/api",
    ]);
    (near, prop::collection::vec(select(words), 0..5))
        .prop_map(|(near, words)| format!("{near}{}", words.concat()))
}

/// Fields that name a customer, in few spellings.
pub(crate) fn customer_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = select(vec!["x-defender-tenant", "X-Defender_Tenant"]).prop_map(str::to_owned);
    let value = select(vec![
        "contoso",
        "FABRIKAM",
        " contoso",
        "5A9DB0C5-0000-4000-8000-000000000002",
        "",
        "nobody",
        "contoso,fabrikam",
    ])
    .prop_map(str::to_owned);
    prop::collection::vec((name, value), 0..3)
}

/// A host that may name a customer.
pub(crate) fn customer_host() -> impl Strategy<Value = String> {
    select(vec![
        "localhost",
        "localhost",
        "127.0.0.1:8080",
        "contoso.localhost",
        "Fabrikam.LocalHost:80",
        "nobody.localhost",
        "5a9db0c5-0000-4000-8000-000000000003.localhost",
    ])
    .prop_map(str::to_owned)
}

/// A request head with some fields, and a target at some origin.
pub(crate) fn request(
    field: impl Strategy<Value = (String, String)>,
    origin: impl Strategy<Value = String>,
) -> impl Strategy<Value = Request<()>> {
    let fields = prop::collection::vec(field, 0..6);
    (origin, fields).prop_filter_map("no request", |(origin, fields)| {
        let lines = fields
            .iter()
            .map(|(name, value)| format!("\n{name}: {value}"));
        let text = format!("GET {origin}/api/incidents{}", lines.collect::<String>());
        checks::head::parse(text.as_bytes())
    })
}

/// What a client may send over HTTP/1: requests, some of them damaged, or words of requests in any order.
pub(crate) fn wire() -> impl Strategy<Value = Vec<u8>> {
    const REQUESTS: &[&str] = &[
        "GET /api?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\r\nGET http://localhost/%2e HTTP/1.1\r\nHost:localhost\r\nAccept: \t */*\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n",
        "POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nG /\n",
        "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n1\r\na\r\n000A;x=\"y\"\r\n0\r\n\r\n0\r\n0\r\n\r\n",
        "PUT /c HTTP/1.1\r\ntransfer-encoding: Chunked\r\nTE: trailers\r\n\r\n3\r\n\r\n\r\r\n0\r\nX-T: 1\r\nY:\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: upgrade, close\r\n\r\n",
    ];
    const WORDS: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\n",
        "POST /\u{e9}{}|\" HTTP/1.1\r\n",
        "PRI / HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "Host: localhost\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: ",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:",
        "Transfer_Encoding:",
        "chunked",
        "gzip",
        ",",
        " ",
        "\t",
        "\r\n",
        "\r\n\r\n",
        "\r",
        "\n",
        "\0",
        "\u{7f}",
        "\u{e9}",
        "0\r\n\r\n",
        "3\r\nabc\r\n",
        "0",
        "5",
        "a",
        "fffffffffffffffff",
        ";",
        ":",
        "+",
        "-",
        "#",
        "HTTP/1.0\r\n",
        "Expect: x\r\n",
    ];
    let damage = (any::<prop::sample::Index>(), 0..3_usize, select(WORDS));
    let requests = prop::collection::vec(select(REQUESTS), 1..4);
    let damaged =
        (requests, prop::collection::vec(damage, 0..3)).prop_map(|(requests, damages)| {
            let mut bytes = requests.concat().into_bytes();
            for (at, length, word) in damages {
                let start = at.index(bytes.len() + 1);
                let end = bytes.len().min(start + length);
                bytes.splice(start..end, word.bytes());
            }
            bytes
        });
    let words =
        prop::collection::vec(select(WORDS), 0..12).prop_map(|words| words.concat().into_bytes());
    prop_oneof![3 => damaged, 1 => words]
}

pub(crate) fn fields_to_strip() -> BoxedStrategy<String> {
    let known = "Authorization Proxy-Authorization Cookie X-Proxy-Key Forwarded X-Forwarded-For X-Forwarded-Host \
        X-MS-TOKEN-AAD-ACCESS-TOKEN X-MS-Any-Token Connection Keep-Alive Proxy-Connection TE Trailer Transfer-Encoding Via \
        Host Content-Length Accept Content-Type If-Match Prefer User-Agent X-MS-Client-Request-Id X-Custom";
    let known: Vec<&str> = known.split_whitespace().collect();
    let spelled = (select(known), any::<[bool; 2]>()).prop_map(|(name, [underscores, lower])| {
        let name = if underscores {
            name.replace('-', "_")
        } else {
            name.to_owned()
        };
        if lower { name.to_lowercase() } else { name }
    });
    prop_oneof![9 => spelled, 1 => "[a-z_-]{1,8}"].boxed()
}

/// A field, or a `Connection` that names some.
pub(crate) fn field(name: BoxedStrategy<String>) -> impl Strategy<Value = (String, String)> {
    let names = prop::collection::vec(name.clone(), 0..5);
    let separator = select(vec![",", ", ", " ,\t", ",,", ", close,", ";"]);
    let connection =
        (names, separator).prop_map(|(names, by)| ("Connection".to_owned(), names.join(by)));
    prop_oneof![(name, "[a-z]{1,5}"), connection]
}

pub(crate) fn host_or_page() -> impl Strategy<Value = (String, String)> {
    let page = select(vec![
        "http://localhost",
        "http://localhost:8080",
        "https://grafana.contoso.example",
        "null",
    ]);
    prop_oneof![
        6 => authority().prop_map(|host| ("Host".to_owned(), host)),
        1 => page.prop_map(|page| ("Origin".to_owned(), page.to_owned())),
        1 => authority().prop_map(|host| ("Origin".to_owned(), format!("http://{host}"))),
        1 => select(vec!["none", "same-origin", "same-site", "cross-site"])
            .prop_map(|site| ("Sec-Fetch-Site".to_owned(), site.to_owned())),
    ]
}

/// What stands before a target's path: mostly nothing.
pub(crate) fn origin() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => authority().prop_map(|host| format!("http://{host}"))]
}

fn authority() -> impl Strategy<Value = String> {
    const PARTS: &str = "localhost LOCALHOST 127.0.0.1 127.1 127.0.0.256 127.0.0.01 128.0.0.1 0.0.0.0 0x7f000001 2130706433 [::1] [::] [::ffff:127.0.0.1] \
        ::1 [ ] proxy.contoso.example Proxy.Contoso.Example box box:8443 evil.example . .evil @ user@ : :80 :8080 :65536 :+80 :8a : %00 %2e a 1";
    let parts: Vec<&str> = PARTS.split_whitespace().collect();
    let one = select(parts.clone()).prop_map(str::to_owned);
    let some = prop::collection::vec(select(parts), 0..4).prop_map(|parts| parts.concat());
    prop_oneof![one, some, "[a-z0-9.:@\\[\\]-]{0,12}"]
}

/// Documents with links in control fields and elsewhere.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    const KEYS: &[&str] = &[
        "@odata.nextLink",
        "alerts@odata.nextLink",
        "@odata.context",
        "x\"@odata.deltaLink",
        "@odata.nextLink\"",
        "@odata.nextLink ",
        "@odata.type",
        "nextLink",
        "value",
        "Results",
        "results",
        "resultsx",
        "é\\",
        "",
    ];
    const WORDS: &[&str] = &[
        "https://api.contoso.example",
        "HTTPS://API.contoso.example:443",
        "https://graph.contoso.example:8443",
        "http://127.0.0.1:1234",
        "http://[::1]:1234",
        "https://api.contoso.example.evil",
        "https://api.contoso.example@evil",
        "http://api.contoso.example",
        "https:",
        "//",
        "/",
        "\\/",
        "?",
        "#",
        "\"",
        "\\",
        "é",
        ":",
        "\n",
        " ",
        "\"@odata.nextLink\":\"https://api.contoso.example/",
        "@odata.context",
        "\"Results\":",
        "x",
    ];
    let text =
        prop::collection::vec(select(WORDS), 0..4).prop_map(|words| Value::from(words.concat()));
    let leaf = prop_oneof![6 => text, 1 => any::<i32>().prop_map(Value::from), 1 => Just(Value::Null), 1 => any::<bool>().prop_map(Value::from)];
    leaf.prop_recursive(4, 40, 6, |inside| {
        let fields = prop::collection::vec((select(KEYS), inside.clone()), 0..6);
        prop_oneof![
            3 => fields.prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()),
            1 => prop::collection::vec(inside, 0..6).prop_map(Value::from),
        ]
    })
}

pub(crate) fn member() -> impl Strategy<Value = Vec<u8>> {
    let data = (any::<Vec<u8>>(), 1..300_usize).prop_map(|(data, times)| data.repeat(times));
    (data, 0..=9_u32).prop_map(|(data, level)| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        std::io::Write::write_all(&mut encoder, &data).unwrap();
        encoder.finish().unwrap()
    })
}

pub(crate) fn damage() -> impl Strategy<Value = Option<(prop::sample::Index, u8)>> {
    prop::option::weighted(0.3, (any::<prop::sample::Index>(), 1_u8..))
}

pub(crate) fn sizes() -> impl Strategy<Value = Vec<u8>> {
    let small: Range<u8> = 0..20;
    prop_oneof![
        prop::collection::vec(small, 1..6),
        prop::collection::vec(any::<u8>(), 1..6)
    ]
}

/// The commented sample, uncommented line by line, with pieces cut out and put in.
pub(crate) fn configuration() -> impl Strategy<Value = String> {
    const SAMPLE: &str = include_str!("../proxy.toml");
    const PIECES: &[&str] = &[
        "",
        "\"",
        "'",
        "\"\"\"",
        "=",
        "[",
        "]]",
        "[[route]]\n",
        "[identity.soc]\n",
        "[cloud]\nname = 'custom'\n",
        "\r\n",
        "#",
        "é",
        "\0",
        "true",
        "0.0.0.0:80",
        "unix:",
        "-1",
        "1e999",
        "{}",
        "[]",
        ".",
        "{ env = \"X\" }",
        "{ command = [] }",
    ];
    let piece = prop_oneof![select(PIECES).prop_map(str::to_owned), "\\PC{0,6}"];
    let edit = (any::<prop::sample::Index>(), 0..30_usize, piece);
    let commented = prop::collection::vec(any::<bool>(), 8);
    (commented, prop::collection::vec(edit, 0..4)).prop_map(|(commented, edits)| {
        let lines = SAMPLE.lines().zip(commented.into_iter().cycle());
        let lines = lines.map(|(line, keep)| {
            if keep {
                line
            } else {
                line.trim_start_matches("# ")
            }
        });
        let mut text: Vec<char> = lines.collect::<Vec<_>>().join("\n").chars().collect();
        for (at, length, piece) in edits {
            let start = at.index(text.len() + 1);
            let end = text.len().min(start + length);
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

/// An answer of the token endpoint: a status, fields, JSON that holds some of what such answers hold.
pub(crate) fn answer() -> impl Strategy<Value = String> {
    let field = select(vec![
        "\"access_token\":\"eyJ0eXAiOiJKV1QifQ.e30.c2lnbmF0dXJl\"",
        "\"access_token\":\"two words of a token, é and so on\"",
        "\"access_token\":7",
        "\"token_type\":\"Bearer\"",
        "\"token_type\":\"bearer\"",
        "\"expires_in\":3599",
        "\"expires_in\":0",
        "\"expires_in\":18446744073709551615",
        "\"expires_in\":\"3599\"",
        "\"refresh_in\":1800",
        "\"refresh_token\":\"0.AAAA-refresh-token-of-alice\"",
        "\"error\":\"invalid_client\"",
        "\"error\":\"temporarily_unavailable\"",
        "\"error_description\":\"AADSTS7000215: the secret 12345678 is wrong\"",
        "\"error_codes\":[7000215]",
        "\"error_codes\":[-1]",
        "\"trace_id\":\"5a9db0c5\"",
        "\"nested\":{",
    ]);
    let head = select(vec![
        "200\n\n",
        "200\ncontent-type: text/html\n\n",
        "400\n\n",
        "401\n\n",
        "429\nretry-after: 99999999999\n\n",
        "503\nretry-after: soon\n\n",
    ]);
    let token = Just(
        "\"access_token\":\"eyJ0eXAiOiJKV1QifQ.e30.c2ln\",\"token_type\":\"Bearer\",\"expires_in\":60,",
    );
    let start = prop_oneof![Just(""), token];
    (head, start, prop::collection::vec(field, 0..6), ".{0,3}").prop_map(
        |(head, start, fields, end)| format!("{head}{{{start}{}}}{end}", fields.join(",")),
    )
}

/// A line of `WWW-Authenticate`, mostly.
pub(crate) fn challenge() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "Bearer ",
        "bearer",
        "Basic realm=\"x\"",
        "error=\"insufficient_claims\"",
        "error=insufficient_claims",
        "error=\"invalid_token\"",
        "claims=\"eyJhIjp7fX0\"",
        "claims=\"eyJhIjp7fX0=\"",
        "claims=\"{\\\"a\\\":{}}\"",
        "claims=\"W10\"",
        ", ",
        " ",
        "=",
        "\"",
        "\\",
        "x",
    ];
    prop::collection::vec(select(PARTS), 0..10).prop_map(|parts| parts.concat())
}

/// An answer's head with links.
pub(crate) fn link_fields() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "https://api.contoso.example",
        "HTTPS://API.contoso.example:443",
        "http://127.0.0.1:1234",
        "https://api.contoso.example.evil",
        "https://user@api.contoso.example",
        "//evil.example",
        "/",
        "/api/x",
        "?a",
        "#",
        "<",
        ">",
        "\"",
        "\\",
        ",",
        "; rel=\"next\"",
        "x",
    ];
    let name = select(vec!["location", "content-location", "link"]);
    let value = prop::collection::vec(select(PARTS), 0..8).prop_map(|parts| parts.concat());
    let field = (name, value).prop_map(|(name, value)| format!("{name}: {value}\n"));
    prop::collection::vec(field, 0..4).prop_map(|fields| format!("200\n{}", fields.concat()))
}

/// The claims of an ID token, nearly right.
pub(crate) fn claims() -> impl Strategy<Value = String> {
    const CLAIMS: &[&str] = &[
        "\"aud\":\"5a9db0c5-0000-4000-8000-0000000000cc\"",
        "\"aud\":\"another\"",
        "\"exp\":9999999999",
        "\"exp\":1",
        "\"exp\":-1",
        "\"nonce\":\"n\"",
        "\"nonce\":\"m\"",
        "\"tid\":\"5A9DB0C5-0000-4000-8000-000000000001\"",
        "\"tid\":\"5a9db0c5-0000-4000-8000-000000000002\"",
        "\"upn\":\"\\u001b[2J\\u0000\"",
    ];
    let name =
        "\\PC{0,300}".prop_map(|name| format!("\"preferred_username\":{}", Value::from(name)));
    let claims = prop::sample::subsequence(CLAIMS, 0..=CLAIMS.len());
    (claims, name).prop_map(|(claims, name)| format!("{{{},{name}}}", claims.join(",")))
}
