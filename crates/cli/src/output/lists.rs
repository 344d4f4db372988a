//! Lists of things as tables: what `get` prints.

use kato_core::Timestamp;
use kato_proto::v1::{Cell as KatoCell, Coordinates, Datacenter, DatacenterOffer, Endpoint, Event};
use kato_proto::v1::{Health, Instance, Machine, Market, Offer, Resources, RunState, Workload};

use super::candidates::offer_name;
use super::details::state;
use super::style::{BAD, FAINT, GOOD, PLAIN, WARN, paint};
use super::table::{Cell, Table};
use super::units::{age, cpu, memory, moment, since};

/// Workloads.
pub(crate) fn workloads(all: &[Workload], now: Timestamp, wide: bool) -> Table {
    let spec = |w: &Workload| w.spec.clone().unwrap_or_default();
    let share = |w: &Workload, part: u32| {
        let whole = spec(w).count.max(1);
        Cell::styled(format!("{part}/{whole}"), if part < whole { WARN } else { PLAIN })
    };
    let table = Table::new(all.len())
        .left("NAME", all.iter().map(|w| spec(w).name.into()))
        .right("RUNNING", all.iter().map(|w| share(w, w.running)))
        .right("CURRENT", all.iter().map(|w| share(w, w.current)))
        .right("PLACED", all.iter().map(|w| share(w, w.placed)))
        .money("$/H", all.iter().map(|w| Some(w.price_micros_per_hour)))
        .right("CHANGED", all.iter().map(|w| since(w.applied_at_unix_ms, now).into()));
    if !wide {
        return table;
    }
    let request = |w: &Workload| spec(w).request.unwrap_or_default();
    let near = |w: &Workload| {
        let places = spec(w).demand.into_iter().map(|demand| demand.place);
        dash(&places.collect::<Vec<_>>().join("; "))
    };
    table
        .right("NO PLACE", all.iter().map(|w| w.unplaceable.to_string().into()))
        .right("GENERATION", all.iter().map(|w| w.generation.to_string().into()))
        .right("REVISION", all.iter().map(|w| w.revision.to_string().into()))
        .right("CPU", all.iter().map(|w| cpu(request(w).cpu_millis).into()))
        .right("MEMORY", all.iter().map(|w| memory(request(w).memory_bytes).into()))
        .left("NEAR", all.iter().map(near))
}

/// Instances.
pub(crate) fn placements(all: &[Instance], now: Timestamp, wide: bool) -> Table {
    let shown_state = |i: &Instance| {
        let (word, style) = state(i.state());
        Cell::styled(word, style)
    };
    let table = Table::new(all.len())
        .left("INSTANCE", all.iter().map(|i| i.id.as_str().into()))
        .left("STATE", all.iter().map(shown_state))
        .right("SINCE", all.iter().map(|i| since(i.state_since_unix_ms, now).into()))
        .left("DATACENTER", all.iter().map(|i| dash(&i.datacenter)))
        .left("MACHINE", all.iter().map(|i| dash(&i.machine)))
        .right("RESTARTS", all.iter().map(|i| i.restarts.to_string().into()))
        .money("$/H", all.iter().map(|i| i.quote.as_ref().map(|q| q.price_micros_per_hour)));
    let table = if wide {
        let offer = |i: &Instance| offer_name(i.quote.as_ref().and_then(|q| q.offer.as_ref()));
        table
            .left("CELL", all.iter().map(|i| dash(&i.cell)))
            .left("OFFER", all.iter().map(|i| offer(i).into()))
            .right("EPOCH", all.iter().map(|i| i.epoch.to_string().into()))
            .right("GENERATION", all.iter().map(|i| i.generation.to_string().into()))
            .right("PLACED", all.iter().map(|i| since(i.placed_at_unix_ms, now).into()))
    } else {
        table
    };
    let note = |i: &Instance| {
        match i.state() {
            // What there is to say of an instance that runs is for those who ask for more.
            RunState::Running if !wide => String::new(),
            _ if i.unplaceable.is_empty() => i.detail.clone(),
            _ if i.detail.is_empty() => i.unplaceable.clone(),
            _ => format!("{}; {}", i.detail, i.unplaceable),
        }
    };
    // A column of nothing would only be a header.
    if all.iter().all(|i| note(i).is_empty()) {
        return table;
    }
    table.left("NOTE", all.iter().map(|i| note(i).into()))
}

