//! The peer of durable writes: three etcd members with mutual TLS, from Debian's package at a pinned version, with the
//! certificates of the mesh and its client's transport, so that the store is what differs.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::mesh::SITES;
use crate::wait::until;

/// As Debian 12 has it: <https://packages.debian.org/bookworm/etcd-server>.
const PACKAGE: &str = "etcd-server=3.4.23-4+b4";

/// Three members; dropping them kills them.
pub(crate) struct Etcd {
    program: PathBuf,
    /// What each member is started with.
    arguments: Vec<Vec<String>>,
    members: Vec<Child>,
    addresses: Vec<String>,
    _data: tempfile::TempDir,
}

/// `etcdserverpb.PutRequest` of etcd's `rpc.proto`, as far as a plain put needs it.
#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes, tag = "1")]
    key: Vec<u8>,
    #[prost(bytes, tag = "2")]
    value: Vec<u8>,
}

/// Its answer, of which nothing is needed.
#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

/// `etcdserverpb.StatusRequest`, and of its answer who speaks and who leads.
#[derive(Clone, PartialEq, prost::Message)]
struct StatusRequest {}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<ResponseHeader>,
    #[prost(uint64, tag = "4")]
    leader: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResponseHeader {
    #[prost(uint64, tag = "2")]
    member_id: u64,
}

impl Etcd {
    /// Starts the members with the certificates under `mesh`, a data directory of `kato dev`.
    pub(crate) async fn start(mesh: &Path) -> anyhow::Result<Self> {
        let program = tokio::task::spawn_blocking(install).await??;
        let data = tempfile::tempdir()?;
        let ports = free_ports(SITES.len() * 2)?;
        let (clients, peers) = ports.split_at(SITES.len());
        let url = |port: &u16| format!("https://127.0.0.1:{port}");
        let member = |(site, port): (&str, &u16)| format!("{site}={}", url(port));
        let all: Vec<String> = SITES.into_iter().zip(peers).map(member).collect();
        let mut arguments = Vec::new();
        for ((site, client), peer) in SITES.into_iter().zip(clients).zip(peers) {
            let (client, peer) = (url(client), url(peer));
            let tls = |file: &str| mesh.join(file).display().to_string();
            let files = [
                ("ca", tls("pki/ca.pem")),
                ("certificate", tls(&format!("{site}/coordinator.pem"))),
                ("key", tls(&format!("{site}/coordinator-key.pem"))),
            ];
            let [ca, certificate, key] = files.map(|(_, path)| path);
            let options = [
                ("name", site),
                ("data-dir", &data.path().join(site).display().to_string()),
                ("listen-client-urls", &client),
                ("advertise-client-urls", &client),
                ("listen-peer-urls", &peer),
                ("initial-advertise-peer-urls", &peer),
                ("initial-cluster", &all.join(",")),
                ("trusted-ca-file", &ca),
                ("cert-file", &certificate),
                ("key-file", &key),
                ("peer-trusted-ca-file", &ca),
                ("peer-cert-file", &certificate),
                ("peer-key-file", &key),
            ];
            let mut own: Vec<String> =
                options.iter().map(|(option, value)| format!("--{option}={value}")).collect();
            own.extend(["--client-cert-auth", "--peer-client-cert-auth"].map(str::to_owned));
            arguments.push(own);
        }
        let addresses = clients.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let members = arguments.iter().map(|own| spawn(&program, own));
        let members = members.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { program, arguments, members, addresses, _data: data })
    }

    /// Kills a member without a warning.
    pub(crate) fn kill(&mut self, member: usize) -> anyhow::Result<()> {
        Ok(self.members[member].kill()?)
    }

    /// Starts a member again that was killed, and waits until it takes a write.
    pub(crate) async fn restart(&mut self, member: usize, channel: &Channel) -> anyhow::Result<()> {
        self.members[member].wait()?;
        self.members[member] = spawn(&self.program, &self.arguments[member])?;
        self.wait(channel).await
    }

    /// The address of one member.
    pub(crate) fn address(&self, member: usize) -> String {
        self.addresses[member].clone()
    }

    /// Waits until a write is taken.
    pub(crate) async fn wait(&self, channel: &Channel) -> anyhow::Result<()> {
        let put = || put(channel.clone(), "ready".to_owned(), String::new());
        until("etcd was not ready", async || Ok(put().await.is_ok())).await
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for child in &mut self.members {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// One durable write.
pub(crate) async fn put(channel: Channel, key: String, value: String) -> Result<(), tonic::Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    let request = PutRequest { key: key.into_bytes(), value: value.into_bytes() };
    let codec: ProstCodec<PutRequest, PutResponse> = ProstCodec::default();
    let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
    client.unary(tonic::Request::new(request), path, codec).await.map(drop)
}

/// Whether the member at the other end leads.
pub(crate) async fn leads(channel: &Channel) -> Result<bool, tonic::Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    let codec: ProstCodec<StatusRequest, StatusResponse> = ProstCodec::default();
    let path = PathAndQuery::from_static("/etcdserverpb.Maintenance/Status");
    let status = client.unary(tonic::Request::new(StatusRequest {}), path, codec).await?;
    let StatusResponse { header, leader } = status.into_inner();
    Ok(header.is_some_and(|header| header.member_id == leader))
}

fn spawn(program: &Path, arguments: &[String]) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn()
}

/// The program, unpacked once into `target/peers`.
fn install() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("this program lies in target/PROFILE")?;
    let home = target.join("peers").join(PACKAGE);
    let program = home.join("usr/bin/etcd");
    if program.exists() {
        return Ok(program);
    }
    let fetched = tempfile::tempdir()?;
    run(Command::new("apt-get").args(["download", PACKAGE]).current_dir(fetched.path()))?;
    fs::create_dir_all(&home)?;
    for package in fs::read_dir(fetched.path())? {
        run(Command::new("dpkg").arg("-x").arg(package?.path()).arg(&home))?;
    }
    Ok(program)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}

fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    // All are held until each has been given another one.
    let bound = (0..count).map(|_| TcpListener::bind("127.0.0.1:0"));
    let bound = bound.collect::<Result<Vec<_>, _>>()?;
    bound.iter().map(|bound| Ok(bound.local_addr()?.port())).collect()
}
