//! `kato pki init`: the root of a new mesh.

use std::path::PathBuf;

use kato_net::Domain;
use kato_net::pki::{Authority, Overwrite};

use super::{DAY, PkiVerbError, ROOT, make_directory, pair};
use crate::output::{self, units};
use crate::verbs::now;

/// Make the root certificate of a new mesh
///
/// Writes ca.pem, which every member gets, and ca-key.pem, which signs and can stay offline.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write it
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The mesh's root DNS name, such as demo.com
    #[arg(long, value_name = "NAME")]
    domain: Domain,
    /// How long it is valid; ten years by default
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<(), PkiVerbError> {
    make_directory(&args.directory)?;
    let root = Authority::root(args.domain.clone(), now(), DAY * args.days)?;
    root.store(&args.directory, ROOT, Overwrite::Refuse)?;
    let (certificate, key) = pair(&args.directory, ROOT);
    let text = format!(
        "Made the root of {}, valid until {}\n  {}  every member gets it (--ca)\n  \
         {}  signs: keep it offline\n",
        args.domain,
        units::moment(root.expires_at().0),
        certificate.display(),
        key.display()
    );
    // A closed pipe does not undo what has been written.
    let _ = output::print(&text);
    Ok(())
}