/// Machines.
pub(crate) fn machines(all: &[Machine], _: Timestamp, wide: bool) -> Table {
    let of = |used: Option<Resources>, has: Option<Resources>, show: fn(Resources) -> String| {
        Cell::from(format!("{}/{}", show(used.unwrap_or_default()), show(has.unwrap_or_default())))
    };
    let cpus = |r: Resources| cpu(r.cpu_millis);
    let bytes = |r: Resources| memory(r.memory_bytes);
    let offer = |m: &Machine| m.offer.clone().unwrap_or_default();
    let table = Table::new(all.len())
        .left("MACHINE", all.iter().map(|m| m.id.as_str().into()))
        .left("STATE", all.iter().map(machine_state))
        .right("INSTANCES", all.iter().map(|m| m.instances.to_string().into()))
        .right("CPU", all.iter().map(|m| of(m.allocated, m.resources, cpus)))
        .right("MEMORY", all.iter().map(|m| of(m.allocated, m.resources, bytes)))
        .left("OFFER", all.iter().map(|m| offer_name(m.offer.as_ref()).into()))
        .money("$/H", all.iter().map(|m| m.offer.as_ref().map(|o| o.price_micros_per_hour)));
    if !wide {
        return table;
    }
    table
        .left("ADDRESS", all.iter().map(|m| dash(&m.address)))
        .left("PROVIDER", all.iter().map(|m| dash(&offer(m).provider)))
        .left("REGION", all.iter().map(|m| dash(&offer(m).region)))
        .right("INCARNATION", all.iter().map(|m| m.incarnation.to_string().into()))
}

fn machine_state(machine: &Machine) -> Cell {
    match (machine.suspended, machine.connected) {
        (true, _) => Cell::styled("suspended", BAD),
        (false, false) => Cell::styled("disconnected", WARN),
        (false, true) => Cell::styled("up", GOOD),
    }
}

/// The same in words that explain themselves.
pub(super) fn machine_state_text(machine: &Machine) -> String {
    match (machine.suspended, machine.connected) {
        (true, _) => paint(BAD, "suspended: it gets no leases"),
        (false, false) => paint(WARN, "its agent is not connected to a coordinator"),
        (false, true) => paint(GOOD, "up"),
    }
}

/// Datacenters.
pub(crate) fn datacenters(all: &[Datacenter], now: Timestamp, wide: bool) -> Table {
    let silent = |d: &Datacenter| match d.silent_ms {
        Some(ms) => Cell::from(age(std::time::Duration::from_millis(ms)) + " ago"),
        None => Cell::styled("never", BAD),
    };
    let regions = |d: &Datacenter| {
        let regions = d.regions.iter().map(|r| format!("{} {}", r.provider, r.region));
        dash(&regions.collect::<Vec<_>>().join(", "))
    };
    let table = Table::new(all.len())
        .left("DATACENTER", all.iter().map(|d| d.name.as_str().into()))
        .left("HEALTH", all.iter().map(|d| health(d, now)))
        .right("LAST HEARD", all.iter().map(silent))
        .right("MACHINES", all.iter().map(|d| d.machines.to_string().into()))
        .right("INSTANCES", all.iter().map(|d| d.instances.to_string().into()))
        .left("REGIONS", all.iter().map(regions));
    if !wide {
        return table;
    }
    table.left("ADDRESS", all.iter().map(|d| dash(&d.address))).left(
        "LOCATION",
        all.iter().map(|d| d.location.map_or("-".into(), |l| coordinates(l).into())),
    )
}

/// The datacenter whose coordinator serves this one's machines, while its own is gone.
pub(super) fn stand_in(datacenter: &Datacenter) -> Option<String> {
    let by = &datacenter.served_by;
    (!by.is_empty() && *by != datacenter.name).then(|| super::plain(by))
}

/// How a datacenter is, and for how long where it is not well.
pub(super) fn health(datacenter: &Datacenter, now: Timestamp) -> Cell {
    let (word, style) = match datacenter.health() {
        Health::Up => {
            return match stand_in(datacenter) {
                Some(by) => Cell::styled(format!("up, served by {by}"), WARN),
                None => Cell::styled("up", GOOD),
            };
        }
        Health::Suspected => ("suspected", WARN),
        Health::Lost => ("lost", BAD),
        Health::Unspecified => return "-".into(),
    };
    match datacenter.health_since_unix_ms {
        0 => Cell::styled(word, style),
        at => Cell::styled(format!("{word} for {}", since(at, now)), style),
    }
}

/// The same in words that explain themselves.
pub(super) fn health_text(datacenter: &Datacenter, now: Timestamp) -> String {
    let since = since(datacenter.health_since_unix_ms, now);
    match datacenter.health() {
        Health::Up => paint(GOOD, "up"),
        Health::Suspected => {
            paint(WARN, &format!("suspected for {since}: what its machines run may still run"))
        }
        Health::Lost => paint(BAD, &format!("lost for {since}: every lease in it has ended")),
        Health::Unspecified => "-".to_owned(),
    }
}

