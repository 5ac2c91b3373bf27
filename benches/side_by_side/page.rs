//! What the origin answers with: pages of a list as the Defender APIs send them, with the links that are led back through the proxy.

use std::{fs, io::Write as _, path::Path};

pub(crate) const SMALL: &str = "/api/small";
pub(crate) const MEDIUM: &str = "/api/medium";
pub(crate) const LARGE: &str = "/api/large";
pub(crate) const UPLOAD: &str = "/api/upload";
/// Of the large answer, and of an upload.
pub(crate) const LARGE_BYTES: usize = 100 << 20;

/// A page of exactly `size` bytes, with a link at its start and one at its end, to `origin`.
pub(crate) fn page(origin: &str, size: usize) -> String {
    let mut page = format!(r#"{{"@odata.context":"{origin}/api/$metadata#Alerts","value":["#);
    let end = format!(r#""}}],"@odata.nextLink":"{origin}/api/alerts?$skip=100"}}"#);
    let last = r#"{"id":"last","title":""#;
    let room = size.saturating_sub(end.len() + last.len());
    for number in 0.. {
        let record = record(number);
        if page.len() + record.len() > room {
            break;
        }
        page.push_str(&record);
    }
    page.push_str(last);
    page.extend(std::iter::repeat_n(
        'x',
        size.saturating_sub(page.len() + end.len()),
    ));
    page.push_str(&end);
    page
}

fn record(number: u32) -> String {
    let start = r#""severity":"Medium","status":"InProgress","category":"Malware","title":"Suspicious activity was observed""#;
    let end = r#""relatedUser":{"userName":"temp123","domainName":"CONTOSO"}"#;
    let machine = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
    format!(
        r#"{{"id":"da{number:018}_1712","incidentId":{number},{start},"machineId":"{machine}",{end}}},"#
    )
}

/// Writes the three answers of an origin into a folder. The large one is an array of [`PAGES`] pages.
pub(crate) fn write_all(folder: &Path, origin: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("small"), page(origin, SMALL_BYTES))?;
    fs::write(folder.join("medium"), page(origin, MEDIUM_BYTES))?;
    let mut large = fs::File::create(folder.join("large"))?;
    // One byte of each page is the comma or bracket behind it, one of the first the bracket before.
    write!(large, "[{}", page(origin, MEDIUM_BYTES - 2))?;
    let page = format!(",{}", page(origin, MEDIUM_BYTES - 1));
    for _ in 1..PAGES {
        large.write_all(page.as_bytes())?;
    }
    large.write_all(b"]")?;
    Ok(())
}

pub(crate) const SMALL_BYTES: usize = 1 << 10;
pub(crate) const MEDIUM_BYTES: usize = 64 << 10;
const PAGES: usize = LARGE_BYTES / MEDIUM_BYTES;
/// In the large answer.
pub(crate) const LARGE_LINKS: usize = 2 * PAGES;
