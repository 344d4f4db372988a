//! The certificates of a mesh, a coordinator that pretends, and the real `kato` that calls it.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kato_core::Timestamp;
use kato_net::clock::{Clock, SystemClock};
use kato_net::pki::{Authority, Overwrite};
use kato_net::tls::{Credentials, TlsTransport};
use kato_net::{Transport, incoming};
use kato_proto::v1;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::far::{Far, Pretence};

const DAY: Duration = Duration::from_hours(24);

/// A root, and the files that it issued.
pub(crate) struct Mesh {
    directory: TempDir,
    root: Authority,
}

/// What `kato` printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let domain = "demo.com".parse().unwrap();
        let root = Authority::root(domain, SystemClock.wall(), 100 * DAY).unwrap();
        root.store(directory.path(), "ca", Overwrite::Refuse).unwrap();
        let mesh = Self { directory, root };
        let now = SystemClock.wall();
        let long_ago = Timestamp(now.0 - 40 * 86_400_000);
        for (role, from, days) in [
            ("coordinator/dub", now, 30),
            ("operator/ada", now, 30),
            ("operator/soon", now, 3),
            ("operator/late", long_ago, 30),
            ("reader/grafana", now, 30),
        ] {
            let issued = mesh.root.issue(role.parse().unwrap(), &[], from, days * DAY);
            let name = role.replace('/', "-");
            issued.unwrap().store(mesh.directory.path(), &name, Overwrite::Refuse).unwrap();
        }
        mesh
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file into the mesh's directory.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Starts a coordinator that pretends, and says where it answers.
    pub(crate) async fn coordinator(&self, pretence: Pretence) -> (String, Far) {
        let (certificate, key) =
            (self.path("coordinator-dub.pem"), self.path("coordinator-dub-key.pem"));
        let credentials = Credentials::load(&self.path("ca.pem"), &certificate, &key).unwrap();
        let transport = TlsTransport::new(credentials, Arc::new(SystemClock)).unwrap();
        let listener = transport.listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_address().to_string();
        let far = Far::new(pretence);
        let server = tonic::transport::Server::builder()
            .add_service(v1::workloads_server::WorkloadsServer::new(far.clone()))
            .add_service(v1::placement_server::PlacementServer::new(far.clone()))
            .add_service(v1::topology_server::TopologyServer::new(far.clone()))
            .add_service(v1::cluster_server::ClusterServer::new(far.clone()))
            .add_service(v1::events_server::EventsServer::new(far.clone()))
            .add_service(v1::logs_server::LogsServer::new(far.clone()));
        tokio::spawn(server.serve_with_incoming(incoming(listener, CancellationToken::new())));
        (address, far)
    }

    /// `kato` as an operator, calling these addresses.
    pub(crate) fn command(&self, addresses: &str, words: &[&str]) -> Command {
        self.command_as("operator-ada", addresses, words)
    }

    pub(crate) fn command_as(&self, who: &str, addresses: &str, words: &[&str]) -> Command {
        let mut command = bare(words);
        command
            .env("KATO_ADDR", addresses)
            .env("KATO_CACERT", self.path("ca.pem"))
            .env("KATO_CLIENT_CERT", self.path(&format!("{who}.pem")))
            .env("KATO_CLIENT_KEY", self.path(&format!("{who}-key.pem")));
        command
    }

    pub(crate) fn kato(&self, addresses: &str, words: &[&str]) -> Ran {
        run(&mut self.command(addresses, words))
    }
}

/// `kato` without any setting.
pub(crate) fn bare(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kato"));
    command.args(words).env_clear().env("HOME", "/nowhere").stdin(Stdio::null());
    command
}

/// Runs it to its end; the far end goes on meanwhile on another thread.
pub(crate) fn run(command: &mut Command) -> Ran {
    tokio::task::block_in_place(|| command.output().unwrap().into())
}

/// Runs it with text on the standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Ran {
    tokio::task::block_in_place(|| {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    })
}

/// Runs it on a terminal on which somebody types.
pub(crate) fn run_on_terminal(command: &mut Command, typed: &str) -> Ran {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = File::options().read(true).write(true).open(Path::new(&path)).unwrap();
    let mut ours = File::from(ours);
    ours.write_all(typed.as_bytes()).unwrap();
    run(command.stdin(theirs))
}

/// An address on which somebody listens who never says a word, while it is held.
pub(crate) fn silent() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap().to_string(), listener)
}

/// An address on which nobody listens.
pub(crate) fn closed() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
