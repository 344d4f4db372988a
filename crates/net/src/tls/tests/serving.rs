//! Who is let in, and what holds nobody up.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::*;

#[tokio::test]
async fn peers_meet_and_know_each_other() {
    let mesh = Mesh::new("demo.com");
    let server = mesh.peer("coordinator/dub");
    let mut listener = server.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().to_string();
    let dub = Expect::Role("coordinator/dub".parse().unwrap());
    for who in ["operator/admin", "reader/grafana", "coordinator/ewr", "agent/core-1.cell-1.dub"] {
        let client = mesh.peer(who);
        let (connected, accepted) = tokio::join!(client.connect(&address, &dub), listener.accept());
        let (mut connected, mut accepted) = (connected.unwrap(), accepted.unwrap());
        assert_eq!(accepted.peer.identity, *client.identity());
        connected.write_all(b"ping").await.unwrap();
        connected.flush().await.unwrap();
        let mut bytes = [0; 4];
        accepted.io.read_exact(&mut bytes).await.unwrap();
        accepted.io.write_all(&bytes).await.unwrap();
        accepted.io.flush().await.unwrap();
        connected.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
    }
}

#[tokio::test]
async fn stalled_and_babbling_peers_hold_up_nobody() {
    let mesh = Mesh::new("demo.com");
    let (client, server) = (mesh.peer("operator/admin"), mesh.peer("coordinator/dub"));
    let mut listener = server.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().to_string();
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(TcpStream::connect(&address).await.unwrap());
        let mut babbler = TcpStream::connect(&address).await.unwrap();
        babbler.write_all(b"GET / HTTP/1.1\r\nHost: dub\r\n\r\n").await.unwrap();
        drop(TcpStream::connect(&address).await.unwrap());
        held.push(babbler);
    }
    for _ in 0..2 {
        let (connected, accepted) =
            tokio::join!(client.connect(&address, &COORDINATOR), listener.accept());
        connected.unwrap();
        assert_eq!(accepted.unwrap().peer.identity, *client.identity());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_handshake_is_closed_after_its_time() {
    let mesh = Mesh::new("demo.com");
    let (client, server) = (mesh.peer("operator/admin"), mesh.peer("coordinator/dub"));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = client.connect(&address, &COORDINATOR).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(chain(&error).contains("the handshake took longer than 5s"), "{}", chain(&error));

    let mut listener = server.listen("127.0.0.1:0").await.unwrap();
    let mut stalled = TcpStream::connect(listener.local_address()).await.unwrap();
    tokio::select! {
        _ = listener.accept() => panic!("nobody was there"),
        read = stalled.read_u8() => assert!(read.is_err(), "the server closes the connection"),
    }
}

#[tokio::test]
async fn addresses_that_cannot_be_had_are_explained() {
    let mesh = Mesh::new("demo.com");
    let server = mesh.peer("coordinator/dub");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = server.listen(&address).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&format!("address {address} is in use: stop the")));
    let error = server.listen("nonsense").await.err().unwrap();
    assert!(error.to_string().contains("write it such as \"127.0.0.1:7440\""));
    drop(taken);
    let error = server.connect(&address, &COORDINATOR).await.err().unwrap();
    assert_eq!(error.to_string(), format!("cannot reach {address}"));
    assert!(error.source().is_some());
}

#[tokio::test]
async fn renewed_credentials_are_shown_where_the_old_ones_were() {
    let mesh = Mesh::new("demo.com");
    let later = clock(Timestamp(NOW.0 + 2 * 86_400_000));
    let long = |role: &str| mesh.root.issue(role.parse().unwrap(), &[], NOW, 9 * DAY).unwrap();
    let client = mesh.credentials(&long("operator/admin")).unwrap();
    let client = TlsTransport::new(client, later).unwrap();
    let server = mesh.peer("coordinator/dub");
    let mut listener = server.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().to_string();
    tokio::select! {
        connected = client.connect(&address, &COORDINATOR) => {
            let error = chain(&connected.err().unwrap());
            assert!(error.contains("coordinator/dub expired on 2026-11-23"), "{error}");
        }
        _ = listener.accept() => panic!("the client took an expired certificate"),
    }
    server.renew(mesh.credentials(&long("coordinator/dub")).unwrap()).unwrap();
    let (connected, accepted) =
        tokio::join!(client.connect(&address, &COORDINATOR), listener.accept());
    connected.unwrap();
    assert_eq!(accepted.unwrap().peer.identity, *client.identity());
    let other = mesh.credentials(&long("coordinator/ewr")).unwrap();
    let error = server.renew(other).unwrap_err().to_string();
    assert!(error.contains("coordinator/ewr, but this process is spiffe://demo.com/"), "{error}");
}

#[tokio::test]
async fn a_channel_passes_the_reason_on() {
    let mesh = Mesh::new("demo.com");
    let (client, server) = (mesh.peer("operator/admin"), mesh.peer("coordinator/ewr"));
    let mut listener = server.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().to_string();
    let dub = Expect::Role("coordinator/dub".parse().unwrap());
    let channel = crate::channel(Arc::new(client), address, dub, crate::Timeouts::default());
    let request = tonic::codegen::http::Request::new(tonic::body::Body::empty());
    tokio::select! {
        answer = channel.oneshot(request) => {
            let error = chain(&answer.err().unwrap());
            assert!(error.contains("coordinator/ewr, expected coordinator/dub"), "{error}");
        }
        _ = listener.accept() => panic!("the client took another coordinator"),
    }
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_until_others_end() {
    let mesh = Mesh::new("demo.com");
    let (client, server) = (mesh.peer("operator/admin"), mesh.peer("coordinator/dub"));
    let listener = listen::TlsListener::bind("127.0.0.1:0", Arc::clone(&server.current)).await;
    let mut listener = listener.unwrap().limited_to(1);
    let address = listener.local_address().to_string();
    for _ in 0..2 {
        let (connected, accepted) =
            tokio::join!(client.connect(&address, &COORDINATOR), listener.accept());
        let _open = (connected.unwrap(), accepted.unwrap());
        tokio::select! {
            connected = client.connect(&address, &COORDINATOR) => assert!(connected.is_err()),
            _ = listener.accept() => panic!("one connection too many was accepted"),
        }
    }
}
