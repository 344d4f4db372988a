//! Peers on loopback, and the mesh that they belong to.

mod refusals;
mod serving;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use kato_core::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::pki::{Authority, Issued, Overwrite};
use crate::{Peer, Role};

const NOW: Timestamp = Timestamp(1_795_354_948_000);
const DAY: Duration = Duration::from_hours(24);
const COORDINATOR: Expect = Expect::AnyCoordinator;

/// A clock that the test sets.
struct Fixed(Mutex<Timestamp>);

impl Clock for Fixed {
    fn boot(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn clock(now: Timestamp) -> Arc<dyn Clock> {
    Arc::new(Fixed(Mutex::new(now)))
}

/// A mesh of one root and one authority, and the directory of its files.
struct Mesh {
    root: Authority,
    dub: Authority,
    directory: TempDir,
}

impl Mesh {
    fn new(domain: &str) -> Self {
        let root = Authority::root(domain.parse().unwrap(), NOW, 100 * DAY).unwrap();
        let dub = root.intermediate("dub".parse().unwrap(), NOW, 50 * DAY).unwrap();
        let directory = tempfile::tempdir().unwrap();
        root.store(directory.path(), "ca", Overwrite::Refuse).unwrap();
        Self { root, dub, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn credentials(&self, issued: &Issued) -> Result<Credentials, CredentialsError> {
        issued.store(self.directory.path(), "node", Overwrite::Replace).unwrap();
        Credentials::load(&self.path("ca.pem"), &self.path("node.pem"), &self.path("node-key.pem"))
    }

    /// A peer as it should be.
    fn peer(&self, text: &str) -> TlsTransport {
        let role: Role = text.parse().unwrap();
        let by = if matches!(role, Role::Agent(_)) { &self.dub } else { &self.root };
        let issued = by.issue(role, &[], NOW, DAY).unwrap();
        TlsTransport::new(self.credentials(&issued).unwrap(), clock(NOW)).unwrap()
    }

    /// A peer that shows what its own checks would have kept it from showing.
    fn forged(&self, by: &Authority, text: &str, trusts: &Self) -> TlsTransport {
        let issued = by.issue_unchecked(text.parse().unwrap(), &[], NOW, DAY).unwrap();
        let bare = self.peer("operator/mallory").session().credentials.clone();
        let trusts = trusts.peer("operator/mallory").session().credentials.trust();
        issued.store(self.directory.path(), "forged", Overwrite::Replace).unwrap();
        let chain = crate::pem::read_certificates(&self.path("forged.pem"), "").unwrap();
        let key = crate::pem::read_key(&self.path("forged-key.pem")).unwrap();
        let key = rustls::sign::CertifiedKey::from_der(chain, key, &provider()).unwrap();
        TlsTransport::new(bare.showing(key, trusts), clock(NOW)).unwrap()
    }
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// What `client` and `server` say of a connection between them: the client of the server, the server of the
/// client.
async fn meet(
    client: &TlsTransport,
    server: &TlsTransport,
    expect: &Expect,
) -> (Result<(), String>, Result<Peer, String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accept = async {
        let (tcp, peer) = listener.accept().await.unwrap();
        listen::secure(&server.session(), tcp, peer).await
    };
    let (connected, accepted) = tokio::join!(client.connect(&address, expect), accept);
    let connected = connected.map(|_| ()).map_err(|error| chain(&error).replace(&address, "ADDR"));
    (connected, accepted.map(|(_, peer)| peer).map_err(|error| chain(&error)))
}
