//! Which keys of systemd the process engine of a sandbox cell honours. The rest of a unit is not
//! refused, because a systemd cell honours all of it, but nobody should find out in production that a
//! sandbox did not: every such key is a warning when the unit is applied.

mod keys;

use std::collections::BTreeSet;

use crate::finding::{Finding, Findings};
use crate::suggest::nearest;
use crate::{Entry, UnitFile};

/// The keys of `[Service]` that the process engine honours.
pub const SERVICE_HONOURED: [&str; 18] = [
    "Environment",
    "ExecStart",
    "ExecStartPost",
    "ExecStartPre",
    "ExecStop",
    "ExecStopPost",
    "KillSignal",
    "RemainAfterExit",
    "Restart",
    "RestartSec",
    // An older place of two keys that belong into [Unit].
    "StartLimitBurst",
    "StartLimitInterval",
    "SuccessExitStatus",
    "TimeoutSec",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "Type",
    "WorkingDirectory",
];

/// The keys of `[Unit]` that it honours, or that only describe.
const UNIT_HONOURED: [&str; 6] = [
    "Description",
    "Documentation",
    "SourcePath",
    "StartLimitBurst",
    "StartLimitInterval",
    "StartLimitIntervalSec",
];

/// The kinds that the process engine waits for as they mean it; it starts the others as `simple`.
const TYPES_HONOURED: [&str; 3] = ["simple", "exec", "oneshot"];

/// What a unit file asks for and a sandbox cell does not do, one finding for each key.
pub fn warnings(file: &UnitFile) -> Vec<Finding> {
    let mut findings = Findings::new(&file.name);
    warn(file, &mut findings);
    findings.finish()
}

/// Adds the findings of [`warnings`] to others.
pub(crate) fn warn(file: &UnitFile, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for section in &file.sections {
        for entry in &section.entries {
            if let Some(message) = warning(&section.name, entry)
                && seen.insert((section.name.as_str(), entry.key.as_str()))
            {
                findings.on_key(Some(entry.line), &section.name, &entry.key, message);
            }
        }
    }
}

fn warning(section: &str, entry: &Entry) -> Option<String> {
    let key = entry.key.as_str();
    if key.starts_with("X-") {
        return None;
    }
    match section {
        "Service" => service_warning(entry),
        "Unit" => {
            let known = keys::UNIT.contains(&key)
                || ["Condition", "Assert"].iter().any(|prefix| key.starts_with(prefix));
            // Every machine of a cell has reached its boot targets before it is given an instance.
            let target = matches!(key, "After" | "Before" | "Wants")
                && entry.value.split_whitespace().all(|unit| unit.ends_with(".target"));
            match (known, UNIT_HONOURED.contains(&key) || target) {
                (_, true) => None,
                (true, false) => Some(not_honoured()),
                (false, false) => Some(unknown(key, &keys::UNIT, section)),
            }
        }
        "Install" if !keys::INSTALL.contains(&key) => Some(unknown(key, &keys::INSTALL, section)),
        _ => None,
    }
}

fn service_warning(entry: &Entry) -> Option<String> {
    let key = entry.key.as_str();
    if !keys::SERVICE.contains(&key) {
        return Some(unknown(key, &keys::SERVICE, "Service"));
    }
    match key {
        "User" | "Group" | "DynamicUser" | "SupplementaryGroups" => Some(
            "is not honoured in a sandbox cell, where everything runs as the agent's own user; \
             on a systemd cell it is"
                .to_owned(),
        ),
        "EnvironmentFile" => Some(
            "is not honoured in a sandbox cell: write the variables with Environment= there; \
             on a systemd cell it is"
                .to_owned(),
        ),
        "Type" if !entry.value.is_empty() && !TYPES_HONOURED.contains(&entry.value.as_str()) => {
            Some(format!(
                "{} is started as simple in a sandbox cell: use {} if the unit is to run there",
                entry.value,
                crate::value::or_list(&TYPES_HONOURED)
            ))
        }
        _ if SERVICE_HONOURED.contains(&key) => None,
        _ => Some(not_honoured()),
    }
}

fn not_honoured() -> String {
    "is not honoured in a sandbox cell; on a systemd cell it is".to_owned()
}

fn unknown(key: &str, known: &[&'static str], section: &str) -> String {
    let meant = nearest(key, known.iter().copied());
    match meant {
        Some(meant) => format!("is not a key that systemd knows; did you mean {meant}=?"),
        None => {
            format!("is not a key of [{section}] that systemd knows, and has no effect: remove it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_a_sandbox_does_not_honour_are_warnings() {
        let file = UnitFile::parse(
            "web@.service",
            "[Unit]\nDescription=x\nAfter=network-online.target\nRequires=db.service\nX-Mine=1\n\
             [Service]\nExecStart=/bin/true\nPrivateTmp=yes\nUser=web\nExecStrat=/bin/a\nType=notify\n\
             LimitNOFILE=9\nLimitNOFILE=10\nImage=x\n[Install]\nWantedBy=multi-user.target\n",
        )
        .unwrap();
        let shown: Vec<String> = warnings(&file).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "web@.service:4: [Unit] Requires=: is not honoured in a sandbox cell; on a systemd cell it is",
                "web@.service:8: [Service] PrivateTmp=: is not honoured in a sandbox cell; on a systemd cell it is",
                "web@.service:9: [Service] User=: is not honoured in a sandbox cell, where everything runs as the agent's own user; on a systemd cell it is",
                "web@.service:10: [Service] ExecStrat=: is not a key that systemd knows; did you mean ExecStart=?",
                "web@.service:11: [Service] Type=: notify is started as simple in a sandbox cell: use simple, exec or oneshot if the unit is to run there",
                "web@.service:12: [Service] LimitNOFILE=: is not honoured in a sandbox cell; on a systemd cell it is",
                "web@.service:14: [Service] Image=: is not a key of [Service] that systemd knows, and has no effect: remove it",
            ]
        );
    }

    #[test]
    fn every_honoured_key_is_one_of_systemds() {
        assert!(SERVICE_HONOURED.iter().all(|key| keys::SERVICE.contains(key)));
        assert!(UNIT_HONOURED.iter().all(|key| keys::UNIT.contains(key)));
    }
}
