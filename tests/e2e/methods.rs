//! Every method that is served, asked for by everybody: the table of who may call what is the whole truth.

use std::collections::BTreeSet;

use kato_coordinator::access::{ACCESS, Who};
use kato_proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

use crate::support::client::{block_on, dial, is_refused, knock};
use crate::support::mesh::Mesh;

/// The services that are not ours: health and reflection.
const FOREIGN: &str = "/grpc.";

/// Every method of the descriptor set.
fn described() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let methods = set.file.iter().flat_map(|file| {
        file.service.iter().flat_map(|service| {
            let path = format!("/{}.{}", file.package(), service.name());
            service.method.iter().map(move |method| format!("{path}/{}", method.name()))
        })
    });
    methods.collect()
}

#[test]
fn every_method_has_a_row_and_every_row_a_method() {
    let rows: Vec<&str> = ACCESS.iter().map(|(method, _)| *method).collect();
    let table: BTreeSet<String> = rows.iter().map(|row| (*row).to_owned()).collect();
    assert_eq!(rows.len(), table.len(), "a method has two rows");
    let ours: BTreeSet<String> =
        table.iter().filter(|method| !method.starts_with(FOREIGN)).cloned().collect();
    assert_eq!(ours, described());
    assert!(ours.len() >= 25, "{ours:?}");
    for (method, admitted) in ACCESS {
        assert!(!admitted.is_empty(), "{method} is for nobody");
    }
}

#[test]
fn every_role_is_admitted_to_what_the_table_says_and_to_nothing_else() {
    let mesh = Mesh::start();
    let address =
        mesh.status().members.into_iter().find(|m| m.datacenter == "dub").unwrap().address;
    let data = mesh.data();
    let roles = [
        (Who::Operator, "pki/operator"),
        (Who::Reader, "pki/reader"),
        (Who::Coordinator, "ewr/coordinator"),
        (Who::Agent, "dub/core-1"),
    ];
    let before = mesh.status().term;
    let (mut admitted, mut refused, mut wrong) = (0, 0, Vec::new());
    block_on(async {
        for (who, certificate) in roles {
            let channel = dial(&data.join("pki/ca.pem"), &data.join(certificate), &address);
            for (method, table) in ACCESS {
                let status = knock(channel.clone(), method).await;
                let (found, should) = (!is_refused(status.as_ref()), table.contains(&who));
                if found != should {
                    wrong.push(format!(
                        "{who:?} {method}: admitted {found}, not {should}: {status:?}"
                    ));
                }
                // In words, and in google.rpc's details.
                let clear = |s: &tonic::Status| {
                    s.message().contains("may not call") && !s.details().is_empty()
                };
                if !found && !status.as_ref().is_some_and(clear) {
                    wrong.push(format!("{who:?} {method}: {status:?} does not say why"));
                }
                if status.as_ref().is_some_and(|s| s.code() == Code::Unimplemented) {
                    wrong.push(format!("{who:?} {method}: nobody serves it: {status:?}"));
                }
                if found { admitted += 1 } else { refused += 1 }
            }
            // What is in no table is there for nobody.
            let status = knock(channel, "/kato.v1.Workloads/Drop").await.expect("it is refused");
            assert_eq!(status.code(), Code::Unimplemented, "{who:?}: {status:?}");
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    crate::support::say(&format!("FIGURE: {admitted} calls admitted, {refused} refused"));
    let after = mesh.status();
    assert_eq!((after.term, after.workloads), (before, 0), "a knock did something");
}
