//! Several rounds of one measurement, as a line.

/// Least, median and greatest.
pub(crate) fn spread(mut figures: Vec<f64>) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    let middle = figures.get(figures.len() / 2).copied().unwrap_or_default();
    let first = figures.first().copied().unwrap_or_default();
    (first, middle, figures.last().copied().unwrap_or_default())
}

/// Prints one measurement.
#[allow(clippy::print_stdout)]
pub(crate) fn print(what: &str, unit: &str, figures: Vec<f64>) {
    let (least, median, greatest) = spread(figures);
    println!("{what:<48} {median:>10.2} {unit} (min {least:.2}, max {greatest:.2})");
}

/// Prints a heading.
#[allow(clippy::print_stdout)]
pub(crate) fn heading(text: &str) {
    println!("\n{text}");
}
