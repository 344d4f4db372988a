//! From a unit file to a workload: the section `[X-Kato]`, its defaults and its contradictions.

mod demand;
mod options;
mod rules;
mod section;

use std::sync::Arc;

pub use demand::Located;

use kato_core::{
    DatacenterName, Failover, FailureDomain, InstanceId, LATENCY_PRICE_DEFAULT, Level, Most,
    Neighbour, PortName, Resources, SpotPolicy, WorkloadName, WorkloadSpec,
};

use crate::finding::{Finding, Findings};
use crate::name::UnitNameError;
use crate::suggest::nearest;
use crate::{Entry, Service, Specifiers, UnitFile, UnitName};

/// The section that is Káto's own; systemd ignores it.
const SECTION: &str = "X-Kato";

/// The sections that have a meaning in a workload.
const SECTIONS: [&str; 4] = ["Unit", "Service", "Install", SECTION];

/// What an instance asks for unless its unit says otherwise: a tenth of a core and 128 MiB.
const REQUEST_DEFAULT: Resources = Resources::new(100, 128);

const SPOT: [(&str, SpotPolicy); 3] = [
    ("allowed", SpotPolicy::Allowed),
    ("required", SpotPolicy::Required),
    ("never", SpotPolicy::Never),
];
const FAILOVER: [(&str, Failover); 2] = [("auto", Failover::Auto), ("never", Failover::Never)];

/// A workload and what its author should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The workload.
    pub spec: WorkloadSpec,
    /// What is legal and probably not meant, or not honoured everywhere.
    pub warnings: Vec<Finding>,
}

/// Reads a unit file as a workload, or says everything that is wrong with it.
///
/// `resolve` finds the place that a `Near=` names by a city, an IATA code or an IP address, or the places that a country
/// stands for; its error is shown as it is, and has to say what would be found. Coordinates do not go through it.
pub fn parse_workload(
    file_name: &str,
    text: &str,
    resolve: &dyn Fn(&str) -> Result<Vec<Located>, String>,
) -> Result<Parsed, Vec<Finding>> {
    let (file, syntax) = UnitFile::read(file_name, text);
    let mut found = Found { errors: Findings::new(file_name), warnings: Findings::new(file_name) };
    let unit = UnitName::parse(file_name);
    if let Err(error) = &unit {
        found.errors.on_file(error.to_string());
    }
    let complete = syntax.is_empty() & check_sections(&file, &mut found);
    found.errors.extend(syntax);
    let spec = read_spec(&file, unit.as_ref().ok(), text, resolve, &mut found);
    // Without [Service], another unit type or a header that was not understood is the reason, and has
    // been said.
    let other_type = matches!(unit, Err(UnitNameError::NotAService { .. }));
    if (complete && !other_type) || file.section("Service").is_some() {
        check_service(&file, &spec, &mut found);
    }
    if found.errors.is_empty() {
        Ok(Parsed { spec, warnings: found.warnings.finish() })
    } else {
        Err(found.errors.finish())
    }
}

/// The variable that a unit finds a port's number in: `KATO_PORT_GRPC_API` for `grpc-api`.
pub fn port_variable(port: &PortName) -> String {
    format!("KATO_PORT_{}", port.as_str().to_ascii_uppercase().replace('-', "_"))
}

/// What was found so far.
struct Found {
    errors: Findings,
    warnings: Findings,
}

/// Looks at the headers, and says whether each is what it seems to be.
fn check_sections(file: &UnitFile, found: &mut Found) -> bool {
    let mut complete = true;
    for section in &file.sections {
        let name = section.name.as_str();
        if SECTIONS.contains(&name) {
            continue;
        }
        if name == "X-Fleet" {
            let message = "the section is ignored: Káto places by [X-Kato]";
            found.warnings.on_section(section.line, name, message);
        } else if let Some(meant) = nearest(name, SECTIONS) {
            complete = false;
            let message = format!("unknown section: did you mean [{meant}]?");
            found.errors.on_section(section.line, name, message);
        } else if !name.starts_with("X-") {
            let message = "the section has no effect in a service unit: remove it";
            found.warnings.on_section(section.line, name, message);
        }
    }
    complete
}

