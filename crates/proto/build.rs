//! Compiles `proto/` with protox, so that nobody needs a system `protoc`.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 14] = [
    "kato/mesh/v1/agent.proto",
    "kato/mesh/v1/raft.proto",
    "kato/mesh/v1/report.proto",
    "kato/store/v1/command.proto",
    "kato/store/v1/history.proto",
    "kato/store/v1/log.proto",
    "kato/store/v1/state.proto",
    "kato/v1/cluster.proto",
    "kato/v1/events.proto",
    "kato/v1/logs.proto",
    "kato/v1/placement.proto",
    "kato/v1/topology.proto",
    "kato/v1/types.proto",
    "kato/v1/workloads.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    let encoded = descriptors.encode_to_vec();
    tonic_prost_build::configure().btree_map(".").bytes(".").compile_fds(descriptors)?;
    // For reflection, and for the JSON form of the clients' messages.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("kato.bin"), &encoded)?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .btree_map(["."])
        .preserve_proto_field_names()
        // The store's for people who look at what lies on a disk.
        .build(&[".kato.v1", ".kato.store.v1"])?;
    Ok(())
}
