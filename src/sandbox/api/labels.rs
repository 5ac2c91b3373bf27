//! Names of a tenant's own for the records all tenants share: its data is told from every other's, and costs no memory.

use bytes::Bytes;

use super::names::TENANT;
use super::{Answer, Call, Payload};

/// The names of the home tenant with those that stand in their places for another.
///
/// They are exchanged in both directions on the way in and on the way out. So a filter finds what a list shows, and what a
/// client wrote itself comes back as it was written, whatever it is.
pub(super) struct Labels {
    pairs: [[String; 2]; 4],
    /// Whether a name starts with this byte: most bytes of a large answer need no closer look.
    starts: [bool; 256],
}

impl Labels {
    /// Those of `tenant`, made of the last digits of its id: `t000002.example` for the tenant `…0002`.
    pub(super) fn of(tenant: &str) -> Self {
        let digits = |count: usize| {
            let start = tenant.len().saturating_sub(count);
            tenant.get(start..).unwrap_or(tenant).to_ascii_lowercase()
        };
        let short = format!("t{}", digits(6));
        let pairs = [
            [TENANT.to_owned(), tenant.to_owned()],
            ["CONTOSO".to_owned(), short.to_ascii_uppercase()],
            ["contoso".to_owned(), short],
            ["fabrikam".to_owned(), format!("u{}", digits(7))],
        ];
        let mut starts = [false; 256];
        for first in pairs
            .iter()
            .flatten()
            .filter_map(|name| name.bytes().next())
        {
            starts[usize::from(first)] = true;
        }
        Self { pairs, starts }
    }

    /// The answer of `records` to `call`, both with the names exchanged.
    pub(super) fn between(
        self,
        call: &Call<'_>,
        records: impl FnOnce(&Call<'_>) -> Answer,
    ) -> Answer {
        let path = self.exchange_text(call.path);
        let query = call.query.map(|query| self.exchange_text(query));
        let mut answer = records(&Call {
            path: &path,
            query: query.as_deref(),
            body: &self.exchange(call.body),
            ..*call
        });
        answer.payload = match answer.payload {
            Payload::Empty => Payload::Empty,
            Payload::Full(body) => Payload::Full(self.exchange(&body).into()),
            // A chunk holds whole records, so no name is cut.
            Payload::Chunks(chunks) => Payload::Chunks(Box::new(
                chunks.map(move |chunk| Bytes::from(self.exchange(&chunk))),
            )),
        };
        answer
    }

    fn exchange_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.exchange(text.as_bytes())).into_owned()
    }

    fn exchange(&self, text: &[u8]) -> Vec<u8> {
        let (mut exchanged, mut rest) = (Vec::with_capacity(text.len()), text);
        while let Some(first) = rest.first() {
            if let Some((name, other)) = self.name_at(rest) {
                exchanged.extend_from_slice(other.as_bytes());
                rest = &rest[name.len()..];
            } else {
                exchanged.push(*first);
                rest = &rest[1..];
            }
        }
        exchanged
    }

    /// The name that `text` starts with, and the one that stands for it.
    fn name_at(&self, text: &[u8]) -> Option<(&str, &str)> {
        if !self.starts[usize::from(*text.first()?)] {
            return None;
        }
        let pairs = self
            .pairs
            .iter()
            .map(|[home, own]| (home.as_str(), own.as_str()));
        pairs
            .flat_map(|(home, own)| [(home, own), (own, home)])
            .find(|(name, _)| text.starts_with(name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_exchanged_is_unchanged() {
        let labels = Labels::of("5a9db0c5-0000-4000-8000-00000000000C");
        for (home, own) in [
            ("pc1.contoso.example", "pc1.t00000c.example"),
            ("CONTOSO\\adele", "T00000C\\adele"),
            ("mac2.fabrikam.example", "mac2.u000000c.example"),
            (TENANT, "5a9db0c5-0000-4000-8000-00000000000C"),
            ("contoso t00000c", "t00000c contoso"),
            ("Prüfung", "Prüfung"),
            ("", ""),
        ] {
            assert_eq!(labels.exchange_text(home), own);
            assert_eq!(labels.exchange_text(own), home);
        }
    }
}