/// Reads `[X-Kato]`. Where a value is wrong, its default stands in, and the findings have the error.
fn read_spec(
    file: &UnitFile,
    unit: Option<&UnitName>,
    text: &str,
    resolve: &dyn Fn(&str) -> Result<Vec<Located>, String>,
    found: &mut Found,
) -> WorkloadSpec {
    let mut section = section::Reader::new(file, &mut found.errors);
    section.check_keys();
    let defaults = REQUEST_DEFAULT;
    let bound = section.once("MaxLatency", rules::latency);
    let (gpus, kinds) = section.gpus();
    let spec = WorkloadSpec {
        // The stand-in of a name that is wrong is never seen: the file has an error then.
        name: unit.map_or_else(stand_in, |unit| unit.workload.clone()),
        template: unit.is_some_and(|unit| unit.template),
        unit: Arc::from(text),
        count: section.once("Count", options::count).unwrap_or(1),
        request: Resources {
            cpu_millis: section.once("CPU", options::cpu).unwrap_or(defaults.cpu_millis),
            memory_bytes: section.once("Memory", options::memory).unwrap_or(defaults.memory_bytes),
            disk_bytes: section.once("Disk", options::disk).unwrap_or(0),
            gpus,
        },
        demand: section.demand(resolve),
        latency_ms_max: bound.map(|(latency_ms_max, _)| latency_ms_max),
        datacenters: section.datacenters(),
        price_micros_per_hour_max: section.once("MaxPrice", options::price),
        spot: section.choice("Spot", &SPOT),
        singleton: section.once("Singleton", crate::value::boolean).unwrap_or_default(),
        failover: section.choice("Failover", &FAILOVER),
        ports: section.ports(),
        latency_price_micros_per_ms_hour: section
            .once("LatencyPrice", options::latency_price)
            .unwrap_or(LATENCY_PRICE_DEFAULT),
        rules: section.rules(bound.and_then(|(_, percentile)| percentile), kinds),
    };
    check_contradictions(file, unit, &spec, found);
    spec
}

/// What `Survive=` promises and other keys forbid.
fn lost_promises(spec: &WorkloadSpec) -> Vec<(&'static str, String)> {
    let mut lost = Vec::new();
    let Some(domain) = spec.rules.survives else { return lost };
    if spec.failover == Failover::Never {
        let text = format!(
            "nothing of it is placed elsewhere with Failover=never: remove that, or Survive=1 {domain}"
        );
        lost.push(("Survive", text));
    }
    let only = match domain {
        FailureDomain::Datacenter if spec.datacenters.len() == 1 => "Datacenters=",
        FailureDomain::Provider if spec.rules.providers.len() == 1 => "Providers=",
        _ => return lost,
    };
    let text = format!("{only} has one, and nothing is left when that is lost: add another");
    lost.push(("Survive", text));
    lost
}

/// What is asked of spot machines, of which there are none, or of others, of which there are none.
fn without_spot(spec: &WorkloadSpec) -> Option<(&'static str, String)> {
    let (least, count) = (spec.rules.on_demand_min?, spec.count);
    if spec.spot == SpotPolicy::Required {
        let text = format!("{least} cannot be on demand with Spot=required: write Spot=allowed");
        return Some(("OnDemand", text));
    }
    let Most::Copies(copies) = least else { return None };
    let text = || format!("{copies} instances are more than there are: Count={count}");
    (copies > count).then(|| ("OnDemand", text()))
}

/// What says something of spot machines, while there will be none.
fn of_spot(spec: &WorkloadSpec) -> Vec<&'static str> {
    let rules = &spec.rules;
    let pools = rules.spreads.iter().any(|spread| spread.over == Level::Pool);
    let said = [
        ("OnDemand", rules.on_demand_min.is_some()),
        ("MaxInterruption", rules.terms.interruption_percent.is_some()),
        ("Spread", pools),
    ];
    let never = spec.spot == SpotPolicy::Never;
    said.into_iter().filter(|(_, said)| never && *said).map(|(key, _)| key).collect()
}

