//! What the mesh may spend is set by hand, and keeps it from buying.

use crate::support::mesh::{IDLE, Mesh};

#[test]
fn what_is_over_the_budget_is_refused_until_it_may_be_spent() {
    let mesh = Mesh::start();
    assert_eq!(mesh.kato(&["budget"]).code(0).out, "none\n");
    mesh.kato(&["budget", "0.01"]).code(0);
    let shown = mesh.kato(&["budget"]).code(0);
    assert!(
        shown.out.starts_with("$0.0100/h, of which $0.0000/h is spent: $0.0100/h left (revision "),
        "{shown:?}"
    );
    // Larger than any machine that there is.
    let file =
        mesh.file("big.service", &format!("[Service]\n{IDLE}\n\n[X-Kato]\nCPU=6\nMemory=4G\n"));
    for verb in [&["plan", &*file][..], &["apply", "-y", &file]] {
        let refused = mesh.kato(verb).code(1);
        assert!(refused.err.contains("more than the mesh's budget has left"), "{refused:?}");
    }
    assert!(mesh.instances("big").is_empty());
    // Whoever thinks that there is none is wrong.
    let late = mesh.kato(&["budget", "5", "--expected-revision", "0"]).code(1);
    assert!(late.err.contains("0 was expected"), "{late:?}");
    mesh.kato(&["budget", "5"]).code(0);
    mesh.kato(&["apply", "-y", &file]).code(0);
    mesh.running("big");
    let status = mesh.status();
    let budget = status.budget.unwrap();
    assert_eq!(budget.max_micros_per_hour, 5_000_000);
    assert_eq!(budget.spent_micros_per_hour, status.machines_bought_micros_per_hour);
    assert!(budget.spent_micros_per_hour > 10_000, "{budget:?}");
    mesh.kato(&["budget", "none"]).code(0);
    assert_eq!(mesh.kato(&["budget"]).code(0).out, "none\n");
    for bad in ["-1", "NaN", "1e3", "99999999999"] {
        let refused = mesh.kato(&["budget", "--", bad]);
        assert!(!refused.err.is_empty(), "{bad} was taken: {refused:?}");
    }
}
