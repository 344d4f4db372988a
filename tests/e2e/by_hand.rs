//! Three hosts and no `kato dev`: what docs/install.md says is done as it stands there, but for addresses and places.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use kato_proto::v1::{ListMachinesResponse, RunState};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::mesh::{DATACENTERS, Mesh};
use crate::support::program::{command, repository, run};
use crate::support::{figure, now, processes, until};

/// What the guide says of its three hosts: where they are reached, and where they are.
const HOSTS: [(&str, &str); 3] = [
    ("192.0.2.11", "[53.4213, -6.2701]"),
    ("198.51.100.12", "[40.6925, -74.1687]"),
    ("203.0.113.13", "[1.3592, 103.9894]"),
];

/// The block of the guide in which `words` stand.
fn block<'g>(guide: &'g str, words: &str) -> &'g str {
    let blocks = guide.split("\n```").skip(1).step_by(2);
    let mut blocks = blocks.filter(|block| block.contains(words));
    blocks.next().unwrap_or_else(|| panic!("the guide has no block with {words}"))
}

/// The text after its language, with this mesh's addresses.
fn body(block: &str, ports: [u16; 3]) -> String {
    let (_, text) = block.split_once('\n').unwrap();
    let addresses = HOSTS.iter().zip(ports);
    addresses.fold(text.to_owned(), |text, ((address, _), port)| {
        text.replace(&format!("{address}:7440"), &format!("127.0.0.1:{port}"))
            .replace(address, "127.0.0.1")
    })
}

/// Three ports that nobody listens on at this moment.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// One host: the files of its `/etc/kato`, and what runs on it.
struct Host {
    directory: PathBuf,
    running: Vec<Child>,
}

impl Host {
    /// Installs the certificates, as the guide's lines for `dub` say, and writes both configuration files.
    fn prepare(home: &Path, guide: &str, number: usize, ports: [u16; 3]) -> Self {
        let datacenter = DATACENTERS[number];
        let directory = home.join("mesh").join(datacenter);
        fs::create_dir_all(&directory).unwrap();
        let lines = block(guide, "pki/coordinator-dub.pem").lines();
        for line in lines.filter(|line| line.starts_with("install ")) {
            let line = line.replace("dub", datacenter);
            let words: Vec<&str> = line.split_whitespace().collect();
            let [.., from, to] = words[..] else { panic!("{line}") };
            let to = directory.join(Path::new(to).file_name().unwrap());
            fs::copy(home.join(from), &to).unwrap();
            let mode = if words.contains(&"0600") { 0o600 } else { 0o644 };
            fs::set_permissions(to, fs::Permissions::from_mode(mode)).unwrap();
        }
        let host = Self { directory, running: Vec::new() };
        let own = format!("127.0.0.1:{}", ports[number]);
        let (first, member) = (ports[0], number + 1);
        host.write(
            "coordinator.toml",
            guide,
            "member = 1",
            ports,
            &[
                (
                    "datacenter = \"dub\"\nmember = 1",
                    &format!("datacenter = {datacenter:?}\nmember = {member}"),
                ),
                (HOSTS[0].1, HOSTS[number].1),
                ("0.0.0.0:7440", &own),
                ("/var/lib/kato-coordinator", "coordinator"),
            ],
        );
        host.write(
            "agent.toml",
            guide,
            "machine = ",
            ports,
            &[
                ("core-1.cell-1.dub", &format!("core-1.cell-1.{datacenter}")),
                (&format!("127.0.0.1:{first}"), &own),
                ("/var/lib/kato-agent-core-1", "agent"),
            ],
        );
        host
    }

    /// Writes a file of the guide with what is another thing on this host.
    fn write(
        &self,
        name: &str,
        guide: &str,
        words: &str,
        ports: [u16; 3],
        changes: &[(&str, &str)],
    ) {
        let mut text = body(block(guide, words), ports);
        for (from, to) in changes {
            assert!(text.contains(from), "no {from} in {text}");
            text = text.replacen(from, to, 1);
        }
        fs::write(self.directory.join(name), text).unwrap();
    }

