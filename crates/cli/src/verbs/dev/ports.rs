//! The coordinators' ports: looked for by one `kato dev` of the host at a time, because a free port is everybody's until
//! a coordinator listens on it.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use super::site::SITES;
use super::{DevError, report};

/// The port from which free ones are looked for.
const FIRST: u16 = 7440;
/// What `--base-port` may be: 0 is no port, and two more come after it.
pub(super) const BASES: RangeInclusive<i64> = 1..=u16::MAX as i64 - 2;
/// A name that one process of a network namespace can have, as it is with ports. The kernel takes it back from a
/// process that ends, however it ends.
const TURN: &[u8] = b"kato-dev-ports";
/// Between two looks whether it is our turn.
const LOOK: Duration = Duration::from_millis(50);
/// Looks before somebody who holds the name for longer than any start takes is not waited for any more.
const LOOKS_MAX: u32 = 1_200;

/// The right to choose ports. To be held until coordinators listen on them.
pub(super) struct Turn {
    _name: Option<UnixListener>,
}

impl Turn {
    /// Waits until no other `kato dev` is about to listen.
    pub(super) async fn wait() -> anyhow::Result<Self> {
        let address = SocketAddr::from_abstract_name(TURN)?;
        for look in 0..LOOKS_MAX {
            match UnixListener::bind_addr(&address) {
                Ok(name) => return Ok(Self { _name: Some(name) }),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) => return Err(error.into()),
            }
            if look == 0 {
                report::waiting()?;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(Self { _name: None })
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port))
}

/// Refuses ports that somebody listens on, or that this user may not have.
pub(super) fn check_free(ports: [u16; 3], resumed: bool) -> Result<(), DevError> {
    for (site, port) in SITES.iter().zip(ports) {
        let datacenter = site.name;
        match listen(port) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(DevError::PortBusy { port, datacenter, resumed });
            }
            Err(source) => return Err(DevError::Port { port, datacenter, source }),
        }
    }
    Ok(())
}

/// The three ports from `base` on, which is one of `BASES`.
pub(super) fn from(base: u16) -> [u16; 3] {
    [base, base + 1, base + 2]
}

/// The first block of free ports. They lie below those that the system gives to outgoing connections, so that they are
/// still free when the mesh comes back. A block of which one is taken belongs to a mesh that has lost the others for
/// a while.
pub(super) fn free() -> Result<[u16; 3], DevError> {
    let needed = SITES.len();
    let free = |ports: &[u16; 3]| ports.iter().all(|port| listen(*port).is_ok());
    let mut blocks = (FIRST..20_000).step_by(needed).map(from);
    blocks.find(free).ok_or(DevError::NoPorts { first: FIRST, needed })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    #[test]
    fn a_base_port_has_two_more_after_it() {
        for (port, taken) in [("0", false), ("1", true), ("65533", true), ("65534", false)] {
            let read = Cli::try_parse_from(["kato", "dev", "--base-port", port]);
            assert_eq!(read.is_ok(), taken, "{port}");
        }
        assert_eq!(super::from(65_533)[2], u16::MAX);
    }
}
