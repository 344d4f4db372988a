//! Who is not let in, and what each side says of it.

use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[tokio::test]
async fn the_wrong_server_is_refused_by_name() {
    let mesh = Mesh::new("demo.com");
    let (client, server) = (mesh.peer("operator/admin"), mesh.peer("coordinator/ewr"));
    let (connected, accepted) =
        meet(&client, &server, &Expect::Role("coordinator/dub".parse().unwrap())).await;
    assert_eq!(
        connected.unwrap_err(),
        "the peer at ADDR is spiffe://demo.com/coordinator/ewr, expected coordinator/dub"
    );
    assert!(accepted.unwrap_err().starts_with("the peer refuses this side's certificate"));

    // Mesh member or not, an agent's certificate is no server's.
    let (connected, _) = meet(&client, &mesh.peer("agent/core-1.cell-1.dub"), &COORDINATOR).await;
    let error = connected.unwrap_err();
    assert!(error.contains("agent/core-1.cell-1.dub is not valid here"), "{error}");
}

#[tokio::test]
async fn impostors_are_refused_and_both_sides_say_why() {
    let (mesh, other, twin) =
        (Mesh::new("demo.com"), Mesh::new("other.com"), Mesh::new("demo.com"));
    let server = mesh.peer("coordinator/dub");
    for (client, expected) in [
        (
            twin.forged(&twin.root, "operator/mallory", &mesh),
            "the certificate of spiffe://demo.com/operator/mallory is not signed by the root of",
        ),
        (
            twin.forged(&twin.dub, "agent/core-1.cell-1.dub", &mesh),
            "the certificate of spiffe://demo.com/authority/dub is not signed by the root of",
        ),
        (
            mesh.forged(&mesh.dub, "operator/mallory", &mesh),
            "spiffe://demo.com/authority/dub signed the certificate of \
             spiffe://demo.com/operator/mallory, for whom it may not sign",
        ),
        (mesh.forged(&mesh.dub, "agent/core-1.cell-1.ewr", &mesh), "for whom it may not sign"),
        (
            mesh.forged(&mesh.root, "agent/core-1.cell-1.dub", &mesh),
            "comes without the one of authority/dub, which must follow it",
        ),
        (
            mesh.forged(&mesh.root, "authority/dub", &mesh),
            "is an authority, which may sign but never be a peer",
        ),
        (
            other.forged(&other.root, "operator/mallory", &mesh),
            "spiffe://other.com/operator/mallory is not of the mesh \"demo.com\"",
        ),
    ] {
        let (connected, accepted) = meet(&client, &server, &COORDINATOR).await;
        let error = accepted.unwrap_err();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        let error = connected.unwrap_err();
        assert!(error.starts_with("the peer at ADDR refuses spiffe://"), "{error}");
    }
}

#[tokio::test]
async fn time_is_judged_by_the_clock_of_whoever_looks() {
    let mesh = Mesh::new("demo.com");
    let client = mesh.peer("operator/admin");
    let issued = mesh.root.issue("coordinator/dub".parse().unwrap(), &[], NOW, DAY * 3).unwrap();
    let credentials = mesh.credentials(&issued).unwrap();
    for (now, expected) in [
        (
            Timestamp(NOW.0 + 2 * 86_400_000),
            "the certificate of spiffe://demo.com/operator/admin expired on 2026-11-23T13:42:28Z",
        ),
        (
            Timestamp(NOW.0 - 400_000),
            "the certificate of spiffe://demo.com/operator/admin begins on 2026-11-22T13:37:28Z",
        ),
    ] {
        let server = TlsTransport::new(credentials.clone(), clock(now)).unwrap();
        let (connected, accepted) = meet(&client, &server, &COORDINATOR).await;
        let error = accepted.unwrap_err();
        assert!(error.contains(expected), "{error}");
        let error = connected.unwrap_err();
        assert!(error.contains("whose certificate is valid until 2026-11-23"), "{error}");
        // The other way around.
        let late = clock(Timestamp(NOW.0 + 4 * 86_400_000));
        let client = TlsTransport::new(client.session().credentials.clone(), late).unwrap();
        let (connected, _) = meet(&client, &server, &COORDINATOR).await;
        let error = connected.unwrap_err();
        assert!(error.contains("coordinator/dub expired on 2026-11-25T13:42:28Z"), "{error}");
    }
}

#[tokio::test]
async fn who_shows_no_certificate_is_refused() {
    let mesh = Mesh::new("demo.com");
    let server = mesh.peer("coordinator/dub");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let time = Arc::new(VerifierClock(clock(NOW)));
    let anonymous = ClientConfig::builder_with_details(Arc::new(provider()), time)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerVerifier::new(
            server.session().credentials.trust(),
            Some(COORDINATOR),
        )))
        .with_no_client_auth();
    let connect = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(anonymous));
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, tcp).await.unwrap();
        stream.read_u8().await.unwrap_err()
    };
    let accept = async {
        let (tcp, peer) = listener.accept().await.unwrap();
        listen::secure(&server.session(), tcp, peer).await.map(|_| ()).unwrap_err()
    };
    let (_, refused) = tokio::join!(connect, accept);
    assert_eq!(chain(&refused), "the peer is refused: the peer shows no certificate");
}

#[test]
fn credentials_that_the_peers_would_refuse_do_not_load() {
    let (mesh, twin) = (Mesh::new("demo.com"), Mesh::new("demo.com"));
    let foreign = twin.root.issue("operator/admin".parse().unwrap(), &[], NOW, DAY).unwrap();
    let error = chain(&mesh.credentials(&foreign).unwrap_err());
    assert!(error.contains("operator/admin is not signed by the root of this mesh"), "{error}");
    let own = mesh.root.issue("operator/admin".parse().unwrap(), &[], NOW, DAY).unwrap();
    mesh.credentials(&own).unwrap();
    foreign.store(mesh.directory.path(), "foreign", Overwrite::Refuse).unwrap();
    let (ca, certificate) = (mesh.path("ca.pem"), mesh.path("node.pem"));
    let error = Credentials::load(&ca, &certificate, &mesh.path("foreign-key.pem")).unwrap_err();
    assert!(error.to_string().contains("foreign-key.pem does not fit the certificate in"));
    let error = Credentials::load(&ca, &mesh.path("node-key.pem"), &certificate).unwrap_err();
    assert!(error.to_string().contains("holds \"PRIVATE KEY\", but should hold a certificate"));
}
