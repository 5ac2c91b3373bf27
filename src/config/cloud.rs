//! Reads `[cloud]`.

use crate::cloud::{Cloud, CloudError, CloudHosts, CloudName, Region};
use crate::config::value::Value;

/// The cloud described by `[cloud]`; the public one without it or with a fault in it.
pub(super) fn read(value: Option<&Value<'_>>) -> Cloud {
    let Some(mut table) = value.and_then(Value::table) else {
        return Cloud::default();
    };
    let name = table.take("name");
    let region = table.take("region");
    let parsed_name = name.as_ref().map(Value::parse::<CloudName>);
    let parsed_region = region.as_ref().map(Value::parse::<Region>);
    let mut hosts = CloudHosts::default();
    let mut readable = true;
    for (key, host) in [
        ("login", &mut hosts.login),
        ("defender_xdr", &mut hosts.defender_xdr),
        ("defender_endpoint", &mut hosts.defender_endpoint),
        ("graph", &mut hosts.graph),
    ] {
        *host = table.parse(key);
        readable &= host.is_some() || !table.has(key);
    }
    let name = match parsed_name {
        None => Some(CloudName::default()),
        Some(name) => name,
    };
    let mut cloud = Cloud::default();
    // With a part unreadable, what the whole lacks can't be told.
    if let (Some(name), true) = (name, readable) {
        let mut wanted = parsed_region.flatten();
        if let (Some(region), true) = (&region, name != CloudName::Public) {
            region.fault(CloudError::RegionElsewhere.to_string());
            wanted = None;
        }
        match Cloud::new(name, wanted, hosts) {
            Ok(read) => cloud = read,
            Err(error) => table.fault(error.to_string()),
        }
    }
    table.finish();
    cloud
}
