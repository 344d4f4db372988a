//! What a user wants to run, from a unit file or field by field. Both ways meet the same rules.

use std::net::IpAddr;
use std::sync::Arc;

use kato_core::WorkloadSpec;
use kato_placement::gazetteer::{Place, places};
use kato_proto::v1 as pb;
use kato_units::{Located, parse_workload};
use tonic::Status;

use crate::ip_locations::{Asked, IpLocations};
use crate::status;

/// A checked specification, and what its unit asks for in vain.
pub(crate) struct Wanted {
    pub(crate) spec: Arc<WorkloadSpec>,
    pub(crate) warnings: Vec<String>,
}

/// Where a place is, or what would be a right one.
fn resolve(place: &str, addresses: &Asked) -> Result<Vec<Located>, String> {
    if let Ok(address) = place.parse::<IpAddr>() {
        return Ok(vec![addresses.locate(address)?.into()]);
    }
    let found = places(place).map_err(|error| error.to_string())?;
    let is_one = found.len() == 1;
    let located = |(place, weight): (Place, u32)| {
        let name = (!is_one).then_some(place.name);
        Located { name, at: place.coordinates, weight }
    };
    Ok(found.into_iter().map(located).collect())
}

/// Reads a unit file.
pub(crate) fn from_unit(unit: &pb::UnitFile, ips: &IpLocations) -> Result<Wanted, Status> {
    let addresses = ips.ask();
    let resolve = |place: &str| resolve(place, &addresses);
    let parsed = parse_workload(&unit.file_name, &unit.text, &resolve)
        .map_err(|findings| status::from_findings(&findings))?;
    let warnings = parsed.warnings.iter().map(ToString::to_string).collect();
    Ok(Wanted { spec: Arc::new(parsed.spec), warnings })
}

/// Reads a specification in fields: it is written as a unit file and read as one, so that no rule has two homes.
pub(crate) fn from_fields(spec: &pb::WorkloadSpec, ips: &IpLocations) -> Result<Wanted, Status> {
    let name = &spec.name;
    let template = if spec.template || spec.count > 1 { "@" } else { "" };
    let mut text = String::new();
    let mut section = "";
    for line in spec.unit.lines() {
        if line.trim_start().starts_with('[') {
            section = line.trim();
        }
        if section != "[X-Kato]" {
            text.push_str(line);
            text.push('\n');
        }
    }
    if spec.unit.trim().is_empty() {
        // A question about places needs no program.
        text.push_str("[Service]\nExecStart=/bin/true\n");
    }
    text.push_str("[X-Kato]\n");
    for (key, value) in options(spec) {
        if value.contains(['\n', '\r']) {
            return Err(status::bad_field(key, "a value is one line"));
        }
        text.extend([key, "=", &value, "\n"]);
    }
    from_unit(&pb::UnitFile { file_name: format!("{name}{template}.service"), text }, ips)
}

/// The options that are set, as `[X-Kato]` spells them.
pub(crate) fn options(spec: &pb::WorkloadSpec) -> Vec<(&'static str, String)> {
    let dollars = |micros: i64| kato_core::MicroDollars(micros).to_string();
    let mut options = Vec::new();
    if spec.count > 0 {
        options.push(("Count", spec.count.to_string()));
    }
    if let Some(request) = &spec.request {
        options.push(("CPU", cores(request.cpu_millis)));
        options.push(("Memory", size(request.memory_bytes)));
        if request.disk_bytes > 0 {
            options.push(("Disk", size(request.disk_bytes)));
        }
        options.extend(gpus(request.gpus, spec.rules.as_ref()));
    }
    for demand in &spec.demand {
        let weight = if demand.weight == 0.0 { 1.0 } else { demand.weight };
        options.push(("Near", format!("{} weight={weight}", demand.place)));
    }
    let rules = spec.rules.clone().unwrap_or_default();
    let percentile = rules.latency_percentile.map(|share| format!(" percentile={share}"));
    let percentile = percentile.unwrap_or_default();
    options.extend(spec.latency_ms_max.map(|max| ("MaxLatency", format!("{max}ms{percentile}"))));
    if !spec.datacenters.is_empty() {
        options.push(("Datacenters", spec.datacenters.join(" ")));
    }
    options.extend(spec.price_micros_per_hour_max.map(|max| ("MaxPrice", dollars(max))));
    options.extend(
        spec.latency_price_micros_per_ms_hour.map(|price| ("LatencyPrice", dollars(price))),
    );
    let spot = match spec.spot() {
        pb::SpotPolicy::Allowed => "allowed",
        pb::SpotPolicy::Required => "required",
        pb::SpotPolicy::Never | pb::SpotPolicy::Unspecified => "never",
    };
    options.push(("Spot", spot.to_owned()));
    if spec.spread() == pb::Spread::Datacenter {
        options.push(("Spread", "datacenter".to_owned()));
    }
    if spec.singleton {
        options.push(("Singleton", "yes".to_owned()));
    }
    if spec.failover() == pb::Failover::Never {
        options.push(("Failover", "never".to_owned()));
    }
    if !spec.ports.is_empty() {
        options.push(("Port", spec.ports.join(" ")));
    }
    options.extend(rule_options(rules));
    options
}

