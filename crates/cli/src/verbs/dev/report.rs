//! What `kato dev` says: what it does while it starts, what it started, and what to try next.

use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use kato_net::clock::{Clock, SystemClock};
use kato_net::tls::{Credentials, TlsTransport};
use kato_net::{Expect, Timeouts, channel};
use kato_proto::v1 as pb;
use kato_proto::v1::cluster_client::ClusterClient;

use super::DevError;
use super::files::Files;
use super::site::{MACHINES, SITES, Site};
use super::supervisor::Supervisor;
use crate::contexts::Context;
use crate::output::print;

/// How long the mesh may take to be ready.
const READY_SECONDS: u64 = 60;
/// Between two questions whether it is.
const ASK: Duration = Duration::from_millis(50);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);

pub(super) fn begin(root: &Path, resumed: bool) -> anyhow::Result<()> {
    let what = if resumed { "resuming" } else { "making" };
    print(&format!("kato dev: {what} a mesh of three datacenters in {}\n", root.display()))?;
    Ok(())
}

pub(super) fn cleared(site: &Site, killed: usize) -> anyhow::Result<()> {
    print(&format!("  {}: killed {killed} processes that an earlier kato dev left\n", site.name))?;
    Ok(())
}

pub(super) fn waiting() -> anyhow::Result<()> {
    print("  waiting for another kato dev to have its ports …\n")?;
    Ok(())
}

pub(super) fn certificates(files: &Files, resumed: bool) -> anyhow::Result<()> {
    let what = if resumed { "as they were" } else { "made" };
    print(&format!("  certificates  {what}, authority {}\n", files.ca().display()))?;
    Ok(())
}

pub(super) fn sites(ports: [u16; 3]) -> anyhow::Result<()> {
    for (site, port) in SITES.iter().zip(ports) {
        print(&format!(
            "  {}  {:<10} 127.0.0.1:{port}  {} machines at the prices of {} {}\n",
            site.name,
            site.city,
            MACHINES.len(),
            site.provider,
            site.region
        ))?;
    }
    print("  waiting until every machine has joined …\n")?;
    Ok(())
}

/// Waits until the mesh has committed its datacenters and machines.
pub(super) async fn ready(
    files: &Files,
    context: &Context,
    supervisor: &mut Supervisor,
) -> anyhow::Result<()> {
    let mut last = "no coordinator answers".to_owned();
    let waiting = async {
        loop {
            if let Some(died) = supervisor.ended()? {
                return Err(died.into());
            }
            match status(context).await {
                Ok(status) => {
                    let machines = SITES.len() * MACHINES.len();
                    if status.machines as usize >= machines {
                        return anyhow::Ok(());
                    }
                    last = format!(
                        "{} datacenters, {} of {machines} machines",
                        status.datacenters, status.machines
                    );
                }
                Err(error) => last = format!("{error:#}"),
            }
            tokio::time::sleep(ASK).await;
        }
    };
    if let Ok(ready) = tokio::time::timeout(Duration::from_secs(READY_SECONDS), waiting).await {
        return ready;
    }
    let logs = files.root.clone();
    Err(DevError::NotReady { seconds: READY_SECONDS, last, logs }.into())
}

async fn status(context: &Context) -> anyhow::Result<pb::GetStatusResponse> {
    let (ca, certificate, key) = (&context.ca, &context.certificate, &context.key);
    let (Some(ca), Some(certificate), Some(key)) = (ca, certificate, key) else {
        anyhow::bail!("the context is not whole");
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let credentials = Credentials::load(ca, certificate, key)?;
    let transport = Arc::new(TlsTransport::new(credentials, clock)?);
    let address = context.addresses.first().cloned().unwrap_or_default();
    let channel = channel(transport, address, Expect::AnyCoordinator, Timeouts::default());
    let request = pb::GetStatusRequest::default();
    let mut client = ClusterClient::new(channel);
    let answer = tokio::time::timeout(ANSWER, client.get_status(request)).await??;
    Ok(answer.into_inner())
}

pub(super) fn done(
    files: &Files,
    ports: [u16; 3],
    contexts: &Path,
    took: Duration,
) -> anyhow::Result<()> {
    let (certificate, key) = files.operator();
    let kato = program();
    print(&format!(
        "ready in {:.1} s\n\n\
         \x20 endpoints    {}\n\
         \x20 authority    {}\n\
         \x20 operator     {} (key {})\n\
         \x20 data         {}\n\
         \x20 context      dev, in {}\n\n\
         try next, in another terminal:\n\
         \x20 {kato} apply deploy/examples/web@.service\n\
         \x20 {kato} get placements\n\
         \x20 {kato} dev lose ewr{}\n\n\
         Ctrl-C stops everything; the same data directory resumes it\n",
        took.as_secs_f64(),
        ports.map(|port| format!("127.0.0.1:{port}")).join(", "),
        files.ca().display(),
        certificate.display(),
        key.display(),
        files.root.display(),
        contexts.display(),
        data_dir_flag(files),
    ))?;
    Ok(())
}

/// How to call this program again: by its path from here, if it lies below.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_else(|_| "kato".into());
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).map(Path::to_path_buf).unwrap_or(path).display().to_string()
}

/// The flag that a later command needs to find this mesh, if it is not in the usual place.
fn data_dir_flag(files: &Files) -> String {
    let usual = super::data_dir(None).is_ok_and(|usual| usual == files.root);
    if usual { String::new() } else { format!(" --data-dir {}", files.root.display()) }
}

pub(super) fn ended(site: &Site, name: &str, status: ExitStatus) -> anyhow::Result<()> {
    print(&format!("{name} of {} ended ({status}), starting it again\n", site.name))?;
    Ok(())
}

pub(super) fn lost(site: &Site, killed: usize) -> anyhow::Result<()> {
    print(&format!("{} is lost: {killed} processes were killed\n", site.name))?;
    Ok(())
}

pub(super) fn returned(site: &Site) -> anyhow::Result<()> {
    print(&format!("{} starts again\n", site.name))?;
    Ok(())
}

pub(super) fn stopping() -> anyhow::Result<()> {
    print("\nstopping every process …\n")?;
    Ok(())
}

pub(super) fn stopped(files: &Files) -> anyhow::Result<()> {
    print(&format!("stopped; the mesh is kept in {}\n", files.root.display()))?;
    Ok(())
}
