//! The state of the mesh on one screen: who leads, who is silent, what may be lost, what it costs.

use kato_core::Timestamp;
use kato_proto::v1::{Datacenter, GetStatusResponse, Health, Member};

use super::details::Fields;
use super::lists::health;
use super::plain;
use super::style::{BAD, PLAIN, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::units::{self, count, money, span};

/// The overview. The datacenters come from a second answer, and may be missing.
pub(crate) fn overview(
    status: &GetStatusResponse,
    datacenters: &[Datacenter],
    now: Timestamp,
) -> String {
    let members = u32::try_from(status.members.len()).unwrap_or(u32::MAX);
    let lease = span(std::time::Duration::from_millis(status.lease_ms));
    let fields = Fields::default()
        .with("Mesh", paint(STRONG, &plain(&status.domain)))
        .with("Leader", leader(status))
        .with("May be lost", may_lose(status, members))
        .with("Leases", format!("{lease} (a singleton cut off for longer is stopped)"))
        .with("Machines", machines(status))
        .with("Workloads", status.workloads.to_string())
        .with("Instances", instances(status))
        .with("Price", format!("{}/h", money(status.price_micros_per_hour)));
    format!("{}\n{}", fields.render(), sites(status, datacenters, now))
}

fn leader(status: &GetStatusResponse) -> String {
    match status.leader.as_str() {
        "" => paint(BAD, "none: nothing can be changed; what runs keeps running"),
        leader => format!("{} (term {})", plain(leader), status.term),
    }
}

fn may_lose(status: &GetStatusResponse, members: u32) -> String {
    let of = format!("of {}", count(members, "coordinator"));
    match status.may_lose {
        0 if status.leader.is_empty() => paint(BAD, &format!("none {of}: there is no majority")),
        0 => paint(WARN, &format!("none {of}: one more lost, and nothing can be changed")),
        lost => format!("{lost} {of}, and the mesh still decides"),
    }
}

fn machines(status: &GetStatusResponse) -> String {
    match status.machines_suspended {
        0 => status.machines.to_string(),
        suspended => {
            format!("{}, {}", status.machines, paint(WARN, &format!("{suspended} suspended")))
        }
    }
}

fn instances(status: &GetStatusResponse) -> String {
    let mut text = format!("{} of {} running", status.running, status.instances);
    if status.running < status.instances {
        text = paint(WARN, &text);
    }
    if status.unplaceable > 0 {
        text += &format!(", {}", paint(BAD, &format!("{} without a place", status.unplaceable)));
    }
    text
}

/// One row for each datacenter that has a coordinator or is known without one.
fn sites(status: &GetStatusResponse, datacenters: &[Datacenter], now: Timestamp) -> String {
    let mut rows: Vec<(&str, Option<&Member>, Option<&Datacenter>)> = Vec::new();
    for member in &status.members {
        let datacenter = datacenters.iter().find(|d| d.name == member.datacenter);
        rows.push((&member.datacenter, Some(member), datacenter));
    }
    let alone =
        datacenters.iter().filter(|d| status.members.iter().all(|m| m.datacenter != d.name));
    rows.extend(alone.map(|d| (d.name.as_str(), None, Some(d))));
    rows.sort_by_key(|row| row.0);
    let number = |n: Option<u32>| Cell::from(n.map_or_else(|| "-".to_owned(), |n| n.to_string()));
    Table::new(rows.len())
        .left("DATACENTER", rows.iter().map(|r| r.0.into()))
        .left("HEALTH", rows.iter().map(|r| r.2.map_or("-".into(), |d| health(d, now))))
        .left("COORDINATOR", rows.iter().map(|r| r.1.map_or("not a member", role).into()))
        .right("LAST HEARD", rows.iter().map(|r| heard(r.1.and_then(|m| m.silent_ms), r.2)))
        .right("MACHINES", rows.iter().map(|r| number(r.2.map(|d| d.machines))))
        .right("INSTANCES", rows.iter().map(|r| number(r.2.map(|d| d.instances))))
        .left("ADDRESS", rows.iter().map(|r| r.1.map_or("-", |m| m.address.as_str()).into()))
        .render()
}

fn role(member: &Member) -> &'static str {
    if member.leader { "leader" } else { "follower" }
}

/// How long a coordinator has been silent.
fn heard(silent_ms: Option<u64>, datacenter: Option<&Datacenter>) -> Cell {
    let well = datacenter.is_none_or(|d| d.health() == Health::Up);
    match silent_ms {
        Some(ms) => {
            let ago = std::time::Duration::from_millis(ms);
            let style = if well { PLAIN } else { BAD };
            Cell::styled(format!("{} ago", units::age(ago)), style)
        }
        None => Cell::styled("never", BAD),
    }
}
