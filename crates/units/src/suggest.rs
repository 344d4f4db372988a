//! The nearest word that is known, for "did you mean": most unknown keys are typing mistakes.

/// The most edits between a word and the one that was probably meant.
const EDITS_MAX: usize = 3;

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    // A third of the word may be wrong: more would suggest words that have nothing to do with it.
    let edits_max = (lower.chars().count() / 3).clamp(1, EDITS_MAX);
    candidates
        .into_iter()
        .map(|candidate| (edits(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= edits_max)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The key nearest to `word`; one that begins or ends like it will do: `Price` for `MaxPrice`.
pub(crate) fn nearest_key<'a>(word: &str, keys: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    let alike = |key: &&&str| {
        let key = key.to_ascii_lowercase();
        let (short, long) = if key.len() < lower.len() { (&key, &lower) } else { (&lower, &key) };
        short.len() >= 3 && (long.starts_with(short.as_str()) || long.ends_with(short.as_str()))
    };
    nearest(word, keys.iter().copied())
        .or_else(|| keys.iter().filter(alike).min_by_key(|key| key.len()).copied())
}

/// How many letters must be changed, added, removed or swapped to turn `a` into `b` (Damerau's
/// distance, restricted to swaps of neighbours).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // The file may hold a key of any length; beyond this nothing is near anyway.
    if a.len().abs_diff(b.len()) > EDITS_MAX {
        return EDITS_MAX + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_find_their_key_and_strangers_do_not() {
        let keys = ["Count", "CPU", "Memory", "MaxLatency", "Port"];
        for (word, meant) in [
            ("Cout", Some("Count")),
            ("count", Some("Count")),
            ("Cpu", Some("CPU")),
            ("MaxLatencey", Some("MaxLatency")),
            ("Ports", Some("Port")),
            ("Mmeory", Some("Memory")),
            ("Latency", Some("MaxLatency")),
            ("Mem", Some("Memory")),
            ("Image", None),
            ("", None),
        ] {
            assert_eq!(nearest_key(word, &keys), meant, "{word}");
        }
    }
}
