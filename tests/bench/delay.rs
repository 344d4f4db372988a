//! A network that takes its time: a proxy in front of a coordinator that holds back what passes, in both directions.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Pieces on their way in one direction of one connection.
const PIECES_MAX: usize = 4_096;
/// The largest piece.
const PIECE_BYTES: usize = 64 * 1024;

/// The proxy; dropping it ends all that passes through it.
pub(crate) struct Delay {
    address: SocketAddr,
    _running: JoinSet<()>,
}

impl Delay {
    /// Passes on to `target` what comes, each byte `delay` later, and the answers so too.
    pub(crate) async fn start(target: String, delay: Duration) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let target = target.clone();
                passing.spawn(async move {
                    // Whoever connects sees a connection that ends.
                    pass(near, target, delay).await.ok();
                });
            }
        });
        Ok(Self { address, _running: running })
    }

    /// Where to connect.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

/// Both directions of one connection, until either ends.
async fn pass(near: TcpStream, target: String, delay: Duration) -> std::io::Result<()> {
    let far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        ended = hold_back(near_read, far_write, delay) => ended,
        ended = hold_back(far_read, near_write, delay) => ended,
    }
}

/// One direction: each piece is written when its time has come.
async fn hold_back(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
) -> std::io::Result<()> {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let reading = async move {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let length = from.read(&mut piece).await?;
            piece.truncate(length);
            if length == 0 || sender.send((Instant::now() + delay, piece)).await.is_err() {
                return std::io::Result::Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = pieces.recv().await {
            tokio::time::sleep_until(due).await;
            to.write_all(&piece).await?;
        }
        std::io::Result::Ok(())
    };
    tokio::try_join!(reading, writing).map(drop)
}
