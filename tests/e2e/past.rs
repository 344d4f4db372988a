//! Why something was where it was is known after it has moved, and after its coordinator has started anew.

use kato_proto::v1::ExplainResponse;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::mesh::{IDLE, Mesh};
use crate::support::until;

/// A moment as `--at` takes it.
fn moment(unix_ms: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000);
    at.unwrap().format(&Rfc3339).unwrap()
}

#[test]
fn what_was_decided_is_explained_later() {
    let mut mesh = Mesh::start();
    let file = mesh.unit("web.service", IDLE, "Near=New York\nRebalance=never");
    mesh.run(&[&file]);
    let before = mesh.running("web").remove(0);
    assert_eq!(before.datacenter, "ewr");
    let then = moment(before.placed_at_unix_ms);
    mesh.dev("lose", "ewr");
    let after = until("it has moved", || {
        mesh.instance("web@1")
            .filter(|found| !found.datacenter.is_empty() && found.datacenter != "ewr")
    });
    mesh.dev("return", "ewr");
    for resumed in [false, true] {
        if resumed {
            mesh.stop();
            mesh.resume();
        }
        let told = until("the table has it", || {
            let told = mesh.kato(&["explain", "web@1", "--at", &then]).code(0).out;
            told.contains(", until ").then_some(told)
        });
        let to_the_second = then.split('.').next().unwrap();
        let placed = format!("web@1 was placed in ewr (cell-1.ewr) at {to_the_second}");
        assert!(told.starts_with(placed.trim_end_matches('Z')), "{told}");
        assert!(told.contains(&format!(", epoch {}, until 20", before.epoch)), "{told}");
        let now = mesh.kato(&["explain", "web@1", "--at", "0s", "-o", "json"]).code(0).out;
        let now: ExplainResponse = serde_json::from_str(&now).unwrap();
        let (past, instance) = (now.past.unwrap(), now.instance.unwrap());
        assert_eq!((past.until_unix_ms, instance.epoch), (None, after.epoch));
        assert_eq!(instance.datacenter, after.datacenter);
    }
    mesh.kato(&["delete", "web", "-y"]).code(0);
    let gone = until("the table has it", || {
        let gone = mesh.kato(&["explain", "web@1", "--at", "0s"]).code(0).out;
        gone.contains("was deleted").then_some(gone)
    });
    assert!(gone.starts_with("web@1 was deleted at 20"), "{gone}");
    let early = mesh.kato(&["explain", "web@1", "--at", "9d"]).code(1);
    assert!(early.err.contains("it begins at 20"), "{early:?}");
    let future = mesh.kato(&["explain", "web@1", "--at", "2200-01-01T00:00Z"]).code(1);
    assert!(future.err.contains("in the future"), "{future:?}");
    mesh.kato(&["explain", "web@1", "--at", "yesterday"]).code(64);
}
