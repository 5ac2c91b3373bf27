//! What can be done to a machine, and what each wants in its body.

use serde_json::{Map, Value, json};

use crate::sandbox::api::refusal::Refusal;
use crate::sandbox::api::request::required;

/// One thing to do to a machine.
pub(super) struct Verb {
    /// Its last part of the path, as the documentation writes it.
    pub(super) name: &'static str,
    /// The `type` of the action.
    pub(super) kind: &'static str,
}

impl Verb {
    /// What the body says beyond its comment, as properties of the action.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for a missing or unknown choice.
    pub(super) fn details(&self, body: &Map<String, Value>) -> Result<Value, Refusal> {
        match self.kind {
            "Isolate" => Ok(
                json!({"scope": choice(body, "IsolationType", &["Full", "Selective", "UnManagedDevice"])?}),
            ),
            "RunAntiVirusScan" => {
                Ok(json!({"scope": choice(body, "ScanType", &["Quick", "Full"])?}))
            }
            "LiveResponse" => commands(body),
            "StopAndQuarantineFile" => {
                let sha1 = required(body, "Sha1")?;
                Ok(
                    json!({"relatedFileInfo": {"fileIdentifier": sha1, "fileIdentifierType": "Sha1"}}),
                )
            }
            _ => Ok(json!({})),
        }
    }
}

fn choice<'a>(
    body: &'a Map<String, Value>,
    field: &'static str,
    choices: &[&str],
) -> Result<&'a str, Refusal> {
    let chosen = required(body, field)?;
    let known = choices.contains(&chosen).then_some(chosen);
    known.ok_or_else(|| Refusal::Body(format!("{field} must be one of {}", choices.join(", "))))
}

fn commands(body: &Map<String, Value>) -> Result<Value, Refusal> {
    let commands = body
        .get("Commands")
        .and_then(Value::as_array)
        .filter(|commands| !commands.is_empty());
    let commands = commands.ok_or(Refusal::Missing("Commands"))?.iter().zip(0..).map(|(command, index): (_, u32)| {
        json!({
            "index": index, "startTime": null, "endTime": null, "commandStatus": "Created", "errors": [],
            "command": {"type": command["type"], "params": command["params"]},
        })
    });
    Ok(json!({"commands": commands.collect::<Vec<_>>()}))
}

/// The one command of a live response that ended long ago.
pub(super) fn finished_command(action: &Value) -> Vec<Value> {
    let state = if action["status"] == "Succeeded" {
        "Completed"
    } else {
        "Failed"
    };
    vec![json!({
        "index": 0, "startTime": action["creationDateTimeUtc"], "endTime": action["lastUpdateDateTimeUtc"],
        "commandStatus": state, "errors": [],
        "command": {"type": "RunScript", "params": [{"key": "ScriptName", "value": "collect.ps1"}]},
    })]
}

/// Every verb.
pub(super) const VERBS: [Verb; 9] = [
    Verb {
        name: "isolate",
        kind: "Isolate",
    },
    Verb {
        name: "unisolate",
        kind: "Unisolate",
    },
    Verb {
        name: "runAntiVirusScan",
        kind: "RunAntiVirusScan",
    },
    Verb {
        name: "collectInvestigationPackage",
        kind: "CollectInvestigationPackage",
    },
    Verb {
        name: "offboard",
        kind: "Offboard",
    },
    Verb {
        name: "runliveresponse",
        kind: "LiveResponse",
    },
    Verb {
        name: "restrictCodeExecution",
        kind: "RestrictCodeExecution",
    },
    Verb {
        name: "unrestrictCodeExecution",
        kind: "UnrestrictCodeExecution",
    },
    Verb {
        name: "StopAndQuarantineFile",
        kind: "StopAndQuarantineFile",
    },
];
