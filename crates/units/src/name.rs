//! The file's name says the workload's name and whether it is a template.

use std::fmt;

use kato_core::WorkloadName;

/// The name of a service unit that is a workload: `web@.service` or `worker.service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitName {
    /// The workload's name: what stands before `@` or `.service`.
    pub workload: WorkloadName,
    /// Whether it is a template, of which there can be more than one instance.
    pub template: bool,
}

/// Why a file name is not that of a workload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitNameError {
    /// The name ends in the suffix of another unit type, or in none.
    #[error(
        "only service units can be workloads: name the file {stem}.service, \
         or {stem}@.service for more than one copy"
    )]
    NotAService {
        /// The name without its suffix.
        stem: String,
    },
    /// The name has an instance between `@` and `.service`.
    #[error(
        "the name is that of one instance: give the template {prefix}@.service instead, \
         and write Count= for the number of copies"
    )]
    Instance {
        /// What stands before `@`.
        prefix: String,
    },
    /// What stands before `@` or `.service` cannot be part of a domain name.
    #[error(
        "\"{prefix}\" cannot be a workload's name, which becomes part of a domain name: \
         use 1 to 63 of a-z, 0-9 and inner hyphens, such as {example}.service"
    )]
    NotALabel {
        /// What stands before `@` or `.service`.
        prefix: String,
        /// A name near it that would do.
        example: String,
    },
}

impl UnitName {
    /// Reads a file name, which is given without its directory.
    pub fn parse(file_name: &str) -> Result<Self, UnitNameError> {
        let Some(stem) = file_name.strip_suffix(".service") else {
            let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
            let stem = likeness(stem.split('@').next().unwrap_or(stem));
            return Err(UnitNameError::NotAService { stem });
        };
        let (prefix, template) = match stem.split_once('@') {
            None => (stem, false),
            Some((prefix, "")) => (prefix, true),
            Some((prefix, _)) => {
                return Err(UnitNameError::Instance { prefix: likeness(prefix) });
            }
        };
        let workload = WorkloadName::new(prefix).map_err(|_| {
            let at = if template { "@" } else { "" };
            let example = format!("{}{at}", likeness(prefix));
            UnitNameError::NotALabel { prefix: prefix.to_owned(), example }
        })?;
        Ok(Self { workload, template })
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}.service", self.workload, if self.template { "@" } else { "" })
    }
}

/// A DNS label as near to `text` as possible.
fn likeness(text: &str) -> String {
    let lower = text.rsplit('/').next().unwrap_or(text).to_ascii_lowercase();
    let label: String =
        lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "web".to_owned() } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_units_of_workloads() {
        for (name, workload, template) in
            [("web@.service", "web", true), ("my-app.service", "my-app", false)]
        {
            let unit = UnitName::parse(name).unwrap();
            assert_eq!((unit.workload.as_str(), unit.template), (workload, template));
            assert_eq!(unit.to_string(), name);
        }
    }

    #[test]
    fn other_file_names_say_what_would_do() {
        for (name, part) in [
            ("web@1.service", "give the template web@.service"),
            ("web.timer", "name the file web.service, or web@.service"),
            ("web", "name the file web.service"),
            ("My_App@.service", "such as my-app@.service"),
            (".service", "such as web.service"),
            ("@.service", "such as web@.service"),
            ("units/web.service", "such as web.service"),
        ] {
            let error = UnitName::parse(name).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}
