//! Whole files read as workloads.

use std::collections::BTreeSet;

use kato_core::{
    Arch, Coordinates, Demand, FailureDomain, GpuName, MicroDollars, Most, Rebalance, Rules,
    Spread, Terms, UNIT_BYTES_MAX,
};
use proptest::prelude::*;

use super::*;

/// Knows two cities.
fn resolve(place: &str) -> Result<Vec<Located>, String> {
    let at = match place {
        "Dublin" | "DUB" | "203.0.113.7" => "53.35,-6.26",
        "2001:db8::1" | "fe80::1" => "1,1",
        "Paris, US" => "33.66,-95.55",
        "IE" => {
            let city = |(name, at, weight): (&str, &str, u32)| Located {
                name: Some(format!("{name}, IE")),
                at: at.parse().unwrap(),
                weight,
            };
            return Ok([("Dublin", "53.33,-6.25", 3), ("Cork", "51.9,-8.5", 1)].map(city).to_vec());
        }
        country if country.len() == 2 && country.is_ascii() => {
            let city = |number: u32| Located {
                name: None,
                at: format!("{number},{}", country.as_bytes()[1]).parse().unwrap(),
                weight: 1,
            };
            return Ok((0..8).map(city).collect());
        }
        _ => {
            return Err(format!("no place is called \"{place}\": write a city or an airport code"));
        }
    };
    Ok(vec![at.parse::<Coordinates>().unwrap().into()])
}

fn parse(name: &str, section: &str) -> Result<Parsed, Vec<String>> {
    let text = format!("[Service]\nExecStart=/bin/sleep 9\n[X-Kato]\n{section}");
    parse_workload(name, &text, &resolve)
        .map_err(|findings| findings.iter().map(ToString::to_string).collect())
}

#[test]
fn a_country_stands_for_its_cities_and_an_address_for_its_place() {
    let demand = |section: &str| {
        let parsed = parse("web@.service", section)?;
        let told = |demand: Demand| format!("{} {}", demand.place, demand.weight_milli);
        Ok::<_, Vec<String>>(parsed.spec.demand.into_iter().map(told).collect::<Vec<_>>())
    };
    let near = demand("Near=IE weight=2\nNear=203.0.113.7\nNear=2001:db8::1\n").unwrap();
    assert_eq!(near, ["Dublin, IE 1500", "Cork, IE 500", "203.0.113.7 1000", "2001:db8::1 1000"]);
    // However small the part of one is, it counts.
    assert_eq!(demand("Near=IE weight=0.001\n").unwrap(), ["Dublin, IE 1", "Cork, IE 1"]);
    let twice = demand("Near=IE\nNear=IE\n").unwrap_err().remove(0);
    assert!(twice.contains("is the place of line 4"), "{twice}");
    let five = "Near=AA\nNear=BB\nNear=CC\nNear=DD\n";
    assert_eq!(demand(five).unwrap().len(), 32);
    let many = demand(&format!("{five}Near=Dublin\n")).unwrap_err().remove(0);
    assert!(many.contains("these are 33 places, 32 at most: name fewer countries"), "{many}");
}

#[test]
fn a_plain_unit_is_a_workload_with_defaults() {
    let text = "[Service]\nExecStart=/bin/true\n";
    let Parsed { spec, warnings } = parse_workload("worker.service", text, &resolve).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(
        spec,
        WorkloadSpec {
            name: "worker".parse().unwrap(),
            template: false,
            unit: Arc::from(text),
            count: 1,
            request: Resources::new(100, 128),
            demand: vec![],
            latency_ms_max: None,
            datacenters: BTreeSet::new(),
            price_micros_per_hour_max: None,
            spot: SpotPolicy::Never,
            singleton: false,
            failover: Failover::Auto,
            ports: BTreeSet::new(),
            latency_price_micros_per_ms_hour: LATENCY_PRICE_DEFAULT,
            rules: Rules::default(),
        }
    );
}

