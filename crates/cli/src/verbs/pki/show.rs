//! `kato pki show`: whose a certificate is, who signed it, and how long it is valid.

use std::path::PathBuf;

use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::PkiVerbError;
use crate::failure::Exit;
use crate::output::details::Fields;
use crate::output::style::{BAD, WARN, paint};
use crate::output::{self, units};
use crate::verbs::now;

/// From when on it is said that a certificate expires soon.
const SOON_DAYS: i64 = 14;

/// Show whose a certificate is, who signed it, and how long it is valid
///
/// Ends with 1 where a certificate of the file is not valid now.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A certificate in PEM
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<Exit, PkiVerbError> {
    let path = &args.file;
    let text = std::fs::read_to_string(path)
        .map_err(|source| PkiVerbError::Read { path: path.clone(), source })?;
    let wrong = |reason| PkiVerbError::NotACertificate { path: path.clone(), reason };
    let blocks = pem::parse_many(&text).map_err(|error| wrong(error.to_string()))?;
    let (mut shown, mut exit) = (Vec::new(), Exit::Done);
    for block in blocks.iter().filter(|block| block.tag() == "CERTIFICATE") {
        let (_, certificate) = X509Certificate::from_der(block.contents())
            .map_err(|error| wrong(error.to_string()))?;
        let (validity, valid) = validity(&certificate);
        shown.push(fields(&certificate, validity).render());
        if !valid {
            exit = Exit::Failed;
        }
    }
    if shown.is_empty() {
        return Err(wrong(kinds(&blocks)));
    }
    let _ = output::print(&shown.join("\n"));
    Ok(exit)
}

/// What the file holds in place of a certificate; never its contents.
fn kinds(blocks: &[pem::Pem]) -> String {
    match blocks.first() {
        Some(block) => format!("it holds \"{}\"", block.tag()),
        None => "it has no PEM block".to_owned(),
    }
}

fn fields(certificate: &X509Certificate<'_>, validity: String) -> Fields {
    let (mut identity, mut hosts) = (Vec::new(), Vec::new());
    let names = certificate.subject_alternative_name().ok().flatten();
    for name in names.map(|names| &names.value.general_names[..]).unwrap_or_default() {
        match name {
            GeneralName::URI(uri) => identity.push(output::plain(uri)),
            GeneralName::DNSName(name) => hosts.push(output::plain(name)),
            GeneralName::IPAddress(bytes) => hosts.push(address(bytes)),
            _ => {}
        }
    }
    Fields::default()
        .with("Identity", identity.join(", "))
        .with("Hosts", hosts.join(", "))
        .with("Subject", output::plain(&certificate.subject().to_string()))
        .with("Issuer", output::plain(&certificate.issuer().to_string()))
        .with("Signs", if certificate.is_ca() { "others" } else { "nobody" })
        .with("Valid", validity)
}

/// From when to when, and whether that is now.
fn validity(certificate: &X509Certificate<'_>) -> (String, bool) {
    let validity = certificate.validity();
    let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let day =
        |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_or("-".into(), units::date);
    let span = format!("{} to {}", day(from), day(to));
    let now = i64::try_from(now().0 / 1000).unwrap_or(i64::MAX);
    let days = (to - now) / 86_400;
    match () {
        () if now < from => (format!("{span}, {}", paint(BAD, "not yet")), false),
        () if now > to => (format!("{span}, {}", paint(BAD, "expired")), false),
        () if days < SOON_DAYS => {
            (format!("{span}, {}", paint(WARN, &format!("{days} days left"))), true)
        }
        () => (format!("{span}, {days} days left"), true),
    }
}

fn address(bytes: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return std::net::IpAddr::from(four).to_string();
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(sixteen) => std::net::IpAddr::from(sixteen).to_string(),
        Err(_) => "an address of odd length".to_owned(),
    }
}
