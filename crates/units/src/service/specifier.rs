//! Specifiers (systemd.unit(5)): `%i` and the like, replaced for one instance on one machine.
//!
//! Supported are those that mean the same wherever an instance is placed: its own names, the host's
//! name, and the directories that the engine gives it. Those that ask about users, kernels or machine
//! identities are refused, because a sandbox cell would have to invent the answer.

use kato_core::InstanceId;

use crate::value::ValueError;

/// Every specifier that is replaced.
const SUPPORTED: &str = "%i %I %n %N %p %P %j %J %H %l %t %S %C %L %T %%";

/// What the specifiers of one instance stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specifiers {
    /// The instance.
    pub instance: InstanceId,
    /// Whether its unit is a template; if not, `%i` is empty and `%n` has no `@`.
    pub template: bool,
    /// The host's name, `%H`.
    pub host: String,
    /// The directories, `%t %S %C %L %T`.
    pub directories: Directories,
}

/// Where an instance keeps its files. The default is systemd's own places; an engine that does not run
/// as root gives others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// `%t`, gone at boot.
    pub runtime: String,
    /// `%S`, kept.
    pub state: String,
    /// `%C`, may be removed at any time.
    pub cache: String,
    /// `%L`.
    pub logs: String,
    /// `%T`, short-lived files.
    pub temporary: String,
}

impl Default for Directories {
    fn default() -> Self {
        Self {
            runtime: "/run".to_owned(),
            state: "/var/lib".to_owned(),
            cache: "/var/cache".to_owned(),
            logs: "/var/log".to_owned(),
            temporary: "/tmp".to_owned(),
        }
    }
}

impl Specifiers {
    /// The specifiers of an instance on a host, with systemd's directories.
    pub fn new(instance: InstanceId, template: bool, host: impl Into<String>) -> Self {
        Self { instance, template, host: host.into(), directories: Directories::default() }
    }

    /// The unit's name without `.service`: `web@1`, or `worker` for a unit that is no template.
    fn stem(&self) -> String {
        if self.template { self.instance.to_string() } else { self.instance.workload.to_string() }
    }

    /// `text` with every specifier replaced.
    pub(crate) fn replace(&self, text: &str) -> Result<String, ValueError> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut unsupported = Vec::new();
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            let Some(letter) = after.chars().next() else {
                return Err(ValueError::new(format!(
                    "\"{text}\" ends in a lone percent sign: write %% for one"
                )));
            };
            match self.value(letter) {
                Some(value) => out.push_str(&value),
                None => unsupported.push(letter),
            }
            rest = &after[letter.len_utf8()..];
        }
        if let Some(first) = unsupported.first() {
            let list: Vec<String> = unsupported.iter().map(|letter| format!("%{letter}")).collect();
            return Err(ValueError::new(format!(
                "{} cannot be replaced in every cell: write %%{first} for the characters themselves, \
                 or use one of {SUPPORTED}",
                list.join(" ")
            )));
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, letter: char) -> Option<String> {
        let prefix = self.instance.workload.as_str();
        let number = if self.template { self.instance.number.to_string() } else { String::new() };
        // The names of workloads are DNS labels, in which only the hyphen is an escape: of a slash.
        Some(match letter {
            'i' | 'I' => number,
            'n' => format!("{}.service", self.stem()),
            'N' => self.stem(),
            'p' => prefix.to_owned(),
            'P' => prefix.replace('-', "/"),
            'j' | 'J' => prefix.rsplit('-').next().unwrap_or(prefix).to_owned(),
            'H' => self.host.clone(),
            'l' => self.host.split('.').next().unwrap_or_default().to_owned(),
            't' => self.directories.runtime.clone(),
            'S' => self.directories.state.clone(),
            'C' => self.directories.cache.clone(),
            'L' => self.directories.logs.clone(),
            'T' => self.directories.temporary.clone(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_are_those_of_the_instance() {
        let instance: InstanceId = "my-app@3".parse().unwrap();
        let template = Specifiers::new(instance.clone(), true, "core-1.cell-1.dub.demo.com");
        for (text, expected) in [
            ("%i|%I|%p|%P|%j|%J", "3|3|my-app|my/app|app|app"),
            ("%n %N", "my-app@3.service my-app@3"),
            ("%H %l", "core-1.cell-1.dub.demo.com core-1"),
            ("%t%S%C%L%T", "/run/var/lib/var/cache/var/log/tmp"),
            ("100%% é%i", "100% é3"),
        ] {
            assert_eq!(template.replace(text).unwrap(), expected);
        }
        let plain = Specifiers::new(instance, false, "h");
        assert_eq!(plain.replace("[%i] %n").unwrap(), "[] my-app.service");
        let error = plain.replace("date +%Y").unwrap_err().to_string();
        assert!(error.starts_with("%Y cannot") && error.contains("write %%Y"), "{error}");
        assert!(plain.replace("50%").is_err());
    }
}