/// `2`, or `1500m`.
fn cores(millis: u64) -> String {
    if millis.is_multiple_of(1_000) { (millis / 1_000).to_string() } else { format!("{millis}m") }
}

/// `64G`, `512M`, or bytes.
fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1 << 30) => format!("{}G", bytes >> 30),
        bytes if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
        bytes => bytes.to_string(),
    }
}

/// `GPU=A100:2 H100:2`.
fn gpus(count: u64, rules: Option<&pb::Rules>) -> Option<(&'static str, String)> {
    let kinds = rules.into_iter().flat_map(|rules| &rules.gpus);
    let kinds: Vec<String> = kinds.map(|kind| format!("{kind}:{count}")).collect();
    match (count, kinds.is_empty()) {
        (0, true) => None,
        (count, true) => Some(("GPU", count.to_string())),
        (_, false) => Some(("GPU", kinds.join(" "))),
    }
}

/// The rules among them.
fn rule_options(rules: pb::Rules) -> Vec<(&'static str, String)> {
    let dollars = |micros: i64| kato_core::MicroDollars(micros).to_string();
    let mut options = Vec::new();
    let lists = [
        ("Arch", rules.arches),
        ("Providers", rules.providers),
        ("Countries", rules.countries),
        ("Continents", rules.continents),
    ];
    for (key, words) in lists.into_iter().filter(|(_, words)| !words.is_empty()) {
        options.push((key, words.join(" ")));
    }
    options.extend(rules.labels.iter().map(|(key, value)| ("Labels", format!("{key}={value}"))));
    let total = rules.total_micros_per_hour_max;
    options.extend(total.map(|most| ("MaxTotalPrice", dollars(most))));
    options.extend(rules.price_age_s_max.map(|age| ("MaxPriceAge", format!("{age}s"))));
    options.extend(rules.spreads.into_iter().map(|spread| ("Spread", spread)));
    options.extend(rules.with.into_iter().map(|with| ("With", with)));
    options.extend(rules.apart.into_iter().map(|apart| ("Apart", apart)));
    options.extend(rules.preferences.into_iter().map(|preference| ("Prefer", preference)));
    if rules.rebalance_never {
        options.push(("Rebalance", "never".to_owned()));
    }
    options.extend(rules.move_micros.map(|cost| ("MoveCost", dollars(cost))));
    options.extend(rules.stay_s.map(|stay| ("Stay", format!("{stay}s"))));
    if rules.priority > 0 {
        options.push(("Priority", rules.priority.to_string()));
    }
    if !rules.survive.is_empty() {
        options.push(("Survive", rules.survive));
    }
    if !rules.on_demand.is_empty() {
        options.push(("OnDemand", rules.on_demand));
    }
    let interruption = rules.interruption_percent_max;
    options.extend(interruption.map(|most| ("MaxInterruption", format!("{most}%"))));
    options.extend(rules.billed_s_max.map(|most| ("MaxBilling", format!("{most}s"))));
    options
}
