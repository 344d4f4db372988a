//! One thing with all that is known of it: what `describe` prints.

use std::collections::BTreeMap;

use anstyle::Style;
use kato_core::Timestamp;
use kato_proto::v1::{
    Datacenter, Event, Failover, Instance, Machine, Rules, RunState, SpotPolicy, Spread,
};
use kato_proto::v1::{Workload, WorkloadSpec};

use super::candidates::{machine as running_or_bought, offer_name};
use super::style::{BAD, GOOD, PLAIN, STRONG, WARN, paint};
use super::units::{cpu, memory, moment, money, resources, since};
use super::{lists, plain, plain_lines, units};

/// Names with what is said of them, the latter below each other.
#[derive(Default)]
pub(crate) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// Adds a field; an empty one is left out.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((name, value));
        }
        self
    }

    /// What a workload asks of places and machines.
    fn with_rules(self, rules: &Rules) -> Self {
        let within = rules.countries.iter().chain(&rules.continents).cloned();
        let all = |words: Vec<String>| plain(&words.join(", "));
        let total = rules.total_micros_per_hour_max.map(|most| format!("{}/h", money(most)));
        let age = rules.price_age_s_max.map(std::time::Duration::from_secs);
        self.with("Processors", all(rules.arches.clone()))
            .with("GPUs", all(rules.gpus.clone()))
            .with("Providers", all(rules.providers.clone()))
            .with("Data within", all(within.collect()))
            .with("Labels", labels(&rules.labels))
            .with("Max total", total.unwrap_or_default())
            .with("Price age", age.map(units::age).unwrap_or_default())
            .with("With", all(rules.with.clone()))
            .with("Apart from", all(rules.apart.clone()))
            .with("Moves", moves(rules))
            .with(
                "Priority",
                if rules.priority == 0 { String::new() } else { rules.priority.to_string() },
            )
            .with("Survives", plain(&rules.survive))
            .with("On demand", on_demand(rules))
            .with("Terms", terms(rules))
            .with("Prefers", plain_lines(&rules.preferences.join("\n")))
    }

    pub(crate) fn render(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 3;
        self.0.iter().fold(String::new(), |text, (name, value)| {
            let name = format!("{name}{}", " ".repeat(width - name.len()));
            let value = value.replace('\n', &format!("\n{}", " ".repeat(width)));
            format!("{text}{}{value}\n", paint(STRONG, &name))
        })
    }
}

/// A run state in a word, and how it looks.
pub(crate) fn state(state: RunState) -> (&'static str, Style) {
    match state {
        RunState::Unspecified => ("-", PLAIN),
        RunState::Pending => ("pending", WARN),
        RunState::Starting => ("starting", PLAIN),
        RunState::Running => ("running", GOOD),
        RunState::Restarting => ("restarting", WARN),
        RunState::Stopping => ("stopping", PLAIN),
        RunState::Exited => ("exited", PLAIN),
        RunState::Failed => ("failed", BAD),
        RunState::Fenced => ("fenced", BAD),
        RunState::Unknown => ("unknown", WARN),
        RunState::Unplaceable => ("unplaceable", BAD),
    }
}

/// A workload, its instances and its specification.
pub(crate) fn workload(
    workload: &Workload,
    instances: &[Instance],
    events: &[Event],
    now: Timestamp,
) -> String {
    let spec = workload.spec.clone().unwrap_or_default();
    let changed = format!(
        "{} ago (generation {}, revision {})",
        since(workload.applied_at_unix_ms, now),
        workload.generation,
        workload.revision
    );
    let count = spec.count.max(1);
    let mut running =
        format!("{} of {count} running, {} placed", workload.running, workload.placed);
    if workload.current < workload.placed {
        running += &format!(", {} of the present generation", workload.current);
    }
    if workload.unplaceable > 0 {
        let without = format!("{} without a place", workload.unplaceable);
        running += &format!(", {}", paint(BAD, &without));
    }
    let fields = Fields::default()
        .with("Workload", paint(STRONG, &plain(&spec.name)))
        .with("Instances", running)
        .with("No place", paint_if(BAD, &unplaceable(instances)))
        .with("Changed", changed)
        .with("Price", format!("{}/h", money(workload.price_micros_per_hour)));
    let mut text = specification(fields, &spec).render();
    text += &format!("\n{}", lists::placements(instances, now, false).render());
    text += &recent(events, true);
    if !spec.unit.is_empty() {
        let unit = spec.unit.lines().map(|line| format!("  {}\n", plain_line(line)));
        let unit = super::without_trailing_blanks(&unit.collect::<String>());
        text += &format!("\nUnit file:\n{unit}");
    }
    text
}

