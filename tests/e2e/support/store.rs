//! A store on the network that knows epochs: it remembers the largest that has come with a write, and refuses every write
//! with a smaller one.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What came, in the order in which it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    /// The epochs of the writes that were taken.
    pub(crate) taken: Vec<u64>,
    /// The epochs of those that were not.
    pub(crate) refused: Vec<u64>,
}

/// A store that answers until this process ends.
#[derive(Debug)]
pub(crate) struct Store {
    port: u16,
    written: Arc<Mutex<Written>>,
}

impl Store {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let written = Arc::new(Mutex::new(Written::default()));
        let shared = Arc::clone(&written);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A client that hangs up, as one does that is killed, is its own concern.
                thread::spawn(move || serve(client, &shared));
            }
        });
        Self { port, written }
    }

    pub(crate) fn written(&self) -> Written {
        lock(&self.written).clone()
    }

    /// A command that writes again and again with the epoch that it was given, and fails once that is refused.
    pub(crate) fn exec_start(&self) -> String {
        format!(
            "ExecStart=/bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/{}; \
             while echo $$KATO_EPOCH >&3 && read -r answer <&3 && [ \"$$answer\" = taken ]; do \
             sleep 0.05; done; echo \"the store says: $$answer\"; exit 1'",
            self.port
        )
    }
}

fn lock(written: &Mutex<Written>) -> MutexGuard<'_, Written> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line with an epoch is a write; the answer is a line.
fn serve(client: TcpStream, written: &Mutex<Written>) -> io::Result<()> {
    let mut answers = client.try_clone()?;
    for line in BufReader::new(client).lines() {
        let epoch = line?.parse().map_err(io::Error::other)?;
        let answer = {
            let mut written = lock(written);
            match written.taken.last() {
                Some(largest) if epoch < *largest => {
                    let answer = format!("epoch {epoch} is older than {largest}\n");
                    written.refused.push(epoch);
                    answer
                }
                _ => {
                    written.taken.push(epoch);
                    "taken\n".to_owned()
                }
            }
        };
        answers.write_all(answer.as_bytes())?;
    }
    Ok(())
}
