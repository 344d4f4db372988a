//! On which terms machines are paid is known of every one, though they join before the mesh is raised to a version that has
//! a word for it.

use crate::support::mesh::Mesh;
use crate::support::until;

#[test]
fn every_machine_says_on_which_terms_it_is_paid() {
    let mesh = Mesh::start();
    let billed = until("all of them have said so", || {
        let machines = mesh.machines();
        let billed = machines.iter().map(|machine| machine.offer.as_ref()?.billed_s);
        billed.collect::<Option<Vec<u32>>>().filter(|billed| billed.len() == 6)
    });
    // Two datacenters buy of EC2, which bills by the second, and one of Packet, which bills by the hour.
    assert_eq!(billed.iter().filter(|billed| **billed == 1).count(), 4);
    assert_eq!(billed.iter().filter(|billed| **billed == 3_600).count(), 2);
    let described = mesh.kato(&["describe", "machine", "core-1.cell-1.ewr"]).code(0).out;
    assert!(described.contains("$0.0700/h, by the hour"), "{described}");
}
