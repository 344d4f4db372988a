//! What the engine does and how fast, on a catalogue given by its path:
//! `cargo run --release -p kato-placement --example report -- ../shared/data/aws_vms.csv [TABLE…]`
//!
//! Each table is a module here. Every figure stands beside its goal where it has one; the same seed draws the same problems.

mod decisions;
mod drawn;
mod figures;
mod gap;
mod index;
mod losing;
mod memory;
mod options;
mod page;
mod patterns;
mod scale;
mod skypilot;
mod world;

use std::process::ExitCode;

use options::Options;
use page::Page;
use world::World;

/// What stops the report.
type Failure = Box<dyn std::error::Error>;

/// One table: what it is called, what it tells, and how it is made.
struct Table {
    name: &'static str,
    /// Whether it needs another program, and is made only where it is named.
    beside: bool,
    tells: &'static str,
    print: fn(&World, &mut Page) -> Result<(), Failure>,
}

const TABLES: [Table; 8] = [
    Table { name: "index", beside: false, tells: "reading a catalogue", print: index::print },
    Table {
        name: "decisions",
        beside: false,
        tells: "one copy after the other",
        print: decisions::print,
    },
    Table { name: "scale", beside: false, tells: "many copies at once", print: scale::print },
    Table {
        name: "losing",
        beside: false,
        tells: "the largest datacenter is lost",
        print: losing::print,
    },
    Table { name: "memory", beside: false, tells: "what a large mesh takes", print: memory::print },
    Table {
        name: "gap",
        beside: false,
        tells: "small problems beside the optimum",
        print: gap::print,
    },
    Table {
        name: "patterns",
        beside: false,
        tells: "large problems beside a bound",
        print: patterns::print,
    },
    Table {
        name: "skypilot",
        beside: true,
        tells: "SkyPilot's optimizer beside the engine",
        print: skypilot::print,
    },
];

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1), TABLES.map(|table| table.name)) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("error: {what}\n\n{}", usage());
            return ExitCode::from(64);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Failure> {
    if options.tables == [memory::CHILD] {
        return memory::alone(&options);
    }
    let world = World::read(options)?;
    let mut page = Page::new();
    let asked = &world.options.tables;
    for table in &TABLES {
        if (asked.is_empty() && !table.beside) || asked.iter().any(|name| name == table.name) {
            page.title(table.name, table.tells)?;
            (table.print)(&world, &mut page)?;
        }
    }
    Ok(())
}

fn usage() -> String {
    let line = |table: &Table| format!("\n  {:<10} {}", table.name, table.tells);
    let tables: String = TABLES.iter().map(line).collect();
    format!("{}\n\ntables, all but skypilot unless some are named:{tables}", options::USAGE)
}
