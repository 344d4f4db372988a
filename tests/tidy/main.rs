//! The repository's own rules, checked: how large files are, how they begin, which crate may know which,
//! what may not stand in a source, and that what is shipped is right. docs say "a test checks it": this is it.

// Clippy takes only functions marked #[test] for tests; what they call is one too.
#![allow(clippy::unwrap_used)]

mod arrows;
mod limits;
mod shipped;
mod sizes;
mod texts;
mod tree;

/// Fails with all that was found at once.
fn nothing(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
