//! Configuration files.

use defender_proxy::{
    config::{Config, Methods, Source},
    target,
};

/// No text panics; a fault says what it is and where, on one line; and what is accepted is safe to run.
pub(crate) fn config_toml(text: &str) {
    let parsed = Config::parse(text, Source::File("proxy.toml".into()), &|_| None);
    match parsed {
        Ok(config) => accepted(&config),
        Err(error) => {
            let lines = 1 + text.matches('\n').count();
            assert!(!error.faults().is_empty());
            for fault in error.faults() {
                assert!(!fault.message.trim().is_empty(), "{fault:?}");
                assert!(!fault.to_string().contains('\n'), "{fault:?}");
                assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)));
            }
            let shown = error.to_string();
            assert_eq!(shown.lines().count(), error.faults().len(), "{shown}");
        }
    }
}

fn accepted(config: &Config) {
    let listen = &config.listen;
    assert!(
        !listen.address.is_exposed() || (listen.tls.is_some() && listen.client_key.is_some()),
        "open to the network"
    );
    assert!(!config.identities.is_empty());
    assert!(!config.routes.is_empty());
    for (at, route) in config.routes.iter().enumerate() {
        assert!(route.prefix.starts_with('/'));
        let others = &config.routes[at + 1..];
        assert!(others.iter().all(|other| {
            target::canonical_prefix(&other.prefix) != target::canonical_prefix(&route.prefix)
        }));
        if let Methods::Only(methods) = &route.methods {
            assert!(!methods.is_empty());
        }
        assert!(
            config
                .identities
                .iter()
                .any(|identity| identity.name == route.identity.name)
        );
    }
}
