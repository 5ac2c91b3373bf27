//! The path of a call as the APIs read it: what roles, rate limits and faults go by.

use crate::target;

/// The segments after the prefix of the family, in canonical form.
///
/// A key or arguments in parentheses are a segment of their own, so `incidents(7)` is `incidents/(7)`. A `$count` at the end is
/// left out: counting a list is reading it. Of a namespace-qualified `runHuntingQuery` only the name is kept.
#[derive(Debug)]
pub(crate) struct ApiPath(Vec<String>);

impl ApiPath {
    /// Takes a path apart, given as received (percent-encoded, without query). A path of no family has no segments.
    pub(crate) fn of(path: &str) -> Self {
        let path = target::canonical(path);
        let below = BASES
            .iter()
            .find_map(|base| path.strip_prefix(base))
            .unwrap_or_default();
        let below = below.replace('(', "/(");
        let mut segments: Vec<String> = below
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned)
            .collect();
        segments.pop_if(|last| last == "$count");
        if let Some(last) = segments.last_mut()
            && last.ends_with(".runhuntingquery")
        {
            "runhuntingquery".clone_into(last);
        }
        Self(segments)
    }

    /// The first segment, or nothing.
    pub(crate) fn collection(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Whether the path is `pattern` or below it. A pattern is in lower case; its `*` stands for any one segment.
    pub(crate) fn is_below(&self, pattern: &str) -> bool {
        let mut segments = self.0.iter();
        pattern.split('/').all(|part| {
            segments
                .next()
                .is_some_and(|own| part == "*" || part == own)
        })
    }

    /// Whether it runs a hunting query.
    pub(crate) fn is_hunting(&self) -> bool {
        HUNTING.iter().any(|pattern| self.is_below(pattern))
    }
}

/// The prefixes of the families, in canonical form.
const BASES: &[&str] = &["/api/", "/v1.0/security/", "/beta/security/"];

const HUNTING: &[&str] = &[
    "advancedhunting/run",
    "advancedqueries/run",
    "runhuntingquery",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunting_is_known_however_it_is_spelled() {
        for (path, hunting) in [
            ("/api/advancedhunting/run", true),
            ("/api/v1.0/AdvancedQueries//run", true),
            ("/v1.0/security/runHuntingQuery", true),
            (
                "/v1.0/security/microsoft.graph.security.runHuntingQuery",
                true,
            ),
            ("/beta/security/graph.runHuntingQuery/", true),
            ("/v1.0/security/%72unHuntingQuery", true),
            ("/v1.0/security/notrunHuntingQuery", false),
            ("/api/advancedhunting", false),
            ("/advancedhunting/run", false),
        ] {
            assert_eq!(ApiPath::of(path).is_hunting(), hunting, "{path}");
        }
    }

    #[test]
    fn patterns_match_whole_segments() {
        for (path, pattern, below) in [
            ("/api/machines/1f/Isolate", "machines/*/isolate", true),
            ("/api/machines/1f/isolate/x", "machines/*/isolate", true),
            ("/api/machines/1f", "machines/*/isolate", false),
            ("/api/machines/1f/isolated", "machines/*/isolate", false),
            ("/api/machines/1f/alerts/$count", "machines/*/alerts", true),
            ("/api/machines/$count", "machines/*", false),
            ("/api/Incidents(7)", "incidents/*", true),
            ("/api/incidents%287%29", "incidents/*", true),
            ("/api/incidents", "incidents/*", false),
            ("/api/incidentsX", "incidents", false),
        ] {
            assert_eq!(
                ApiPath::of(path).is_below(pattern),
                below,
                "{path} {pattern}"
            );
        }
        assert_eq!(
            ApiPath::of("/beta/security/Alerts_v2/7").collection(),
            "alerts_v2"
        );
        assert_eq!(ApiPath::of("/").collection(), "");
    }
}
