//! The worked example of `docs/placement.md`: what stands there is what the engine says. `KATO_BLESS=1` writes it anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use kato_core::{
    Candidate, Market, MicroDollars, Preference, Preferred, Quote, Timestamp, Verdict,
};
use kato_placement::{Ask, Catalogue, Problem, Site, place};

use crate::support::{DUBLIN, NEW_YORK, SYDNEY, demand, offer, room, site, workload};

const BEGIN: &str = "<!-- worked example: begin -->\n";
const END: &str = "<!-- worked example: end -->";

#[test]
fn the_worked_example_is_what_the_engine_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/placement.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let told = told();
    if std::env::var_os("KATO_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{told}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(written, told);
}

/// Three copies of half a processor and 512 MiB: users in Dublin and, a third of them, in New York; Ireland is preferred by half a
/// cent. In `dub` a machine that is paid for has room for one copy.
fn told() -> String {
    let mut wanted = workload();
    wanted.count = 3;
    wanted.demand = vec![demand(DUBLIN, 2_000), demand(NEW_YORK, 1_000)];
    wanted.latency_ms_max = Some(200);
    wanted.rules.preferences = vec![Preference {
        what: Preferred::Country("IE".parse().unwrap()),
        worth_micros_per_hour: MicroDollars(5_000),
    }];
    let mut full = room(offer("dub", "small", 40_000, Market::OnDemand));
    full.free = wanted.request;
    let country = |code: &str| Some(code.parse().unwrap());
    let sites = [
        Site { machines: vec![full], country: country("IE"), ..site("dub", DUBLIN) },
        Site { country: country("US"), ..site("nyc", NEW_YORK) },
        Site { country: country("AU"), ..site("syd", SYDNEY) },
    ];
    let catalogue = Catalogue::new([
        offer("dub", "small", 40_000, Market::OnDemand),
        offer("nyc", "small", 30_000, Market::OnDemand),
        offer("syd", "small", 20_000, Market::OnDemand),
    ]);
    let asks = [Ask::new(&wanted, 3)];
    let problem = Problem { asks: &asks, sites: &sites, budget: None, now: Timestamp(0) };
    let answer = place(&problem, &catalogue).answers.remove(0);
    let mut text = String::new();
    let row = |text: &mut String, cells: [String; 7]| {
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    };
    let heads =
        ["", "price", "adds", "mean latency", "× $0.0005", "misses", "total"].map(str::to_owned);
    writeln!(text, "The copies, the cheapest first:\n").unwrap();
    row(&mut text, heads.clone());
    row(&mut text, std::array::from_fn(|_| "---".to_owned()));
    let latency = |name: &str| {
        let mut all = answer.decision.candidates.iter();
        all.find(|c| c.datacenter.as_str() == name).and_then(|c| c.latency_us)
    };
    for chosen in &answer.placements {
        let name = sites[chosen.site].datacenter.as_str();
        row(&mut text, terms(name, &chosen.quote, latency(name)));
    }
    writeln!(text, "\nThe cells, each with what one more copy would cost there:\n").unwrap();
    row(&mut text, heads);
    row(&mut text, std::array::from_fn(|_| "---".to_owned()));
    for candidate in &answer.decision.candidates {
        let name = format!("{}: {}", candidate.datacenter, verdict(candidate));
        match &candidate.quote {
            Some(quote) => row(&mut text, terms(&name, quote, candidate.latency_us)),
            None => row(
                &mut text,
                std::array::from_fn(|at| if at == 0 { name.clone() } else { String::new() }),
            ),
        }
    }
    text
}

fn terms(name: &str, quote: &Quote, latency_us: Option<u32>) -> [String; 7] {
    [
        name.to_owned(),
        quote.price_micros_per_hour.to_string(),
        quote.adds_micros_per_hour.to_string(),
        latency_us.map_or_else(String::new, |us| format!("{:.1} ms", f64::from(us) / 1e3)),
        quote.latency_micros_per_hour.to_string(),
        quote.preference_micros_per_hour.to_string(),
        quote.total_micros_per_hour().to_string(),
    ]
}

fn verdict(candidate: &Candidate) -> String {
    match &candidate.verdict {
        Verdict::Chosen(copies) => format!("{copies} chosen"),
        Verdict::Costlier => "costs more".to_owned(),
        Verdict::Refused(refusal) => refusal.to_string(),
    }
}
