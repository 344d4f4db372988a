//! The messages that leave a process, and how they become the pure types.
//!
//! Three packages, each evolving by itself: `kato.v1` for clients, `kato.mesh.v1` between members,
//! `kato.store.v1` for what lies on disk. Nothing read from a wire or a disk reaches the rest of Káto
//! without passing a conversion here that checks it.

mod convert;
pub mod store;

pub use convert::{Field, InvalidMessage};

pub use generated::mesh::v1 as mesh_v1;
pub use generated::store::v1 as store_v1;
pub use generated::v1;
/// What every message is: for those that must know how large one is, without a dependency of their own on prost.
pub use prost::Message;

/// Every message and service, for gRPC's server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kato.bin"));

/// Nested as the packages are, because the generated code refers from one to another that way.
#[allow(missing_docs, unreachable_pub, clippy::pedantic, clippy::large_enum_variant)]
mod generated {
    pub mod v1 {
        tonic::include_proto!("kato.v1");
        include!(concat!(env!("OUT_DIR"), "/kato.v1.serde.rs"));
    }

    pub mod mesh {
        pub mod v1 {
            tonic::include_proto!("kato.mesh.v1");
        }
    }

    #[allow(
        clippy::disallowed_types,
        reason = "pbjson puts a map of large numbers together in a hash map; a JSON object has no order"
    )]
    pub mod store {
        pub mod v1 {
            tonic::include_proto!("kato.store.v1");
            include!(concat!(env!("OUT_DIR"), "/kato.store.v1.serde.rs"));
        }
    }
}
