//! A stranger's gRPC client, which knows nothing of Káto but what the mesh tells it.

use std::process::Command;

use crate::support::mesh::Mesh;
use crate::support::needs::not_run;
use crate::support::peers::grpcurl;
use crate::support::program::{Ran, run};

#[test]
fn grpcurl_lists_describes_and_calls_the_mesh() {
    let program = match grpcurl() {
        Ok(program) => program,
        Err(reason) => return not_run(&format!("grpcurl cannot be installed: {reason}")),
    };
    let mesh = Mesh::start();
    let pki = mesh.data().join("pki");
    let address = mesh.status().members[0].address.clone();
    let bare = |name: Option<&str>| {
        let mut command = Command::new(&program);
        command.arg("-cacert").arg(pki.join("ca.pem")).args(["-max-time", "10"]);
        if let Some(name) = name {
            let file = |tail: &str| pki.join(format!("{name}{tail}.pem"));
            command.arg("-cert").arg(file("")).arg("-key").arg(file("-key"));
        }
        command
    };
    let curl = |before: &[&str], after: &[&str]| -> Ran {
        run(bare(Some("operator")).args(before).arg(&address).args(after))
    };

    let listed = curl(&[], &["list"]).code(0);
    for service in ["kato.v1.Workloads", "kato.v1.Placement", "grpc.health.v1.Health"] {
        assert!(listed.out.lines().any(|line| line == service), "{listed:?}");
    }
    let described = curl(&[], &["describe", "kato.v1.Workloads.Apply"]).code(0);
    assert!(described.out.contains("rpc Apply ( .kato.v1.ApplyRequest )"), "{described:?}");
    let message = curl(&[], &["describe", ".kato.v1.WorkloadSpec"]).code(0);
    assert!(message.out.contains("latency_ms_max"), "{message:?}");

    let unit =
        r#"{"unit":{"file_name":"idle.service","text":"[Service]\nExecStart=/bin/sleep 1000\n"}}"#;
    let applied = curl(&["-d", unit], &["kato.v1.Workloads/Apply"]).code(0);
    assert!(applied.out.contains("CHANGE_CREATED"), "{applied:?}");
    mesh.running("idle");
    let read = curl(&["-d", r#"{"name":"idle"}"#], &["kato.v1.Workloads/Get"]).code(0);
    assert!(read.out.contains("\"running\": 1"), "{read:?}");
    let health = curl(&[], &["grpc.health.v1.Health/Check"]).code(0);
    assert!(health.out.contains("SERVING"), "{health:?}");
    // Under another name of the same server.
    let named = curl(&["-servername", "localhost"], &["list"]).code(0);
    assert!(named.out.contains("kato.v1.Cluster"), "{named:?}");

    let wrong = curl(&["-d", r#"{"name":"no such"}"#], &["kato.v1.Workloads/Get"]);
    assert!(wrong.code != 0 && wrong.err.contains("InvalidArgument"), "{wrong:?}");
    let reader =
        run(bare(Some("reader")).args(["-d", unit]).arg(&address).arg("kato.v1.Workloads/Apply"));
    assert!(reader.code != 0 && reader.err.contains("PermissionDenied"), "{reader:?}");
    let nobody = run(bare(None).arg(&address).arg("list"));
    assert!(nobody.code != 0 && nobody.out.is_empty(), "{nobody:?}");
    // Which of the server's alert and its end it sees first is its own affair.
    assert!(nobody.err.contains("Failed to dial"), "{nobody:?}");
}
