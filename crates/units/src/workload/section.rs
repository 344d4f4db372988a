//! Reading the keys of `[X-Kato]`: which there are, how often each may be given, and lists.

use std::collections::{BTreeMap, BTreeSet};

use kato_core::{DatacenterName, Demand, PORTS_MAX, PortName};

use super::{SECTION, demand, options, port_variable};
use crate::finding::Findings;
use crate::suggest::nearest_key;
use crate::value::{self, ValueError};
use crate::{Entry, UnitFile};

/// How often a key may be given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Once,
    /// They make a list, which an empty value begins anew.
    Often,
}

/// Every key, in the order of the manual.
const KEYS: [(&str, Given); 33] = [
    ("Count", Given::Once),
    ("CPU", Given::Once),
    ("Memory", Given::Once),
    ("Disk", Given::Once),
    ("GPU", Given::Often),
    ("Near", Given::Often),
    ("MaxLatency", Given::Once),
    ("Datacenters", Given::Often),
    ("MaxPrice", Given::Once),
    ("LatencyPrice", Given::Once),
    ("Spot", Given::Once),
    ("OnDemand", Given::Once),
    ("MaxInterruption", Given::Once),
    ("MaxBilling", Given::Once),
    ("Spread", Given::Often),
    ("Singleton", Given::Once),
    ("Failover", Given::Once),
    ("Port", Given::Often),
    ("Arch", Given::Often),
    ("Providers", Given::Often),
    ("Countries", Given::Often),
    ("Continents", Given::Often),
    ("Labels", Given::Often),
    ("MaxTotalPrice", Given::Once),
    ("MaxPriceAge", Given::Once),
    ("Prefer", Given::Often),
    ("With", Given::Often),
    ("Apart", Given::Often),
    ("Rebalance", Given::Once),
    ("MoveCost", Given::Once),
    ("Stay", Given::Once),
    ("Priority", Given::Once),
    ("Survive", Given::Once),
];

/// The most datacenters one workload may list.
const DATACENTERS_MAX: usize = 256;

/// The section being read.
pub(super) struct Reader<'a> {
    pub(super) file: &'a UnitFile,
    pub(super) errors: &'a mut Findings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a UnitFile, errors: &'a mut Findings) -> Self {
        Self { file, errors }
    }

    /// Notes keys that there are not, and keys that are given more often than they may be.
    pub(super) fn check_keys(&mut self) {
        let mut first: BTreeMap<&str, u32> = BTreeMap::new();
        // One list of all keys is enough for a file.
        let mut listed: Option<u32> = None;
        for entry in self.file.entries(SECTION) {
            let key = entry.key.as_str();
            let known = KEYS.iter().find(|(known, _)| *known == key);
            let Some((_, given)) = known else {
                let names = KEYS.map(|(name, _)| name);
                let message = match (nearest_key(key, &names), listed) {
                    (Some(meant), _) => format!("unknown key; did you mean {meant}=?"),
                    (None, None) => {
                        listed = Some(entry.line);
                        format!("unknown key; use one of {}", names.join(", "))
                    }
                    (None, Some(line)) => {
                        format!("unknown key; use one of the keys listed for line {line}")
                    }
                };
                self.error(entry, message);
                continue;
            };
            if *given == Given::Often {
                continue;
            }
            if let Some(line) = first.get(key) {
                let message = format!(
                    "may be given once, and line {line} has it already: remove one of the two"
                );
                self.error(entry, message);
            } else {
                first.insert(key, entry.line);
                if entry.value.is_empty() {
                    self.error(
                        entry,
                        "has no value: write one, or remove the line for the default",
                    );
                }
            }
        }
    }

    /// A key that may be given once; none if it is missing or wrong.
    pub(super) fn once<T>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let file = self.file;
        let entry = file.entries(SECTION).find(|entry| entry.key == key)?;
        if entry.value.is_empty() {
            return None;
        }
        read(&entry.value).map_err(|error| self.errors.on_value(entry, SECTION, &error)).ok()
    }

    /// A key whose value is one of a list of words.
    pub(super) fn choice<T: Copy + Default>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        self.once(key, |text| value::choice(text, choices)).unwrap_or_default()
    }

    /// `Near=`.
    pub(super) fn demand(&mut self, resolve: demand::Resolve<'_>) -> Vec<Demand> {
        demand::read(self.file, resolve, self.errors)
    }

    /// `Datacenters=`.
    pub(super) fn datacenters(&mut self) -> BTreeSet<DatacenterName> {
        let mut names = BTreeSet::new();
        for (entry, word) in self.words("Datacenters") {
            match options::datacenter(word) {
                Ok(_) if names.len() == DATACENTERS_MAX => {
                    let message = format!(
                        "a workload may list {DATACENTERS_MAX} datacenters: remove some, or all to allow any"
                    );
                    self.error(entry, message);
                    break;
                }
                Ok(name) => {
                    names.insert(name);
                }
                Err(error) => self.errors.on_value(entry, SECTION, &error),
            }
        }
        names
    }

    /// `Port=`.
    pub(super) fn ports(&mut self) -> BTreeSet<PortName> {
        let mut names = BTreeSet::new();
        let mut lines: BTreeMap<String, u32> = BTreeMap::new();
        for (entry, word) in self.words("Port") {
            let name = match options::port(word) {
                Ok(name) => name,
                Err(error) => {
                    self.errors.on_value(entry, SECTION, &error);
                    continue;
                }
            };
            if names.len() == PORTS_MAX {
                self.error(entry, format!("one instance may have {PORTS_MAX} ports: remove some"));
                break;
            }
            let variable = port_variable(&name);
            if let Some(line) = lines.get(&variable) {
                let message = format!(
                    "\"{word}\" gives {variable}, as line {line} does already: remove it, or use another name"
                );
                self.error(entry, message);
                continue;
            }
            lines.insert(variable, entry.line);
            names.insert(name);
        }
        names
    }

    /// The words of a list, which blanks or commas separate.
    pub(super) fn words(&self, key: &str) -> Vec<(&'a Entry, &'a str)> {
        let split = |entry: &'a Entry| {
            let words = entry.value.split(|c: char| c == ',' || c.is_whitespace());
            words.filter(|word| !word.is_empty()).map(move |word| (entry, word))
        };
        self.file.list(SECTION, key).into_iter().flat_map(split).collect()
    }

    pub(super) fn error(&mut self, entry: &Entry, message: impl Into<String>) {
        self.errors.on_key(Some(entry.line), SECTION, &entry.key, message);
    }
}
