//! The closing list: what did not run, and why. Cargo runs test programs in the order of their names, so this is the
//! last one.

use std::fs;

fn main() {
    // A runner that asks for the tests in here is told of none.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let own = std::env::current_exe().expect("this program has a path");
    let target = own.ancestors().nth(3).expect("it lies in target/PROFILE/deps");
    let directory = target.join("not-run");
    let mut lines: Vec<String> = fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.sort();
    lines.dedup();
    for line in &lines {
        eprintln!("{line}");
    }
    eprintln!("{} tests did not run", lines.len());
    // The next run begins with an empty list.
    drop(fs::remove_dir_all(directory));
}
