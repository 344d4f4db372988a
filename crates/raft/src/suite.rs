//! openraft's own conformance suite, on a real directory.

use std::sync::Arc;

use kato_core::version::NEWEST;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::machine::Machine;
use crate::store::LogStore;
use crate::types::{Runtime, TypeConfig};
use crate::{DirDisk, Disk, Flush, Member};

/// The suite makes members out of nothing.
impl Default for Member {
    fn default() -> Self {
        let datacenter = "dub".parse().expect("a label");
        Self { datacenter, address: "127.0.0.1:1".to_owned() }
    }
}

struct Directories(Flush);

impl StoreBuilder<TypeConfig, LogStore, Machine, TempDir> for Directories {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let directory = TempDir::new().expect("a temporary directory can be made");
        let disk: Arc<dyn Disk> =
            Arc::new(DirDisk::open(directory.path()).expect("it can be used"));
        let log = LogStore::open(Arc::clone(&disk), 0, self.0.clone()).expect("a new log opens");
        let machine = Machine::open(disk, log.extent(), NEWEST).expect("a new machine opens");
        Ok((directory, log, machine))
    }
}

#[tokio::test]
async fn the_store_passes_with_a_writer_thread() {
    Runtime::scope(0, Suite::test_all(Directories(Flush::Thread))).await.unwrap();
}

#[tokio::test]
async fn the_store_passes_inline() {
    Runtime::scope(0, Suite::test_all(Directories(Flush::Inline))).await.unwrap();
}