#[test]
fn every_key_is_taken() {
    let Parsed { spec, warnings } = parse(
        "web@.service",
        "Count=3\nCPU=0.5\nMemory=1.5G\nNear=Dublin\nNear=Paris, US weight=0.5\n\
         Near=53.35, -6.27 weight=3\nMaxLatency=0.2s\nDatacenters=dub, ewr\nDatacenters=lhr\n\
         MaxPrice=$0.10\nLatencyPrice=0.001\nSpot=allowed\nSpread=datacenter\nSingleton=true\n\
         Failover=never\nPort=http grpc-api\nPort=metrics\n",
    )
    .unwrap();
    assert_eq!(warnings, []);
    assert!(spec.template && spec.singleton);
    assert_eq!((spec.count, spec.request), (3, Resources::new(500, 1_536)));
    let demand: Vec<(&str, u32)> =
        spec.demand.iter().map(|place| (place.place.as_str(), place.weight_milli)).collect();
    assert_eq!(demand, [("Dublin", 1_000), ("Paris, US", 500), ("53.35, -6.27", 3_000)]);
    assert_eq!(spec.latency_ms_max, Some(200));
    assert_eq!(spec.datacenters.len(), 3);
    assert_eq!(spec.price_micros_per_hour_max, Some(MicroDollars(100_000)));
    assert_eq!(spec.latency_price_micros_per_ms_hour, MicroDollars(1_000));
    let spread = Spread::one_in_each(Level::Datacenter);
    assert_eq!((spec.spot, spec.rules.spreads), (SpotPolicy::Allowed, vec![spread]));
    assert_eq!(spec.failover, Failover::Never);
    let variables: Vec<String> = spec.ports.iter().map(port_variable).collect();
    assert_eq!(variables, ["KATO_PORT_GRPC_API", "KATO_PORT_HTTP", "KATO_PORT_METRICS"]);
}

#[test]
fn every_rule_is_taken() {
    let Parsed { spec, warnings } = parse(
        "web@.service",
        "Count=6\nNear=Dublin\nMaxLatency=80ms percentile=95\nArch=arm64 x86_64\nProviders=ec2, packet\n\
         Countries=IE DE\nContinents=NA\nLabels=disk=ssd\nLabels=tier=gold\nMaxPriceAge=30d\nMaxTotalPrice=2.5\n\
         Spread=datacenter max=50%\nSpread=provider max=4 excess=0.02\nPrefer=country=IE worth=0.01\nWith=cache zone\nApart=db\nApart=cache cell\n\
         Disk=20G\nGPU=a100:2, H100:2\nRebalance=never\nMoveCost=0.5\nStay=30d\nPriority=7\nSurvive=1 region\n\
         Spot=allowed\nSpread=pool max=25%\nOnDemand=30%\nMaxInterruption=10%\nMaxBilling=1h\n",
    )
    .unwrap();
    assert_eq!(warnings, []);
    let terms = Terms { interruption_percent: Some(10), billed_s: Some(3_600) };
    assert_eq!((spec.rules.on_demand_min, spec.rules.terms), (Some(Most::Percent(30)), terms));
    assert_eq!((spec.request.disk_bytes, spec.request.gpus), (20 << 30, 2));
    let rules = spec.rules;
    let kinds: Vec<&str> = rules.gpus.iter().map(GpuName::as_str).collect();
    assert_eq!(kinds, ["A100", "H100"]);
    assert_eq!(rules.arches, [Arch::X86_64, Arch::Arm64].into());
    assert_eq!(rules.providers.len(), 2);
    assert_eq!((rules.countries.len(), rules.continents.len(), rules.labels.len()), (2, 1, 2));
    assert_eq!((rules.latency_percentile, rules.price_age_s_max), (Some(95), Some(2_592_000)));
    let spreads: Vec<String> = rules.spreads.iter().map(ToString::to_string).collect();
    assert_eq!(spreads, ["datacenter max=50%", "provider max=4 excess=0.02", "pool max=25%"]);
    assert_eq!(rules.total_micros_per_hour_max, Some(MicroDollars(2_500_000)));
    assert_eq!((rules.preferences.len(), rules.neighbours.len()), (1, 3));
    assert_eq!((rules.rebalance, rules.priority), (Rebalance::Never, 7));
    assert_eq!(rules.survives, Some(FailureDomain::Region));
    // Half a dollar over 720 hours.
    assert_eq!(rules.move_micros_per_hour(), MicroDollars(695));
}

