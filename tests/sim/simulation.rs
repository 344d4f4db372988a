//! Seeds that CI runs, each twice and each in a process of its own: the two traces must be the same.

use std::process::Command;

/// Runs one seed and returns what it printed.
fn simulate(seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["--seed", &seed.to_string()])
        .output()
        .expect("the simulator starts");
    let repeat =
        format!("repeat it with: cargo run -p kato-tests --bin sim -- --seed {seed} --trace");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed} failed: {errors}\n{repeat}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn three_members_elect_write_lose_one_and_repeat_exactly() {
    for seed in 1..=6 {
        let (first, second) = (simulate(seed), simulate(seed));
        assert_eq!(first, second, "seed {seed} does not repeat itself");
        assert!(first.contains("writes acknowledged and present"), "{first}");
    }
}
