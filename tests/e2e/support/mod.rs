//! What the tests share: a mesh of real processes, looks at `/proc`, clients, and one way to wait.

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod lives;
pub(crate) mod mesh;
pub(crate) mod needs;
pub(crate) mod peers;
pub(crate) mod processes;
pub(crate) mod program;
pub(crate) mod store;

use std::io::Write as _;
use std::time::Duration;

use kato_net::clock::{Clock as _, SystemClock};

/// How long any condition may take. Only a test that fails waits as long.
const PATIENCE: Duration = Duration::from_secs(45);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// A reading of the clock that goes on while nobody sets it.
pub(crate) fn now() -> Duration {
    SystemClock.boot()
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    SystemClock.wall().0
}

/// Looks again and again until there is something to see. Nothing else in these tests waits.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// The same, of something that takes as long as that by itself.
pub(crate) fn within<T>(time: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + time;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < deadline, "it never came to that: {what}");
        std::thread::park_timeout(PAUSE);
    }
}

/// Says something past the test harness, which swallows what tests print.
pub(crate) fn say(line: &str) {
    // Nobody may be listening.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Reports a figure that people want to see of a test that passes.
pub(crate) fn figure(name: &str, took: Duration) {
    say(&format!("FIGURE: {name}: {:.2} s", took.as_secs_f64()));
}
