//! The seeds that must hold, and the mistakes that they must find.

#[path = "../not_run.rs"]
mod told;

use std::path::PathBuf;
use std::process::{Command, Output};

use told::{not_run, target};

/// Seeds of a whole campaign.
const SEEDS: &str = "1..200";
/// Seeds among which one must find each mistake.
const FLAW_SEEDS: &str = "1..60";
/// Mistakes, and the story in which one is made where that is not chaos.
const FLAWS: [(&str, Option<&str>); 5] = [
    ("unsynced-vote", None),
    ("stale-leader-read", None),
    ("grant-without-read-index", None),
    ("inherited-wait", Some("succession")),
    ("kept-epoch", None),
];

/// Stories with one kind of fault, and the seeds of each.
const SCENARIOS: [&str; 6] =
    ["leader-crash", "quorum-loss", "bridge", "succession", "distance", "orphans"];
const SCENARIO_SEEDS: &str = "1..4";

fn run(program: impl Into<PathBuf>, arguments: &[&str]) -> Output {
    Command::new(program.into()).args(arguments).output().expect("the simulator starts")
}

fn said(output: &Output) -> String {
    let (out, errors) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(errors))
}

/// What the campaign needs: built with optimisation a run takes seconds, without it a minute.
fn optimised() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "-p", "kato-tests", "--bin", "sim"])
        .status()
        .expect("cargo starts");
    assert!(built.success(), "the simulator does not build");
    target().join("release/sim")
}

#[test]
fn a_seed_repeats_exactly() {
    for seed in ["1", "2"] {
        let once = || run(env!("CARGO_BIN_EXE_sim"), &["--seed", seed, "--minutes", "1"]);
        let outputs = std::thread::scope(|scope| {
            [scope.spawn(once), scope.spawn(once)].map(|run| run.join().expect("it ends"))
        });
        let [first, second] = outputs.map(|output| {
            let text = said(&output);
            assert!(output.status.success(), "seed {seed}: {text}");
            text.lines().next().unwrap_or_default().to_owned()
        });
        assert_eq!(first, second, "seed {seed} does not repeat itself");
        assert!(first.contains("every promise held"), "{first}");
    }
}

#[test]
fn every_promise_holds_and_every_flaw_is_found() {
    if std::env::var_os("KATO_REQUIRE_ALL").is_none_or(|all| all != "1") {
        return not_run(
            "200 seeds take ten minutes: cargo run --release -p kato-tests --bin sim -- --seeds 1..200",
        );
    }
    let simulator = optimised();
    for (flaw, scenario) in FLAWS {
        let told = scenario.map_or(Vec::new(), |scenario| vec!["--scenario", scenario]);
        let found =
            run(&simulator, &[&["--seeds", FLAW_SEEDS, "--flaw", flaw], &told[..]].concat());
        println!("{}", said(&found).trim());
        assert!(found.status.success(), "no seed finds {flaw}");
    }
    for scenario in SCENARIOS {
        let told = run(&simulator, &["--seeds", SCENARIO_SEEDS, "--scenario", scenario]);
        println!("{scenario}: {}", said(&told));
        assert!(told.status.success(), "{scenario}: {}", said(&told));
    }
    let campaign = run(&simulator, &["--seeds", SEEDS]);
    println!("{}", said(&campaign));
    assert!(campaign.status.success(), "{}", said(&campaign));
}
