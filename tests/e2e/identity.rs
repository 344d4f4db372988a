//! Who one is, is what one can prove: everybody else is refused, and told so.

use std::fs;
use std::time::Duration;

use kato_proto::mesh_v1::agent_message::Message;
use kato_proto::mesh_v1::agents_client::AgentsClient;
use kato_proto::mesh_v1::{AgentMessage, Hello};
use kato_proto::store_v1::MachineSpec;
use kato_proto::v1::workloads_client::WorkloadsClient;
use kato_proto::v1::{ApplyRequest, ApplyResponse, Change, UnitFile, apply_request};
use tonic::Code;

use crate::support::certificates::{DAY, forge, handshake, issue, pair};
use crate::support::client::{block_on, dial, knock};
use crate::support::mesh::{IDLE, Mesh};

#[test]
fn whoever_proves_nothing_is_refused_in_the_handshake() {
    let mesh = Mesh::start();
    let (ca, root, home) =
        (mesh.data().join("pki/ca.pem"), mesh.data().join("pki/ca"), mesh.home());
    let address = mesh.status().members[0].address.clone();
    let operator = mesh.data().join("pki/operator");
    let expired = issue(&root, home, "operator/late", DAY * 3);
    let foreign = forge(home, "demo.com", "operator/stranger");
    let elsewhere = forge(home, "other.org", "operator/stranger");

    assert_eq!(handshake(&ca, Some(&operator), &address), Ok(()));
    for (who, name, said) in [
        ("nobody", None, "CertificateRequired"),
        ("somebody whose certificate has expired", Some(&expired), "CertificateExpired"),
        ("a stranger of the same name", Some(&foreign), "UnknownCA"),
        ("a stranger", Some(&elsewhere), "UnknownCA"),
    ] {
        let refused = handshake(&ca, name.map(std::path::PathBuf::as_path), &address);
        let error = refused.expect_err(&format!("{who} was let in"));
        let refusals = [said, "AccessDenied", "BadCertificate", "CertificateUnknown"];
        assert!(refusals.iter().any(|word| error.contains(word)), "{who}: {error}");
    }

    let as_whom = |name: &std::path::Path| {
        let (certificate, key) = pair(name);
        let words = [certificate, key].map(|path| path.to_str().unwrap().to_owned());
        mesh.kato(&["get", "workloads", "--cert", &words[0], "--key", &words[1]])
    };
    as_whom(&operator).code(0);
    as_whom(&expired).one_error(&["the certificate of spiffe://demo.com/operator/late expired"]);
    as_whom(&foreign).one_error(&["would refuse the certificate in", "hint: "]);
}

