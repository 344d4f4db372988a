//! The state of the mesh on one screen: who leads, who is silent, what may be lost, what it costs.

use kato_core::Timestamp;
use kato_proto::v1::{Budget, Datacenter, GetStatusResponse, Health, Loss, Member};

use super::details::Fields;
use super::lists::{health, stand_in};
use super::plain;
use super::style::{BAD, PLAIN, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::units::{self, count, exact, latency, money};

/// The overview. The datacenters come from a second answer, and may be missing.
pub(crate) fn overview(
    status: &GetStatusResponse,
    datacenters: &[Datacenter],
    now: Timestamp,
) -> String {
    let fields = Fields::default()
        .with("Mesh", paint(STRONG, &plain(&status.domain)))
        .with("Leader", leader(status))
        .with("May be lost", may_lose(status))
        .with("Brake", brake(status))
        .with("Disk", disks(status))
        .with("Mesh version", version(status))
        .with("Timing", timing(status))
        .with("Leases", leases(status))
        .with("Machines", machines(status))
        .with("Workloads", status.workloads.to_string())
        .with("Instances", instances(status))
        .with("Price", price(status))
        .with("Bought", bought(status))
        .with("Budget", status.budget.as_ref().map_or_else(String::new, budget))
        .with("Losing one", losses(status));
    format!("{}\n{}", fields.render(), sites(status, datacenters, now))
}

/// The coordinators that the one that answers does not hear, and whether the others are a majority.
fn silent(status: &GetStatusResponse) -> (Vec<String>, bool) {
    let silent = status.members.iter().filter(|member| !member.heard);
    let silent: Vec<String> = silent.map(|member| plain(&member.datacenter)).collect();
    let majority = status.members.len() - silent.len() > status.members.len() / 2;
    (silent, majority)
}

fn leader(status: &GetStatusResponse) -> String {
    let why = match (status.leader.as_str(), silent(status).1) {
        ("", true) => "none at the moment",
        ("", false) => "none: there is no majority",
        (leader, _) => return format!("{} (term {})", plain(leader), status.term),
    };
    paint(BAD, &format!("{why}; nothing can be changed; what runs keeps running"))
}

fn may_lose(status: &GetStatusResponse) -> String {
    let all = status.members.len();
    let of = format!("of {}", count(u32::try_from(all).unwrap_or(u32::MAX), "coordinator"));
    if status.leader.is_empty() {
        let (silent, _) = silent(status);
        let heard = format!("none: {} {of} heard", all - silent.len());
        return match silent.as_slice() {
            [] => paint(BAD, &heard),
            silent => paint(BAD, &format!("{heard}; not heard: {}", silent.join(", "))),
        };
    }
    match status.may_lose {
        0 => paint(WARN, &format!("none {of}: one more lost, and nothing can be changed")),
        lost => format!("{lost} {of}, and the mesh still decides"),
    }
}

/// Why nothing moves although datacenters look lost; only the leader's view of them counts.
fn brake(status: &GetStatusResponse) -> String {
    let Some(brake) = &status.brake else { return String::new() };
    let look = if brake.dark.len() == 1 { "looks" } else { "look" };
    let (dark, of, leader) = (brake.dark.len(), brake.datacenters, plain(&status.leader));
    let until = match brake.awaited {
        1 => "one is heard".to_owned(),
        more => format!("{more} are heard"),
    };
    let names = plain(&brake.dark.join(", "));
    let seen = format!("{dark} of {of} datacenters ({names}) {look} dark from {leader}");
    paint(BAD, &format!("{seen}: nothing is moved until at least {until} again"))
}

/// The coordinators whose disks are almost full.
fn disks(status: &GetStatusResponse) -> String {
    let alarm = |member: &Member| {
        let alarm = member.disk_alarm.as_ref()?;
        let (free, needed) = (alarm.free_bytes >> 20, alarm.needed_bytes >> 20);
        let takes = if member.leader { "; it leads, so no change is taken" } else { "" };
        Some(format!(
            "{} is almost full: {free} MiB left in {}, {needed} MiB needed{takes}",
            plain(&member.datacenter),
            plain(&alarm.path),
        ))
    };
    let alarms: Vec<String> = status.members.iter().filter_map(alarm).collect();
    if alarms.is_empty() { String::new() } else { paint(BAD, &alarms.join("; ")) }
}

/// Which members keep the mesh at an older version than others know; nothing where none does.
fn version(status: &GetStatusResponse) -> String {
    let newest = status.members.iter().map(|member| member.knows).max().unwrap_or_default();
    if newest <= status.mesh_version {
        return String::new();
    }
    let names = |which: &dyn Fn(&Member) -> bool| {
        let found = status.members.iter().filter(|member| which(member));
        found.map(|member| plain(&member.datacenter)).collect::<Vec<_>>().join(", ")
    };
    let older = names(&|member| member.heard && member.knows < newest);
    let silent = names(&|member| !member.heard);
    let mut waits = Vec::new();
    if !older.is_empty() {
        waits.push(format!("{older} (older kato: start the newer one)"));
    }
    if !silent.is_empty() {
        waits.push(format!("{silent} (not heard)"));
    }
    if waits.is_empty() {
        return String::new();
    }
    let now = status.mesh_version;
    paint(WARN, &format!("{now}; version {newest} waits for {}", waits.join(" and ")))
}

/// How long a lost leader is missed, and whether the round trips are what that rests on.
fn timing(status: &GetStatusResponse) -> String {
    let Some(timing) = &status.timing else { return String::new() };
    let failover = format!("a lost leader is replaced within {}", exact(timing.failover_ms));
    let allowed = exact(timing.rtt_ms_max);
    let rests = match &timing.longest {
        None => format!("round trips of up to {allowed} are allowed for, none is measured yet"),
        Some(longest) => {
            let rtt = latency(u32::try_from(longest.bound_us).unwrap_or(u32::MAX));
            let pair = format!("{} to {}", plain(&longest.from), plain(&longest.to));
            if longest.bound_us > timing.rtt_ms_max * 1_000 {
                let text =
                    format!("round trips are up to {rtt} ({pair}), {allowed} are allowed for");
                return paint(WARN, &format!("{text}: elections may not end"));
            }
            format!("round trips are up to {rtt} ({pair}) of {allowed} allowed for")
        }
    };
    match timing.behind.as_slice() {
        [] => format!("{failover}; {rests}"),
        behind => {
            let names = plain(&behind.join(", "));
            format!("{failover}; {rests}; {}", paint(WARN, &format!("not taken yet by {names}")))
        }
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
    // Of a datacenter that is not heard nobody knows what runs in it, and it may well.
    let unknown = status.running < status.instances && !silent(status).0.is_empty();
    let known = if unknown { "known to be " } else { "" };
    let mut text = format!("{} of {} {known}running", status.running, status.instances);
    if status.running < status.instances {
        text = paint(WARN, &text);
    }
    if status.unplaceable > 0 {
        text += &format!(", {}", paint(BAD, &format!("{} without a place", status.unplaceable)));
    }
    text
}

fn price(status: &GetStatusResponse) -> String {
    format!("{}/h, the instances' shares of their machines", money(status.price_micros_per_hour))
}

/// What is paid for machines, whatever part of them is used.
fn bought(status: &GetStatusResponse) -> String {
    let priced = |machines: u32, price: i64| match machines {
        0 => "no machine".to_owned(),
        machines => format!("{}, {}/h", count(machines, "machine"), money(price)),
    };
    let bought = priced(status.machines_bought, status.machines_bought_micros_per_hour);
    if status.machines_ordered == 0 {
        return bought;
    }
    let ordered = priced(status.machines_ordered, status.machines_ordered_micros_per_hour);
    format!("{bought}; on order: {ordered}")
}

/// What may be spent, and what is left of it.
pub(crate) fn budget(budget: &Budget) -> String {
    let (max, spent) = (budget.max_micros_per_hour, budget.spent_micros_per_hour);
    let of = format!("{}/h, of which {}/h is spent", money(max), money(spent));
    if spent > max {
        let over = money(spent - max);
        return paint(WARN, &format!("{of}: {over}/h too much, and no machine is bought"));
    }
    format!("{of}: {}/h left", money(max - spent))
}

/// What the loss of each datacenter would come to.
fn losses(status: &GetStatusResponse) -> String {
    let line = |loss: &Loss| {
        let name = plain(&loss.datacenter);
        let elsewhere = match (loss.moved, loss.machines_to_buy) {
            (0, _) => "nothing would move".to_owned(),
            (moved, 0) => format!("{} would move", count(moved, "instance")),
            (moved, bought) => format!(
                "{} would move, to {} more for {}/h",
                count(moved, "instance"),
                count(bought, "machine"),
                money(loss.adds_micros_per_hour)
            ),
        };
        match loss.stranded {
            0 => format!("{name}: {elsewhere}, and everything would run"),
            left => {
                let left = format!("{} would run nowhere", count(left, "instance"));
                format!("{name}: {elsewhere}, {}", paint(WARN, &left))
            }
        }
    };
    status.losses.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn leases(status: &GetStatusResponse) -> String {
    let lease = exact(status.lease_ms);
    if status.quarantined {
        let why = "the mesh was restored, and leases from before may still hold";
        return paint(WARN, &format!("none is granted yet, and no singleton runs: {why}"));
    }
    format!("{lease} (a singleton cut off for longer is stopped)")
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
        .left("HEALTH", rows.iter().map(|r| health_seen(r.1, r.2, now)))
        .left("COORDINATOR", rows.iter().map(|r| coordinator(r.1, status)))
        .right("LAST HEARD", rows.iter().map(|r| last_heard(r.1)))
        .right("ROUND TRIP", rows.iter().map(|r| round_trip(r.1)))
        .right("MACHINES", rows.iter().map(|r| number(r.2.map(|d| d.machines))))
        .right("INSTANCES", rows.iter().map(|r| number(r.2.map(|d| d.instances))))
        .left("ADDRESS", rows.iter().map(|r| r.1.map_or("-", |m| m.address.as_str()).into()))
        .render()
}

/// A datacenter's health as it is committed, unless that is better than what the coordinator that answers hears.
fn health_seen(member: Option<&Member>, datacenter: Option<&Datacenter>, now: Timestamp) -> Cell {
    let Some(datacenter) = datacenter else { return "-".into() };
    let silent = member.is_some_and(|member| !member.heard);
    if silent && datacenter.health() == Health::Up && stand_in(datacenter).is_none() {
        return Cell::styled("not heard", BAD);
    }
    health(datacenter, now)
}

/// What a coordinator does in the group, as far as it is heard. Raft's own word for one that is gone is follower still.
fn coordinator(member: Option<&Member>, status: &GetStatusResponse) -> Cell {
    let Some(member) = member else { return "not a member".into() };
    match (member.leader, member.heard, member.silent_ms) {
        // Whoever leads was heard, if only in agreeing on something.
        (true, ..) => "leader".into(),
        (false, false, Some(ms)) => {
            let silent = units::age(std::time::Duration::from_millis(ms));
            Cell::styled(format!("silent {silent}"), BAD)
        }
        (false, false, None) => Cell::styled("never heard", BAD),
        (false, true, _) if status.leader.is_empty() => "member".into(),
        (false, true, _) => "follower".into(),
    }
}

/// How far away a coordinator is from the one that answers.
fn round_trip(member: Option<&Member>) -> Cell {
    let measured = member.filter(|member| member.heard).and_then(|member| member.rtt_us);
    let shown = measured.map(|us| latency(u32::try_from(us).unwrap_or(u32::MAX)));
    shown.unwrap_or_else(|| "-".to_owned()).into()
}

/// How long a coordinator has been silent.
fn last_heard(member: Option<&Member>) -> Cell {
    match member.and_then(|member| Some((member.silent_ms?, member.heard))) {
        Some((ms, heard)) => {
            let ago = std::time::Duration::from_millis(ms);
            let style = if heard { PLAIN } else { BAD };
            Cell::styled(format!("{} ago", units::age(ago)), style)
        }
        None => Cell::styled("never", BAD),
    }
}