    fn start(&mut self, home: &Path, verb: &str) {
        let log = File::create(self.directory.join(format!("{verb}.log"))).unwrap();
        let config = self.directory.join(format!("{verb}.toml"));
        let mut command = command(home, &[verb, "--config", config.to_str().unwrap()]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.running.push(command.spawn().unwrap());
    }

    /// What a service manager does: a signal, and the wait for the end.
    fn stop(&mut self) {
        for mut child in self.running.drain(..).rev() {
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            let status = until("a process ends when it is told to", || child.try_wait().unwrap());
            assert!(status.success(), "{status}");
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for child in &mut self.running {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Runs the guide's own lines, and gives the operator a context file.
fn certify(mesh: &Mesh, guide: &str, ports: [u16; 3]) {
    for line in block(guide, "kato pki init").lines().filter(|line| line.starts_with("kato ")) {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        run(mesh.command(&words).current_dir(mesh.home())).code(0);
    }
    for name in ["ca.pem", "operator-ada.pem", "operator-ada-key.pem"] {
        fs::copy(mesh.home().join("pki").join(name), mesh.home().join(name)).unwrap();
    }
    let context = body(block(guide, "[contexts.demo]"), ports);
    fs::write(mesh.home().join("contexts.toml"), context).unwrap();
}

#[test]
fn the_guide_to_three_hosts_makes_a_mesh() {
    let guide = fs::read_to_string(repository().join("docs/install.md")).unwrap();
    // Only its home is used: no `kato dev` is started.
    let mesh = Mesh::idle();
    let ports = free_ports();
    certify(&mesh, &guide, ports);
    let mut hosts = [0, 1, 2].map(|number| Host::prepare(mesh.home(), &guide, number, ports));
    let began = now();
    for host in &mut hosts {
        host.start(mesh.home(), "coordinator");
        host.start(mesh.home(), "agent");
    }
    until("three machines have joined", || {
        let ran = mesh.kato(&["get", "machines", "-o", "json", "--timeout", "2s"]);
        let list: ListMachinesResponse = serde_json::from_str(&ran.out).ok()?;
        (list.machines.iter().filter(|machine| machine.connected).count() == 3).then_some(())
    });
    figure("from three hosts' first processes to three machines", now().saturating_sub(began));
    let status = mesh.kato(&["status"]).code(0);
    assert!(status.out.contains("1 of 3 coordinators, and the mesh still decides"), "{status:?}");

    let worker = repository().join("deploy/examples/worker.service");
    let worker = worker.to_str().unwrap();
    let planned = mesh.kato(&["plan", worker]).code(2);
    assert!(planned.out.contains("CHOSEN ×1"), "{planned:?}");
    // What a script would do: no context, every flag.
    let bare = mesh.home().join("bare");
    fs::create_dir(&bare).unwrap();
    let pki = |name: &str| mesh.home().join("pki").join(name).to_str().unwrap().to_owned();
    let apply = |who: &str| {
        let addresses = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
        let (ca, cert) = (pki("ca.pem"), pki(&format!("{who}.pem")));
        let key = pki(&format!("{who}-key.pem"));
        let flags = ["--address", &addresses, "--ca", &ca, "--cert", &cert, "--key", &key];
        run(&mut command(&bare, &[&["apply", "-y", worker][..], &flags].concat()))
    };
    run(mesh
        .command(&["pki", "issue", "reader", "grafana", "--dir", "pki"])
        .current_dir(mesh.home()))
    .code(0);
    let said =
        "reader/grafana may not call /kato.v1.Workloads/Apply: it is for operator, coordinator";
    assert!(guide.contains(said), "the guide shows another error");
    apply("reader-grafana").one_error(&[said, "hint: you are spiffe://demo.com/reader/grafana"]);
    apply("operator-ada").code(0);
    let instance = mesh.running("worker").remove(0);
    until("it prints", || mesh.kato(&["logs", "worker@1"]).out.contains("item 1").then_some(()));
    outlives_its_agent(&mesh, &mut hosts, &instance.datacenter);

    mesh.kato(&["delete", "workload", "worker", "-y"]).code(0);
    until("nothing but coordinators and agents is left", || {
        (processes::of(&mesh.data()).len() == 6).then_some(())
    });
    hosts.iter_mut().for_each(Host::stop);
    let left = processes::of(&mesh.data());
    assert!(left.is_empty(), "{left:#?}");
}

/// Stopping an agent leaves its workloads running, and the next one finds them.
fn outlives_its_agent(mesh: &Mesh, hosts: &mut [Host; 3], datacenter: &str) {
    let number = DATACENTERS.iter().position(|name| *name == datacenter).unwrap();
    let host = &mut hosts[number];
    let before = processes::copies(&mesh.data(), "worker@1");
    let coordinator = host.running.remove(0);
    host.stop();
    assert_eq!(processes::copies(&mesh.data(), "worker@1"), before, "it stopped with its agent");
    host.running.push(coordinator);
    host.start(mesh.home(), "agent");
    until("it is found again", || {
        mesh.instance("worker@1").filter(|worker| worker.state() == RunState::Running)
    });
    assert_eq!(processes::copies(&mesh.data(), "worker@1"), before);
}