/// Why no place is found, each reason once with the instances that it keeps out.
fn unplaceable(instances: &[Instance]) -> String {
    let mut reasons: Vec<(String, String)> = Vec::new();
    for instance in instances.iter().filter(|instance| !instance.unplaceable.is_empty()) {
        let (id, reason) = (plain(&instance.id), plain(&instance.unplaceable));
        match reasons.iter_mut().find(|(_, known)| *known == reason) {
            Some((ids, _)) => *ids += &format!(", {id}"),
            None => reasons.push((id, reason)),
        }
    }
    let lines: Vec<String> =
        reasons.into_iter().map(|(ids, reason)| format!("{ids}: {reason}")).collect();
    lines.join("\n")
}

/// A line of a unit file: its indentation stays.
fn plain_line(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

fn specification(fields: Fields, spec: &WorkloadSpec) -> Fields {
    let near = spec.demand.iter().map(|demand| {
        let weight = if demand.weight == 0.0 { 1.0 } else { demand.weight };
        format!("{} (weight {weight})", plain(&demand.place))
    });
    let price = |micros: Option<i64>| micros.map(|m| format!("{}/h", money(m))).unwrap_or_default();
    let rate = spec.latency_price_micros_per_ms_hour;
    fields
        .with("Each takes", resources(spec.request.as_ref()))
        .with("Near", near.collect::<Vec<_>>().join(", "))
        .with("Max latency", max_latency(spec))
        .with("Max price", price(spec.price_micros_per_hour_max))
        .with(
            "Latency price",
            rate.map(|m| format!("{} a ms and hour", money(m))).unwrap_or_default(),
        )
        .with("Datacenters", spec.datacenters.join(", "))
        .with(
            "Spot",
            match spec.spot() {
                SpotPolicy::Allowed => "allowed",
                SpotPolicy::Required => "required",
                SpotPolicy::Never | SpotPolicy::Unspecified => "never",
            },
        )
        .with("Spread", spreads(spec))
        .with("Singleton", if spec.singleton { "yes" } else { "" })
        .with("Failover", if spec.failover() == Failover::Never { "never" } else { "auto" })
        .with("Ports", spec.ports.join(", "))
        .with_rules(&spec.rules.clone().unwrap_or_default())
}

/// The bound, and the share of the demand that it is for.
fn max_latency(spec: &WorkloadSpec) -> String {
    let share = spec.rules.as_ref().and_then(|rules| rules.latency_percentile);
    match (spec.latency_ms_max, share) {
        (None, _) => String::new(),
        (Some(ms), None) => format!("{ms} ms"),
        (Some(ms), Some(percent)) => format!("{ms} ms for {percent} % of the demand"),
    }
}

/// Every limit on what is together, each on a line.
fn spreads(spec: &WorkloadSpec) -> String {
    let one = (spec.spread() == Spread::Datacenter).then(|| "datacenter".to_owned());
    let others = spec.rules.iter().flat_map(|rules| rules.spreads.clone());
    one.into_iter().chain(others).map(|spread| plain(&spread)).collect::<Vec<_>>().join("\n")
}

/// One instance.
pub(crate) fn placement(instance: &Instance, events: &[Event], now: Timestamp) -> String {
    let (word, style) = state(instance.state());
    let mut said = paint(style, word);
    if instance.state_since_unix_ms > 0 {
        said += &format!(" for {}", since(instance.state_since_unix_ms, now));
    }
    if !instance.detail.is_empty() {
        said += &format!(" ({})", plain(&instance.detail));
    }
    let placed = match instance.placed_at_unix_ms {
        0 => String::new(),
        at => format!(
            "{} ago (epoch {}, generation {})",
            since(at, now),
            instance.epoch,
            instance.generation
        ),
    };
    let endpoints = instance.endpoints.iter().map(lists::endpoint).collect::<Vec<_>>();
    let fields = Fields::default()
        .with("Instance", paint(STRONG, &plain(&instance.id)))
        .with("State", said)
        .with("No place", paint_if(BAD, &plain(&instance.unplaceable)))
        .with("Datacenter", plain(&instance.datacenter))
        .with("Cell", plain(&instance.cell))
        .with("Machine", plain(&instance.machine))
        .with("Placed", placed)
        .with("Restarts", instance.restarts.to_string())
        .with("Endpoints", endpoints.join("\n"));
    let fields = quote(fields, instance);
    format!("{}{}", fields.render(), recent(events, false))
}

fn quote(fields: Fields, instance: &Instance) -> Fields {
    let Some(quote) = &instance.quote else { return fields };
    let offer = offer_name(quote.offer.as_ref());
    fields
        .with("Offer", format!("{offer}, {} when it was placed", running_or_bought(Some(quote))))
        .with(
            "Price",
            format!(
                "{}/h, and {}/h for latency",
                money(quote.price_micros_per_hour),
                money(quote.latency_micros_per_hour)
            ),
        )
}

fn paint_if(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { paint(style, text) }
}

/// A datacenter and its machines.
pub(crate) fn datacenter(
    datacenter: &Datacenter,
    machines: &[Machine],
    events: &[Event],
    now: Timestamp,
) -> String {
    let regions = datacenter.regions.iter().map(|r| format!("{} {}", r.provider, r.region));
    let place = datacenter.location.map(lists::coordinates).unwrap_or_default();
    let silent = datacenter.silent_ms.map(std::time::Duration::from_millis);
    let heard =
        silent.map_or_else(|| "never".to_owned(), |s| format!("{} ago", super::units::age(s)));
    let stands_in = lists::stand_in(datacenter).map(|by| {
        let text = format!("the coordinator of {by}, while its own is gone; orders wait");
        paint(WARN, &text)
    });
    let fields = Fields::default()
        .with("Datacenter", paint(STRONG, &plain(&datacenter.name)))
        .with("Health", lists::health_text(datacenter, now))
        .with("Coordinator", format!("{}, last heard {heard}", plain(&datacenter.address)))
        .with("Served by", stands_in.unwrap_or_default())
        .with("Location", place)
        .with("Country", plain(&datacenter.country))
        .with("Labels", labels(&datacenter.labels))
        .with("Regions", regions.collect::<Vec<_>>().join(", "))
        .with("Instances", datacenter.instances.to_string());
    let machines = lists::machines(machines, now, false).render();
    format!("{}\n{machines}{}", fields.render(), recent(events, false))
}

/// When it is moved although it runs: `never`, `for more than $0.5 over 30d`.
fn moves(rules: &Rules) -> String {
    if rules.rebalance_never {
        return "never".to_owned();
    }
    if rules.move_micros.is_none() && rules.stay_s.is_none() {
        return String::new();
    }
    let cost = rules.move_micros.unwrap_or(kato_core::MOVE_COST_DEFAULT.0);
    let stay = std::time::Duration::from_secs(rules.stay_s.unwrap_or(kato_core::STAY_S_DEFAULT));
    format!("for more than {} over {}", money(cost), units::age(stay))
}

/// `30% at least`.
fn on_demand(rules: &Rules) -> String {
    if rules.on_demand.is_empty() {
        return String::new();
    }
    format!("{} at least", plain(&rules.on_demand))
}

/// The worst terms that would do, as those of an offer are shown.
fn terms(rules: &Rules) -> String {
    units::terms(rules.billed_s_max, rules.interruption_percent_max)
}

/// `disk=ssd, tier=gold`.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> String {
    let all = labels.iter().map(|(key, value)| plain(&format!("{key}={value}")));
    all.collect::<Vec<_>>().join(", ")
}

