//! Users who are known by an IP address are where the database of the configuration says.

use std::fs;
use std::path::PathBuf;

use crate::support::mesh::{DATACENTERS, IDLE, Mesh};
use crate::support::needs::not_run;
use crate::support::peers::ip_locations;

/// Gives every coordinator these databases, and starts them anew.
fn configure(mesh: &mut Mesh, databases: &[PathBuf]) {
    mesh.stop();
    for name in DATACENTERS {
        let path = mesh.data().join(format!("{name}.toml"));
        let text = fs::read_to_string(&path).unwrap();
        let line = format!("ip_locations = {databases:?}\n[tls]");
        fs::write(&path, text.replacen("[tls]", &line, 1)).unwrap();
    }
    mesh.resume();
}

/// Where a workload would go whose users are there.
fn chosen(mesh: &Mesh, near: &str) -> String {
    let file = mesh.unit("near.service", IDLE, &format!("Near={near}"));
    let planned = mesh.kato(&["plan", &file]).code(2).out;
    let line = planned.lines().find(|line| line.contains("CHOSEN")).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn an_address_is_where_the_database_says() {
    let mut mesh = Mesh::start();
    let file = mesh.unit("near.service", IDLE, "Near=203.0.113.7");
    let refused = mesh.kato(&["plan", &file]).code(1);
    assert!(refused.err.contains("name a database with ip_locations"), "{refused:?}");
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/coordinator/testdata");
    configure(&mut mesh, &[data.join("flat.mmdb")]);
    // In Dublin; in Sydney.
    assert_eq!(chosen(&mesh, "203.0.113.7"), "dub");
    assert_eq!(chosen(&mesh, "2001:db8::1"), "sin");
    assert_eq!(chosen(&mesh, "US"), "ewr");
    let file = mesh.unit("near.service", IDLE, "Near=10.0.0.1");
    let unknown = mesh.kato(&["plan", &file]).code(1);
    assert!(unknown.err.contains("do not say where 10.0.0.1 is: give the city"), "{unknown:?}");
}

#[test]
fn the_reference_database_is_read() {
    let databases = match ip_locations() {
        Ok(databases) => databases,
        Err(reason) => return not_run(&format!("the IP locations cannot be installed: {reason}")),
    };
    let mut mesh = Mesh::start();
    configure(&mut mesh, &databases);
    // HEAnet in Dublin, Google in California and its resolver over IPv6, which is located in Canada.
    assert_eq!(chosen(&mesh, "193.1.2.3"), "dub");
    assert_eq!(chosen(&mesh, "8.8.8.8"), "ewr");
    assert_eq!(chosen(&mesh, "2001:4860:4860::8888"), "ewr");
    // National University of Singapore.
    assert_eq!(chosen(&mesh, "137.132.1.1"), "sin");
}
