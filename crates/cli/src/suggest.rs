//! What somebody who mistyped a name may have meant.

/// How alike two names must be, of 1. `web` and `wbe` are 0.56 by Jaro's measure of transpositions, so the
/// Damerau-Levenshtein distance is what counts: it takes them as one slip apart.
const ALIKE_MIN: f64 = 0.6;

/// The known name that is nearest to `name`, if one is near.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let scored = known.into_iter().map(|k| (strsim::normalized_damerau_levenshtein(name, k), k));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE_MIN).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_names_are_not() {
        let known = ["web", "worker", "db"];
        for (typed, meant) in [("wbe", Some("web")), ("workr", Some("worker")), ("mail", None)] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }
}
