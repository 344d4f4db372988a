//! Times, and how the figures of several rounds are told.

use std::time::Instant;

/// The seconds that `work` took, and its result.
// A benchmark measures the machine that it runs on; the simulator has no part in it.
#[allow(clippy::disallowed_methods)]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64(), result)
}

/// A count as a figure.
#[allow(clippy::cast_precision_loss)] // counts of things that were made one by one
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

/// Figures of one kind, in order.
#[derive(Debug, Clone)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn new(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        assert!(!figures.is_empty(), "figures-were-taken: there is none");
        figures.sort_by(f64::total_cmp);
        Self(figures)
    }

    /// The seconds of several rounds of the same work.
    pub(crate) fn of_rounds<T>(rounds: usize, mut work: impl FnMut() -> T) -> Self {
        Self::new((0..rounds).map(|_| timed(|| std::hint::black_box(work())).0))
    }

    /// The one below which so many thousandths of them are.
    pub(crate) fn at(&self, thousandths: usize) -> f64 {
        self.0[(self.0.len() - 1) * thousandths / 1_000]
    }

    pub(crate) fn min(&self) -> f64 {
        self.at(0)
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(500)
    }

    pub(crate) fn max(&self) -> f64 {
        self.at(1_000)
    }

    /// The least, the median and the greatest, each as `show` writes it.
    pub(crate) fn told(&self, show: impl Fn(f64) -> String) -> [String; 3] {
        [self.min(), self.median(), self.max()].map(show)
    }

    /// A row of a table: what they are, from the least to the greatest, each as `show` writes it, and the goal.
    pub(crate) fn row(&self, what: &str, show: fn(f64) -> String, goal: String) -> [String; 7] {
        let at = [0, 500, 900, 990, 1_000].map(|thousandths| show(self.at(thousandths)));
        let [min, median, p90, p99, max] = at;
        [what.to_owned(), min, median, p90, p99, max, goal]
    }

    /// All of them, as `change` makes them.
    pub(crate) fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self::new(self.0.iter().copied().map(change))
    }
}

/// Seconds as people read them.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 0.1 => format!("{:.2} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// A count with its thousands apart.
pub(crate) fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A goal with what became of it.
pub(crate) fn goal(text: &str, met: bool) -> String {
    format!("{text} {}", if met { "met" } else { "MISSED" })
}
