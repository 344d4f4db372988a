//! How `kato dev lose` and `kato dev return` speak to the `kato dev` that runs: one line each way over a socket in
//! the data directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::site::{SITES, Site};
use super::{DatacenterArgs, DevError, data_dir};
use crate::failure::Exit;
use crate::output;

/// The longest path that a socket may have on Linux, its end included (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

/// How long a client may take to say what it wants; others wait behind it.
const REQUEST: Duration = Duration::from_secs(2);

/// Where the socket is: in the data directory, unless that is too deep for one.
fn socket(root: &Path) -> PathBuf {
    let near = root.join("dev.sock");
    if near.as_os_str().len() <= SOCKET_PATH_MAX {
        return near;
    }
    let sum = crc32c::crc32c(root.as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("kato-dev-{sum:08x}.sock"))
}

/// Binds the socket. An older one is from a `kato dev` that is gone: this one holds the lock.
pub(super) fn listen(root: &Path) -> std::io::Result<UnixListener> {
    let path = socket(root);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// A request of one client.
pub(super) struct Request {
    pub(super) verb: String,
    pub(super) site: &'static Site,
    stream: UnixStream,
}

/// The next request that makes sense; others are answered here. Not cancel-safe: a client that was let in would be
/// forgotten.
pub(super) async fn next(listener: &UnixListener) -> std::io::Result<Request> {
    loop {
        let (stream, _) = listener.accept().await?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let read = tokio::time::timeout(REQUEST, stream.read_line(&mut line)).await;
        if !matches!(read, Ok(Ok(_))) {
            continue;
        }
        let mut stream = stream.into_inner();
        let mut words = line.split_whitespace();
        let (verb, site) = (words.next(), words.next().and_then(Site::named));
        if let (Some(verb), Some(site)) = (verb, site) {
            return Ok(Request { verb: verb.to_owned(), site, stream });
        }
        let names = SITES.map(|site| site.name).join(", ");
        let text = format!("error there is no such datacenter; there are {names}\n");
        // A client that is gone does not mind.
        drop(stream.write_all(text.as_bytes()).await);
    }
}

impl Request {
    /// Answers the client.
    pub(super) async fn answer(mut self, answer: Result<String, String>) {
        let text = match answer {
            Ok(text) => format!("ok {text}\n"),
            Err(text) => format!("error {text}\n"),
        };
        // A client that is gone does not mind.
        drop(self.stream.write_all(text.as_bytes()).await);
    }
}

/// Asks the `kato dev` that runs.
pub(super) fn ask(verb: &str, args: &DatacenterArgs) -> anyhow::Result<Exit> {
    let root = data_dir(args.data_dir.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let Ok(mut stream) = UnixStream::connect(socket(&root)).await else {
            return Err(DevError::NotRunning { path: root.clone() }.into());
        };
        stream.write_all(format!("{verb} {}\n", args.datacenter).as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await?;
        anyhow::Ok(answer)
    })?;
    match answer.trim_end().split_once(' ') {
        Some(("ok", text)) => {
            output::print(&format!("{text}\n"))?;
            Ok(Exit::Done)
        }
        Some(("error", text)) => Err(DevError::Refused(text.to_owned()).into()),
        _ => Err(DevError::NotRunning { path: root }.into()),
    }
}
