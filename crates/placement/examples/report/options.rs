//! The words of the command line.

use crate::Failure;
use crate::memory::CHILD;

/// How the command is written.
pub(crate) const USAGE: &str = "usage: report CATALOGUE.csv [TABLE…] [--problems COUNT] [--seed NUMBER] [--number NUMBER] [--skypilot SCRIPT]";

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// The catalogue.
    pub(crate) path: String,
    /// The tables by name; none: all that need no other program.
    pub(crate) tables: Vec<String>,
    /// How many problems are drawn, where a table draws some.
    pub(crate) problems: Option<usize>,
    /// What they are drawn with.
    pub(crate) seed: Option<u64>,
    /// Which of them alone is told, with everything about it.
    pub(crate) number: Option<usize>,
    /// What calls `SkyPilot`'s optimizer.
    pub(crate) script: Option<String>,
}

impl Options {
    /// Reads the words after the command's name.
    pub(crate) fn read<const N: usize>(
        mut words: impl Iterator<Item = String>,
        tables: [&str; N],
    ) -> Result<Self, Failure> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--problems" => options.problems = Some(value()?.parse()?),
                "--seed" => options.seed = Some(value()?.parse()?),
                "--number" => options.number = Some(value()?.parse()?),
                "--skypilot" => options.script = Some(value()?),
                unknown if unknown.starts_with('-') => {
                    return Err(format!("there is no option {unknown}").into());
                }
                _ if options.path.is_empty() => options.path = word,
                known if known == CHILD || tables.contains(&known) => options.tables.push(word),
                unknown => return Err(format!("there is no table \"{unknown}\"").into()),
            }
        }
        if options.path.is_empty() {
            return Err("give the path of a catalogue".into());
        }
        Ok(options)
    }
}
