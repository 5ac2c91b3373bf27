//! An authority and the origin's certificate, made for one run.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

/// Writes `leaf.pem` and `leaf.key` into the folder, for loopback; `ca.pem`, which has signed them; and `other-ca.pem`, which hasn't.
pub(crate) fn write(dir: &Path) -> anyhow::Result<()> {
    let (ca, issuer) = authority("side-by-side benchmark")?;
    let (other, _) = authority("somebody else")?;
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned))?;
    leaf.use_authority_key_identifier_extension = true;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    fs::write(dir.join("leaf.pem"), leaf.signed_by(&key, &issuer)?.pem())?;
    fs::write(dir.join("leaf.key"), key.serialize_pem())?;
    fs::write(dir.join("ca.pem"), ca)?;
    fs::write(dir.join("other-ca.pem"), other)?;
    Ok(())
}

/// An authority: its certificate as PEM, and what signs by it.
fn authority(name: &str) -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, name);
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}
