//! What fits on no machine buys one, where the price allows it.

use kato_proto::v1::RunState;

use crate::support::mesh::{IDLE, Mesh};
use crate::support::{figure, now, processes, until};

#[test]
fn what_fits_no_machine_buys_one() {
    let mesh = Mesh::start();
    let before: Vec<String> = mesh.machines().into_iter().map(|machine| machine.id).collect();
    assert_eq!(before.len(), 6);
    let text = format!("[Service]\n{IDLE}\n\n[X-Kato]\nCPU=6\nMemory=4G\n");
    let file = mesh.file("big.service", &text);
    let began = now();
    let applied = mesh.kato(&["apply", "-y", &file]).code(0);
    assert!(applied.out.contains(" for 1 machine to buy\n"), "{applied:?}");
    let instance = mesh.running("big").remove(0);
    figure("from a wish to running on a machine that was bought", now().saturating_sub(began));

    let machines = mesh.machines();
    let machine = machines.iter().find(|machine| machine.id == instance.machine).unwrap();
    assert!(!before.contains(&machine.id), "{machine:?}");
    let resources = machine.resources.unwrap();
    assert!(resources.cpu_millis >= 6_000, "{machine:?}");
    assert_eq!(machines.len(), 7, "more than one was bought: {machines:#?}");
    let status = mesh.status();
    assert_eq!((status.machines_bought, status.machines_ordered), (1, 0));
    let price = machine.offer.as_ref().unwrap().price_micros_per_hour;
    assert_eq!(status.machines_bought_micros_per_hour, price);
    let events = mesh.events();
    let at = |kind: &str, subject: &str| {
        let of = |text: &str| subject.is_empty() || text == subject;
        let found = events.iter().position(|e| e.kind == kind && of(&e.subject));
        found.unwrap_or_else(|| panic!("no {kind} of {subject}: {events:#?}"))
    };
    let ordered = at("OrderPlaced", "");
    let (joined, fulfilled) = (at("MachineJoined", &machine.id), at("OrderFulfilled", ""));
    let bound = at("InstanceBound", "big@1");
    assert!(ordered < joined && joined <= fulfilled && fulfilled < bound, "{events:#?}");
    assert_eq!(processes::copies(&mesh.data(), "big@1").len(), 1);

    mesh.kato(&["delete", "workload", "big", "-y"]).code(0);
    until("its processes are gone", || {
        (processes::unit(&mesh.data(), "big@1").is_empty() && mesh.instances("big").is_empty())
            .then_some(())
    });
}

#[test]
fn a_price_that_is_too_low_buys_nothing() {
    let mesh = Mesh::start();
    let text = format!("[Service]\n{IDLE}\n\n[X-Kato]\nCPU=6\nMemory=4G\nMaxPrice=0.01\n");
    let file = mesh.file("cheap.service", &text);
    let applied = mesh.kato(&["apply", "-y", &file]).code(2);
    assert!(
        applied.out.contains("MaxPrice=") && applied.out.contains("without a place"),
        "{applied:?}"
    );
    let instance = until("it is unplaceable", || {
        mesh.instance("cheap@1").filter(|found| found.state() == RunState::Unplaceable)
    });
    assert!(instance.unplaceable.contains("MaxPrice="), "{instance:?}");
    let explained = mesh.kato(&["explain", "cheap@1"]).code(0);
    assert!(explained.out.contains("MaxPrice="), "{explained:?}");
    assert!(!mesh.events().iter().any(|event| event.kind == "OrderPlaced"));
    assert_eq!(mesh.machines().len(), 6);

    // The same wish with more money is placed.
    let file = mesh.file("cheap.service", &text.replace("0.01", "0.90"));
    mesh.run(&[&file]);
    mesh.kato(&["delete", "workload", "cheap", "-y"]).code(0);
    until("it is gone", || mesh.instances("cheap").is_empty().then_some(()));
}
