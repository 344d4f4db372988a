//! `kato version`: of this binary, and of the coordinator that answers.

use kato_proto::v1::Consistency;

use super::{connect, status};
use crate::cli::ConnectionArgs;
use crate::failure::Exit;
use crate::output;

/// Show the version of this binary, and of the coordinator that answers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the verb. A mesh that cannot be reached is no failure of it.
pub(crate) async fn run(_: Args, connection: ConnectionArgs) -> anyhow::Result<Exit> {
    let server = match server(&connection).await {
        Ok(version) => version,
        Err(error) => format!("not known: {error}"),
    };
    output::print(&format!("client  {}\nserver  {server}\n", env!("CARGO_PKG_VERSION")))?;
    Ok(Exit::Done)
}

async fn server(connection: &ConnectionArgs) -> anyhow::Result<String> {
    let mut client = connect(connection).await?;
    let status = status::ask(&mut client, Consistency::Stale.into()).await?;
    let by = status.read.map(|read| read.answered_by).unwrap_or_default();
    Ok(output::plain(&format!("{} ({by}.{})", status.version, status.domain)))
}
