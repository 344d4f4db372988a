//! What `kato dev` does not begin: each refusal is one clear error, and touches nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use crate::support::mesh::Mesh;
use crate::support::needs::not_run;
use crate::support::program::Ran;
use crate::support::{now, until};

/// The user who owns nothing, by custom.
const NOBODY: u32 = 65_534;

#[test]
fn a_second_mesh_in_the_same_directory_is_refused() {
    let mesh = Mesh::start();
    let data = mesh.data();
    let data = data.to_str().unwrap();
    let before = mesh.status().read.unwrap().revision;
    mesh.kato(&["dev", "--data-dir", data])
        .one_error(&[&format!("another kato dev runs in {data}"), "hint: stop it with Ctrl-C"]);
    assert_eq!(mesh.status().read.unwrap().revision, before, "the first one was disturbed");
    until("all agents are attached", || {
        let machines = mesh.machines();
        (machines.iter().filter(|machine| machine.connected).count() == 6).then_some(())
    });
}

#[test]
fn a_port_that_is_taken_is_named() {
    let mesh = Mesh::idle();
    // Any of the three may be the one that is taken.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let new = mesh.home().join("new");
    let ran =
        mesh.kato(&["dev", "--data-dir", new.to_str().unwrap(), "--base-port", &port.to_string()]);
    ran.one_error(&[
        &format!("the port {port} of dub is in use"),
        "hint: choose others with --base-port",
    ]);
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone() {
    let mesh = Mesh::idle();
    let other = mesh.home().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("format"), "99\n").unwrap();
    let other = other.to_str().unwrap();
    mesh.kato(&["dev", "--data-dir", other])
        .one_error(&["format 99", "hint: use another directory"]);

    let foreign = mesh.home().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.txt"), "years of work").unwrap();
    mesh.kato(&["dev", "--data-dir", foreign.to_str().unwrap()])
        .one_error(&["holds something else than a mesh", "hint: use another directory"]);
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1, "something was left in it");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_named() {
    let mesh = Mesh::idle();
    // Nobody can make a directory there, root included.
    mesh.kato(&["dev", "--data-dir", "/proc/kato"])
        .one_error(&["cannot use the data directory /proc/kato", "hint: choose a directory"]);
    let closed = mesh.home().join("closed");
    fs::create_dir(&closed).unwrap();
    let data = closed.join("mesh");
    let mut command = mesh.command(&["dev", "--data-dir", data.to_str().unwrap()]);
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere, so somebody else tries.
        fs::set_permissions(mesh.home(), fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    match command.output() {
        Err(error) => not_run(&format!("nobody but root can run kato from here: {error}")),
        Ok(output) => Ran::from(output)
            .one_error(&["cannot use the data directory", "hint: choose a directory"]),
    }
}

#[test]
fn a_client_of_the_supervisor_may_hesitate() {
    let mesh = Mesh::start();
    let mut client = UnixStream::connect(mesh.data().join("dev.sock")).unwrap();
    let began = now();
    // Longer than the supervisor's rounds, which once forgot whoever came in one and spoke in the next.
    until("half a second has passed", || {
        (now().saturating_sub(began) > Duration::from_millis(500)).then_some(())
    });
    client.write_all(b"lose atlantis\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("error there is no such datacenter"), "{answer:?}");
}