#[test]
fn rules_that_contradict_each_other_are_refused() {
    for (section, expected) in [
        ("Spread=zone\nSpread=zone max=2\n", "each zone above already"),
        ("Labels=disk=ssd disk=hdd\n", "disk cannot be ssd and hdd"),
        ("With=web\n", "names the workload itself"),
        ("With=db cell\nApart=db\n", "together and apart in one datacenter"),
        ("With=DB\n", "not a workload's name"),
        ("GPU=A100\n", "A100:2"),
        ("GPU=0\n", "1 to 64"),
        ("GPU=A100:2 L4:1\n", "2 and 1 of them"),
        ("Disk=0\n", "1M to 1024T"),
        ("Priority=-1\n", "0 to 1000"),
        ("Survive=2 datacenter\n", "1 datacenter"),
        ("Survive=1 region\nFailover=never\n", "Failover=never"),
        ("Survive=1 datacenter\nDatacenters=dub\n", "add another"),
        ("Survive=1 provider\nProviders=ec2\n", "add another"),
        ("Survive=1 planet\n", "provider"),
        ("OnDemand=1\nSpot=required\n", "Spot=allowed"),
        ("OnDemand=2\nSpot=allowed\n", "more than there are: Count=1"),
        ("OnDemand=0\nSpot=allowed\n", "1% to 100%"),
        ("MaxInterruption=10\nSpot=allowed\n", "5%, 10%, 15% and 20%"),
        ("MaxInterruption=101%\nSpot=allowed\n", "1% to 100%"),
        ("MaxBilling=0s\n", "1s to 31d"),
        ("MaxBilling=infinity\n", "1s to 31d"),
        ("Spread=pool m6i.large=50% max=1\nSpot=allowed\n", "no pool that a target"),
        ("Stay=1s\n", "1min to 1y"),
        ("Stay=infinity\n", "1min to 1y"),
        ("MoveCost=nan\n", "dollars"),
        ("Apart=db planet\n", "datacenter, zone or cell"),
        ("Count=5\nDatacenters=dub ewr\nSpread=datacenter max=2\n", "allows 4 copies in the 2"),
    ] {
        let errors = parse("web@.service", section).unwrap_err();
        assert!(errors.iter().any(|error| error.contains(expected)), "{section}: {errors:?}");
    }
}

#[test]
fn what_says_something_of_spot_machines_is_warned_about_without_any() {
    let section = "OnDemand=1\nMaxInterruption=10%\nSpread=pool max=1\n";
    let warnings = parse("web@.service", section).unwrap().warnings;
    let keys: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys.iter().all(|text| text.contains("Spot=allowed")), "{keys:?}");
}

#[test]
fn lists_are_taken_back_by_an_empty_value() {
    let spec = parse("web@.service", "Near=Dublin\nNear=\nPort=a\nPort=\nPort=b\n").unwrap().spec;
    assert!(spec.demand.is_empty());
    assert_eq!(spec.ports.len(), 1);
}

#[test]
fn a_singleton_may_have_several_instances_and_spot_machines() {
    assert!(parse("db@.service", "Count=3\nSingleton=yes\nSpot=required\n").is_ok());
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    let text = "[Unit]\nBindsTo=a.mount\n[Service]\nExecStart=/bin/a ${KATO_PORT_GRPC_API} && b\n\
                [X-Kato]\nLatencyPrice=0.1\n[X-Fleet]\nGlobal=true\n[Socket]\n[X-Other]\n";
    let warnings = parse_workload("web@.service", text, &resolve).unwrap().warnings;
    let lines: Vec<u32> = warnings.iter().filter_map(|warning| warning.line).collect();
    assert_eq!(lines, [2, 4, 4, 6, 7, 9], "{warnings:#?}");
}

#[test]
fn a_header_that_is_nearly_right_is_the_only_error() {
    let text = "[service]\nExecStart=/bin/true\n";
    let findings = parse_workload("web@.service", text, &resolve).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert_eq!(
        findings[0].to_string(),
        "web@.service:1: [service]: unknown section: did you mean [Service]?"
    );
}

#[test]
fn a_file_beyond_the_limit_is_refused() {
    let text = "#".repeat(UNIT_BYTES_MAX + 1);
    let findings = parse_workload("web@.service", &text, &resolve).unwrap_err();
    assert!(findings[0].message.contains("the limit is 65536"), "{findings:?}");
}

proptest! {
    #[test]
    fn any_file_is_read_without_a_panic(name in "\\PC{0,20}", text in any::<String>()) {
        let _ = parse_workload(&name, &text, &resolve);
    }

    #[test]
    fn any_values_are_read_without_a_panic(
        lines in prop::collection::vec(
            ("(Count|CPU|Memory|Near|MaxLatency|Datacenters|MaxPrice|Port|Singleton)",
             "([0-9.,msMGT$%= a-e-]{0,12}|Dublin weight=[0-9.]{0,5}|\\PC{0,8})"),
            0..12,
        ),
    ) {
        let section: Vec<String> = lines.iter().map(|(key, value)| [key, value].map(String::as_str).join("=")).collect();
        if let Ok(parsed) = parse("web@.service", &section.join("\n")) {
            prop_assert!(parsed.spec.count > 0 && parsed.spec.request.cpu_millis > 0);
            prop_assert!(parsed.spec.demand.iter().all(|place| place.weight_milli > 0));
        }
    }
}