#[test]
fn a_reader_reads_and_an_operator_is_no_member() {
    let mesh = Mesh::start();
    let pki = mesh.data().join("pki");
    let (reader, key) = pair(&pki.join("reader"));
    let reader = ["--cert", reader.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let file = mesh.unit("idle.service", IDLE, "");
    let run = |verb: &[&str]| mesh.kato(&[verb, &reader].concat());
    run(&["get", "machines"]).code(0);
    mesh.run(&[&mesh.unit("there.service", IDLE, "")]);
    for verb in [&["apply", "-y", &file][..], &["delete", "workload", "there", "-y"]] {
        run(verb).one_error(&["reader/reader may not call", "it is for operator", "hint: "]);
    }
    let revision = || mesh.status().read.unwrap().revision;
    let before = revision();
    let asked = run(&["plan", &file, "-o", "json"]).code(2);
    let plan: ApplyResponse = serde_json::from_str(&asked.out).unwrap();
    assert_eq!((plan.change(), plan.unplaced), (Change::Created, 0), "{plan:?}");
    assert!(plan.decision.is_some_and(|decision| !decision.candidates.is_empty()));
    run(&["plan", &mesh.unit("there.service", IDLE, "")]).code(0);

    let address = mesh.status().members[0].address.clone();
    block_on(async {
        let channel = dial(&pki.join("ca.pem"), &pki.join("reader"), &address);
        let mut client = WorkloadsClient::new(channel);
        let text = fs::read_to_string(&file).unwrap();
        let unit = UnitFile { file_name: "idle.service".to_owned(), text };
        let source = Some(apply_request::Source::Unit(unit));
        for dry_run in [false, true] {
            let wish = ApplyRequest { source: source.clone(), dry_run, expected_revision: None };
            // A plan is a plan, whatever the message says of itself.
            let planned = client.plan(wish.clone()).await.unwrap().into_inner();
            assert_eq!(planned.change(), Change::Created);
            let refused = client.apply(wish).await.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        }
        let operator = dial(&pki.join("ca.pem"), &pki.join("operator"), &address);
        for method in ["Append", "Vote", "Propose", "TransferLeader"] {
            let method = format!("/kato.mesh.v1.Raft/{method}");
            let status = knock(operator.clone(), &method).await.expect("it is refused");
            assert_eq!(status.code(), Code::PermissionDenied, "{method}: {status:?}");
            assert!(status.message().contains("operator/operator may not call"), "{status:?}");
        }
    });
    assert_eq!((revision(), mesh.status().workloads), (before, 1), "a reader changed something");
}

#[test]
fn an_agent_speaks_of_its_own_machine_only() {
    let mesh = Mesh::start();
    let address =
        mesh.status().members.into_iter().find(|m| m.datacenter == "dub").unwrap().address;
    let machine = |id: &str| {
        let known = mesh.machines().into_iter().find(|machine| machine.id == id).unwrap();
        let offer = known.offer.unwrap();
        let resources = |r: kato_proto::v1::Resources| kato_proto::store_v1::Resources {
            cpu_millis: r.cpu_millis,
            memory_bytes: r.memory_bytes,
            disk_bytes: r.disk_bytes,
            gpus: r.gpus,
        };
        MachineSpec {
            id: known.id,
            resources: known.resources.map(resources),
            offer: Some(kato_proto::store_v1::Offer {
                provider: offer.provider,
                region: offer.region,
                kind: offer.kind,
                market: offer.market,
                arch: kato_proto::store_v1::Arch::X8664.into(),
                capacity: offer.capacity.map(resources),
                price_micros_per_hour: offer.price_micros_per_hour,
                priced_at_unix_ms: offer.priced_at_unix_ms,
                source: offer.source,
                gpu: offer.gpu,
                terms: None,
            }),
            address: known.address,
            incarnation: known.incarnation + 1,
            ..MachineSpec::default()
        }
    };
    let ca = mesh.data().join("pki/ca.pem");
    let before = mesh.machines();
    for (certificate, spoken_of, code, words) in [
        ("dub/core-1", "core-2.cell-1.dub", Code::PermissionDenied, "core-1.cell-1.dub's, not"),
        ("dub/core-1", "core-1.cell-1.ewr", Code::PermissionDenied, "core-1.cell-1.dub's, not"),
        ("ewr/core-1", "core-1.cell-1.dub", Code::FailedPrecondition, "the coordinator of dub"),
        ("ewr/core-1", "core-1.cell-1.ewr", Code::FailedPrecondition, "the coordinator of dub"),
    ] {
        let hello = Hello { machine: Some(machine(spoken_of)), instances: Vec::new() };
        let hello = AgentMessage { message: Some(Message::Hello(hello)) };
        let status = block_on(async {
            let mut client = AgentsClient::new(dial(&ca, &mesh.data().join(certificate), &address));
            let attached = client.attach(tokio_stream::once(hello));
            tokio::time::timeout(Duration::from_secs(5), attached).await.unwrap()
        });
        let status = status.err().unwrap_or_else(|| panic!("{certificate} spoke of {spoken_of}"));
        assert_eq!(status.code(), code, "{certificate} of {spoken_of}: {status:?}");
        assert!(status.message().contains(words), "{status:?}");
    }
    let incarnations = |machines: &[kato_proto::v1::Machine]| {
        machines.iter().map(|m| (m.id.clone(), m.incarnation)).collect::<Vec<_>>()
    };
    assert_eq!(incarnations(&mesh.machines()), incarnations(&before));
}