/// A machine and what runs on it.
pub(crate) fn machine(machine: &Machine, instances: &[Instance], now: Timestamp) -> String {
    let (has, used) =
        (machine.resources.unwrap_or_default(), machine.allocated.unwrap_or_default());
    let offer = machine.offer.as_ref();
    let bought = offer.map(|o| {
        let name = offer_name(Some(o));
        let price = money(o.price_micros_per_hour);
        let terms = units::terms(o.billed_s, o.interruption_percent);
        let terms = if terms.is_empty() { terms } else { format!(", {terms}") };
        format!("{} {} {name}, {price}/h{terms}", o.provider, o.region)
    });
    let fields = Fields::default()
        .with("Machine", paint(STRONG, &plain(&machine.id)))
        .with("State", lists::machine_state_text(machine))
        .with("Address", plain(&machine.address))
        .with("CPU", format!("{} of {} allocated", cpu(used.cpu_millis), cpu(has.cpu_millis)))
        .with(
            "Memory",
            format!("{} of {} allocated", memory(used.memory_bytes), memory(has.memory_bytes)),
        )
        .with("Disk", allocated(used.disk_bytes, has.disk_bytes, memory))
        .with("GPUs", allocated(used.gpus, has.gpus, |count| count.to_string()))
        .with("Offer", bought.unwrap_or_default())
        .with("Incarnation", machine.incarnation.to_string());
    format!("{}\n{}", fields.render(), lists::placements(instances, now, false).render())
}

/// How much of what a machine has is taken; nothing where it has none.
fn allocated(used: u64, has: u64, shown: impl Fn(u64) -> String) -> String {
    if has == 0 { String::new() } else { format!("{} of {} allocated", shown(used), shown(has)) }
}

/// What happened lately, where something did; and to what, where there are several things.
fn recent(events: &[Event], several: bool) -> String {
    if events.is_empty() {
        return String::new();
    }
    let kinds = events.iter().map(|event| event.kind.len()).max().unwrap_or(0);
    let subjects = events.iter().map(|event| event.subject.len()).max().unwrap_or(0);
    events.iter().fold("\nEvents:\n".to_owned(), |text, event| {
        let (at, kind) = (moment(event.at_unix_ms), plain(&event.kind));
        let subject = format!("  {:subjects$}", plain(&event.subject));
        let subject = if several { subject } else { String::new() };
        format!("{text}  {at}  {kind:kinds$}{subject}  {}\n", plain(&event.message))
    })
}
