//! What an analyst changes in an alert or an incident: read whole from the body first, then applied.

use serde_json::{Map, Value, json};

use super::refusal::Refusal;

/// One property that a body may set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Its name in the body; names are case-sensitive.
    pub(super) name: &'static str,
    /// Its name in our record.
    pub(super) target: &'static str,
    pub(super) kind: Kind,
}

/// What a property may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One of these words, its first letter small: Graph's spelling.
    CamelOneOf(&'static [&'static str]),
    /// One of Graph's determinations, see [`GRAPH_DETERMINATIONS`].
    GraphDetermination,
    /// A text, or null to clear it.
    Text,
    /// An array of texts.
    Texts,
    /// A text that is added to the comments.
    Comment,
}

/// Changes that are all known to be good.
#[derive(Debug)]
pub(super) struct Changes(Vec<(Rule, Value)>);

impl Changes {
    /// Reads `body` by `rules`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Body`] for the first property that is unknown or has a value it can't have.
    pub(super) fn parse(body: &Map<String, Value>, rules: &[Rule]) -> Result<Self, Refusal> {
        let change = |(name, value): (&String, &Value)| {
            let rule = rules.iter().find(|rule| rule.name == name);
            let rule = *rule.ok_or_else(|| Refusal::Body(format!("unknown property '{name}'")))?;
            let value = rule.kind.read(value);
            value
                .map(|value| (rule, value))
                .ok_or_else(|| Refusal::Body(format!("'{name}' has an invalid value")))
        };
        body.iter().map(change).collect::<Result<_, _>>().map(Self)
    }

    /// Applies them to `record` at `time`; what isn't named keeps its value.
    pub(super) fn apply(&self, record: &mut Value, time: &str) {
        for (rule, value) in &self.0 {
            match (rule.kind, &mut record[rule.target]) {
                (Kind::Comment, Value::Array(comments)) => comments
                    .push(json!({"comment": value, "createdBy": "analyst@contoso.example", "createdTime": time})),
                (_, slot) => *slot = value.clone(),
            }
            if rule.target == "status" && record.get("resolvedTime").is_some() {
                record["resolvedTime"] = if value == "Resolved" {
                    time.into()
                } else {
                    Value::Null
                };
            }
        }
        record["lastUpdateTime"] = time.into();
    }
}

impl Kind {
    /// `value` as our records hold it; `None` if it can't be.
    fn read(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::OneOf(words), Value::String(word)) => {
                words.contains(&word.as_str()).then(|| value.clone())
            }
            (Self::CamelOneOf(words), Value::String(word)) => words
                .iter()
                .find(|known| camel(known) == *word)
                .map(|known| Value::from(*known)),
            (Self::GraphDetermination, Value::String(word)) => GRAPH_DETERMINATIONS
                .iter()
                .find(|(_, graph)| graph == word)
                .map(|(ours, _)| Value::from(*ours)),
            (Self::Text, Value::String(_) | Value::Null) | (Self::Comment, Value::String(_)) => {
                Some(value.clone())
            }
            (Self::Texts, Value::Array(texts)) => {
                texts.iter().all(Value::is_string).then(|| value.clone())
            }
            _ => None,
        }
    }
}

/// `word` with a small first letter.
pub(super) fn camel(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_lowercase().to_string() + letters.as_str()
    })
}

/// Defender's `determination` as Graph writes it; `None` for a word that is none.
pub(super) fn graph_determination(ours: &str) -> Option<&'static str> {
    GRAPH_DETERMINATIONS
        .iter()
        .find(|(known, _)| *known == ours)
        .map(|(_, graph)| *graph)
}

/// Every determination in Defender's words and in Graph's, which has one where Defender has an older name beside the newer.
/// From Graph the first is taken.
const GRAPH_DETERMINATIONS: [(&str, &str); 19] = [
    ("NotAvailable", "unknown"),
    ("Apt", "apt"),
    ("Malware", "malware"),
    ("SecurityPersonnel", "securityPersonnel"),
    ("SecurityTesting", "securityTesting"),
    ("UnwantedSoftware", "unwantedSoftware"),
    ("MultiStagedAttack", "multiStagedAttack"),
    ("MaliciousUserActivity", "maliciousUserActivity"),
    ("CompromisedUser", "compromisedAccount"),
    ("CompromisedAccount", "compromisedAccount"),
    ("Phishing", "phishing"),
    ("LineOfBusinessApplication", "lineOfBusinessApplication"),
    ("ConfirmedUserActivity", "confirmedActivity"),
    ("ConfirmedActivity", "confirmedActivity"),
    ("Clean", "notMalicious"),
    ("NotMalicious", "notMalicious"),
    ("InsufficientData", "notEnoughDataToValidate"),
    ("NotEnoughDataToValidate", "notEnoughDataToValidate"),
    ("Other", "other"),
];

/// Classes of an alert or an incident.
pub(super) const CLASSIFICATIONS: &[&str] = &[
    "Unknown",
    "TruePositive",
    "InformationalExpectedActivity",
    "FalsePositive",
];

/// Determinations, of every class: the documentation lists some for each, and one sentence that forbids it.
pub(super) const DETERMINATIONS: &[&str] = &[
    "NotAvailable",
    "Apt",
    "Malware",
    "SecurityPersonnel",
    "SecurityTesting",
    "UnwantedSoftware",
    "MultiStagedAttack",
    "MaliciousUserActivity",
    "CompromisedAccount",
    "CompromisedUser",
    "Phishing",
    "LineOfBusinessApplication",
    "ConfirmedActivity",
    "ConfirmedUserActivity",
    "Clean",
    "NotMalicious",
    "InsufficientData",
    "NotEnoughDataToValidate",
    "Other",
];
