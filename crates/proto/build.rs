//! Compiles `proto/` with protox, so that nobody needs a system `protoc`.

use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 4] = [
    "kato/mesh/v1/raft.proto",
    "kato/store/v1/command.proto",
    "kato/store/v1/log.proto",
    "kato/store/v1/state.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    tonic_prost_build::configure().btree_map(".").bytes(".").compile_fds(descriptors)?;
    Ok(())
}