/// What somebody said; `-` where nobody did.
fn said(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// Cells.
pub(crate) fn cells(all: &[KatoCell]) -> Table {
    let free = |c: &KatoCell| c.free.unwrap_or_default();
    Table::new(all.len())
        .left("CELL", all.iter().map(|c| c.id.as_str().into()))
        .right("MACHINES", all.iter().map(|c| format!("{}/{}", c.machines, c.machines_max).into()))
        .right("ON ORDER", all.iter().map(|c| c.orders.to_string().into()))
        .right("FREE CPU", all.iter().map(|c| cpu(free(c).cpu_millis).into()))
        .right("FREE MEMORY", all.iter().map(|c| memory(free(c).memory_bytes).into()))
        .left("ZONE", all.iter().map(|c| said(&c.zone).into()))
        .left("LABELS", all.iter().map(|c| said(&super::details::labels(&c.labels)).into()))
}

/// Whether instances are placed on machines like this when their workload says nothing of processors.
pub(crate) fn is_placed_on(offer: &Offer) -> bool {
    offer.arch == kato_core::Arch::default().to_string()
}

/// What can be bought.
pub(crate) fn offers(all: &[DatacenterOffer], now: Timestamp, wide: bool) -> Table {
    let offer = |o: &DatacenterOffer| o.offer.clone().unwrap_or_default();
    let capacity = |o: &DatacenterOffer| offer(o).capacity.unwrap_or_default();
    let arch = |o: &Offer| {
        Cell::styled(
            if o.arch.is_empty() { "-" } else { &o.arch },
            if is_placed_on(o) { PLAIN } else { FAINT },
        )
    };
    let market = |o: &Offer| if o.market() == Market::Spot { "spot" } else { "on-demand" };
    let table = Table::new(all.len())
        .left("DATACENTER", all.iter().map(|o| o.datacenter.as_str().into()))
        .left("OFFER", all.iter().map(|o| offer(o).kind.into()))
        .left("ARCH", all.iter().map(|o| arch(&offer(o))))
        .left("MARKET", all.iter().map(|o| market(&offer(o)).into()))
        .right("CPU", all.iter().map(|o| cpu(capacity(o).cpu_millis).into()))
        .right("MEMORY", all.iter().map(|o| memory(capacity(o).memory_bytes).into()))
        .money("$/H", all.iter().map(|o| o.offer.as_ref().map(|o| o.price_micros_per_hour)))
        .right("PRICE READ", all.iter().map(|o| since(offer(o).priced_at_unix_ms, now).into()));
    if !wide {
        return table;
    }
    table
        .left("GPUS", all.iter().map(|o| gpus(&offer(o))))
        .left("TERMS", all.iter().map(|o| dash(&offer_terms(&offer(o)))))
        .left("PROVIDER", all.iter().map(|o| dash(&offer(o).provider)))
        .left("REGION", all.iter().map(|o| dash(&offer(o).region)))
        .left("FROM", all.iter().map(|o| dash(&offer(o).source)))
}

/// `by the minute, ≤10% taken back/month`.
pub(crate) fn offer_terms(offer: &Offer) -> String {
    super::units::terms(offer.billed_s, offer.interruption_percent)
}

/// `2 A100`.
fn gpus(offer: &Offer) -> Cell {
    match offer.capacity.map_or(0, |capacity| capacity.gpus) {
        0 => dash(""),
        count => format!("{count} {}", super::plain(&offer.gpu)).into(),
    }
}

/// The ports of instances.
pub(crate) fn endpoints(all: &[Instance]) -> Table {
    let rows: Vec<(&Instance, &Endpoint)> =
        all.iter().flat_map(|i| i.endpoints.iter().map(move |e| (i, e))).collect();
    let shown_state = |i: &Instance| {
        let (word, style) = state(i.state());
        Cell::styled(word, style)
    };
    Table::new(rows.len())
        .left("INSTANCE", rows.iter().map(|(i, _)| i.id.as_str().into()))
        .left("PORT", rows.iter().map(|(_, e)| e.name.as_str().into()))
        .left("ADDRESS", rows.iter().map(|(_, e)| socket(e).into()))
        .left("DATACENTER", rows.iter().map(|(i, _)| dash(&i.datacenter)))
        .left("STATE", rows.iter().map(|(i, _)| shown_state(i)))
}

/// `http 10.0.0.3:20001`.
pub(super) fn endpoint(endpoint: &Endpoint) -> String {
    super::plain(&format!("{} {}", endpoint.name, socket(endpoint)))
}

/// An address as programs take it: IPv6 in brackets.
fn socket(endpoint: &Endpoint) -> String {
    let Endpoint { address, port, .. } = endpoint;
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Events, the oldest first.
pub(crate) fn events(all: &[Event]) -> Table {
    Table::new(all.len())
        .left("TIME", all.iter().map(|e| moment(e.at_unix_ms).into()))
        .right("REVISION", all.iter().map(|e| e.revision.to_string().into()))
        .left("KIND", all.iter().map(|e| e.kind.as_str().into()))
        .left("SUBJECT", all.iter().map(|e| e.subject.as_str().into()))
        .left("MESSAGE", all.iter().map(|e| e.message.as_str().into()))
}

/// `53.35,-6.26`, as `Near=` takes it.
pub(super) fn coordinates(at: Coordinates) -> String {
    format!("{:.2},{:.2}", at.latitude, at.longitude)
}

/// A text, or a dash in its place.
fn dash(text: &str) -> Cell {
    if text.is_empty() { "-".into() } else { text.into() }
}