/// Refuses keys that are right by themselves and cannot be met together. A singleton may have several
/// instances: the promise is about each of them.
fn check_contradictions(
    file: &UnitFile,
    unit: Option<&UnitName>,
    spec: &WorkloadSpec,
    found: &mut Found,
) {
    let line = |key: &str| file.last(SECTION, key).map(|entry| entry.line);
    let mut error = |key: &str, message: String| {
        found.errors.on_key(line(key), SECTION, key, message);
    };
    if let Some(unit) = unit.filter(|unit| spec.count > 1 && !unit.template) {
        error(
            "Count",
            format!(
                "{} copies need a template: name the file {}@.service, or write Count=1",
                spec.count, unit.workload
            ),
        );
    }
    // What is written counts, not what was understood: a place with an error is still a place.
    let near = !file.list(SECTION, "Near").is_empty();
    if spec.latency_ms_max.is_some() && !near {
        error(
            "MaxLatency",
            "there is no place to measure it from: add one such as Near=Dublin, or remove MaxLatency="
                .to_owned(),
        );
    }
    let sites = spec.datacenters.len();
    let copies = usize::try_from(spec.count).unwrap_or(usize::MAX);
    let hard = spec.rules.spreads.iter().filter(|spread| spread.excess_micros_per_hour.is_none());
    for spread in hard.filter(|spread| spread.over == Level::Datacenter && sites > 0) {
        let each = |name: &DatacenterName| spread.most_in(name.as_str(), spec.count) as usize;
        let most: usize = spec.datacenters.iter().map(each).sum();
        if copies > most {
            error(
                "Spread",
                format!(
                    "{spread} allows {most} copies in the {sites} of Datacenters=, and Count={} is more: \
                     add datacenters, or write Count={most} or Spread=none",
                    spec.count
                ),
            );
        }
    }
    for (key, message) in lost_promises(spec).into_iter().chain(without_spot(spec)) {
        error(key, message);
    }
    for neighbour in &spec.rules.neighbours {
        let key = if neighbour.together { "With" } else { "Apart" };
        if neighbour.workload == spec.name {
            let text = "names the workload itself: how its copies are kept apart is for Spread=";
            error(key, text.to_owned());
        }
        let opposite = |found: &&Neighbour| {
            found.workload == neighbour.workload && !found.together && neighbour.together
        };
        // Whoever is together in a cell is together in its zone and datacenter too.
        let both = spec.rules.neighbours.iter().find(opposite);
        if let Some(both) = both.filter(|both| both.over <= neighbour.over) {
            let (name, over) = (&neighbour.workload, both.over);
            error(key, format!("{name} is to be together and apart in one {over}: remove one"));
        }
    }
    for key in of_spot(spec) {
        let message = "has no effect without spot machines: write Spot=allowed, or remove it";
        let is_it = |entry: &&Entry| key != "Spread" || entry.value.starts_with("pool");
        let entry = file.entries(SECTION).filter(|entry| entry.key == key).find(is_it);
        found.warnings.on_key(entry.map(|entry| entry.line), SECTION, key, message);
    }
    if let Some(entry) = file.last(SECTION, "LatencyPrice").filter(|_| !near) {
        let message = "has no effect without a place: add one such as Near=Dublin";
        found.warnings.on_key(Some(entry.line), SECTION, "LatencyPrice", message);
    }
}

/// Reads `[Service]` as an engine would, for the first instance.
fn check_service(file: &UnitFile, spec: &WorkloadSpec, found: &mut Found) {
    let instance = InstanceId::new(spec.name.clone(), 1);
    let specifiers = Specifiers::new(instance, spec.template, "core-1");
    match Service::read(file, &specifiers) {
        Ok(service) => {
            check_ports(&service, spec, found);
            for warning in service.warnings {
                found.warnings.add(warning);
            }
        }
        Err(findings) => found.errors.extend(findings),
    }
}

/// Warns of a port's variable that nothing sets.
fn check_ports(service: &Service, spec: &WorkloadSpec, found: &mut Found) {
    let given: Vec<String> = spec.ports.iter().map(port_variable).collect();
    let commands = [
        ("ExecStartPre", &service.exec_start_pre),
        ("ExecStart", &service.exec_start),
        ("ExecStartPost", &service.exec_start_post),
    ];
    for (key, exec) in commands.iter().flat_map(|(key, list)| list.iter().map(move |e| (key, e))) {
        for argument in &exec.arguments {
            for (at, prefix) in argument.match_indices("KATO_PORT_") {
                let rest = &argument[at + prefix.len()..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let name = &rest[..end.unwrap_or(rest.len())];
                let variable = format!("{prefix}{name}");
                if !given.contains(&variable) && !service.environment.contains_key(&variable) {
                    let port = name.to_ascii_lowercase().replace('_', "-");
                    let message = format!("{variable} is not set: add Port={port} to [X-Kato]");
                    found.warnings.on_key(Some(exec.line), "Service", key, message);
                }
            }
        }
    }
}

/// A name for files whose own is not one.
fn stand_in() -> WorkloadName {
    WorkloadName::new("unnamed").expect("\"unnamed\" is a DNS label")
}

#[cfg(test)]
mod tests;
