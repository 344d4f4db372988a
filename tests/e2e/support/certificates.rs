//! Certificates that no `kato pki` would hand out, and handshakes that show them or none.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kato_core::Timestamp;
use kato_net::Role;
use kato_net::pki::{Authority, Overwrite};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::wall_ms;

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// Signs for `role` with the authority `BY.pem`, from `age` ago for a day, and returns the name of the pair.
pub(crate) fn issue(by: &Path, into: &Path, role: &str, age: Duration) -> PathBuf {
    let authority = Authority::load(&pair(by).0, &pair(by).1).unwrap();
    sign(&authority, into, role, age)
}

/// The same by an authority that this mesh has never heard of.
pub(crate) fn forge(into: &Path, domain: &str, role: &str) -> PathBuf {
    let root = Authority::root(domain.parse().unwrap(), Timestamp(wall_ms()), DAY).unwrap();
    root.store(into, "foreign-ca", Overwrite::Replace).unwrap();
    sign(&root, into, role, Duration::ZERO)
}

fn sign(authority: &Authority, into: &Path, role: &str, age: Duration) -> PathBuf {
    let then = Timestamp(wall_ms() - u64::try_from(age.as_millis()).unwrap());
    let role: Role = role.parse().unwrap();
    let name = format!("{}-{}", role.to_string().replace('/', "-"), age.as_secs());
    authority.issue(role, &[], then, DAY).unwrap().store(into, &name, Overwrite::Replace).unwrap();
    into.join(name)
}

/// The files of a name.
pub(crate) fn pair(name: &Path) -> (PathBuf, PathBuf) {
    let file = |tail: &str| {
        let mut path = name.as_os_str().to_owned();
        path.push(tail);
        PathBuf::from(path)
    };
    (file(".pem"), file("-key.pem"))
}

/// Shakes hands as an ordinary TLS client, showing the certificate `NAME.pem` or none, and returns what the server
/// has to say against it.
pub(crate) fn handshake(ca: &Path, name: Option<&Path>, address: &str) -> Result<(), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match name.map(pair) {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate).unwrap();
            let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), server).unwrap();
    let tcp = std::net::TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut stream = StreamOwned::new(session, tcp);
    // In TLS 1.3 the client is done first: only what it reads then tells whether it was taken.
    let mut byte = [0];
    match std::io::Read::read(&mut stream, &mut byte) {
        Ok(0) => Err("closed".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
