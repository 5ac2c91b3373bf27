//! Rewriting links in JSON that comes in chunks.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use defender_proxy::rewrite::{Fields, Links, Scope};
use serde_json::Value;

/// Where the chunks end makes no difference, and in a JSON document nothing changes but the origin of links in control fields.
pub(crate) fn rewrite_chunks(chunks: Vec<Bytes>, scope: Scope) {
    let whole = chunks.concat();
    let changed = rewrite(chunks, scope);
    assert_eq!(changed, rewrite(vec![whole.clone().into()], scope));
    let bytes = whole.chunks(1).map(Bytes::copy_from_slice);
    assert_eq!(changed, rewrite(bytes.collect(), scope));
    if scope == Scope::Off {
        assert_eq!(changed, whole);
    }
    if let Ok(before) = serde_json::from_slice(&whole) {
        let after = serde_json::from_slice(&changed).expect("what was JSON is JSON");
        compare(&before, &after, "");
    }
}

/// The whole document, rewritten.
pub(crate) fn rewrite(chunks: Vec<Bytes>, scope: Scope) -> Vec<u8> {
    let mut fields = Fields::new(Arc::clone(&LINKS), HERE, scope);
    let mut out = Vec::new();
    let mut keep = |piece: Bytes| {
        assert!(!piece.is_empty());
        out.push(piece);
    };
    for chunk in chunks {
        fields.push(chunk, &mut keep);
    }
    fields.finish(&mut keep);
    assert!(fields.is_empty());
    out.concat()
}

/// The link as it should be in the answer, if it leads to one of the origins.
pub(crate) fn led_back(link: &str) -> Option<String> {
    let start = |origin: &&&str| {
        let start = link.get(..origin.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(origin))
            && link[origin.len()..]
                .chars()
                .next()
                .is_none_or(|next| "/?#".contains(next))
    };
    let origin = ORIGINS.iter().find(start)?;
    Some(format!("{HERE}{}", &link[origin.len()..]))
}

/// Is it the key of a control field?
pub(crate) fn is_control(key: &str) -> bool {
    CONTROL.iter().any(|name| key.ends_with(name))
}

fn compare(before: &Value, after: &Value, key: &str) {
    match (before, after) {
        (Value::String(before), Value::String(after)) if before != after => {
            assert!(
                is_control(key),
                "{key:?} is data: {before:?} became {after:?}"
            );
            assert_eq!(led_back(before).as_ref(), Some(after));
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len());
            for (before, after) in before.iter().zip(after) {
                compare(before, after, "");
            }
        }
        (Value::Object(before), Value::Object(after)) => {
            assert!(before.keys().eq(after.keys()));
            for (key, before) in before {
                compare(before, &after[key], key);
            }
        }
        (before, after) => assert_eq!(before, after),
    }
}

const HERE: &str = "http://localhost:8080";
const CONTROL: [&str; 3] = ["@odata.nextLink", "@odata.deltaLink", "@odata.context"];
const ORIGINS: [&str; 5] = [
    "https://api.contoso.example",
    "https://api.contoso.example:443",
    "https://graph.contoso.example:8443",
    "http://127.0.0.1:1234",
    "http://[::1]:1234",
];

static LINKS: LazyLock<Arc<Links>> =
    LazyLock::new(|| Arc::new(Links::new(ORIGINS.map(str::to_owned))));
