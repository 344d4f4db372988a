//! What a unit's commands find when they start: their environment and their directories, and where their program is.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kato_units::{Directories, Service, Specifiers, UnitFile, UnitName, port_variable};

use crate::record::{Assigned, DIRECTORIES, WORK};

/// Where programs are searched if the shim was not told (systemd's own default).
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Reads the unit for its instance, or says all that is wrong with it on one line.
pub(super) fn service(assigned: &Assigned, directory: &Path) -> Result<Service, String> {
    let name = UnitName::parse(&assigned.unit_name).map_err(|error| error.to_string())?;
    let instance = assigned.instance().map_err(|error| error.to_string())?;
    let findings = |findings: Vec<kato_units::Finding>| {
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let file = UnitFile::parse(&assigned.unit_name, &assigned.unit).map_err(findings)?;
    let mut specifiers = Specifiers::new(instance, name.template, assigned.host.clone());
    let [runtime, state, cache, logs, temporary] =
        DIRECTORIES.map(|name| directory.join(name).display().to_string());
    specifiers.directories = Directories { runtime, state, cache, logs, temporary };
    Service::for_instance(&file, &specifiers).map_err(findings)
}

/// The environment of every command. Of the shim's own only the search path and the home are handed on: the
/// agent's may hold credentials.
pub(super) fn environment(
    assigned: &Assigned,
    service: &Service,
    directory: &Path,
) -> BTreeMap<String, String> {
    let own = |name: &str, default: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        (name.to_owned(), value.unwrap_or_else(|| default.to_owned()))
    };
    let mut environment = BTreeMap::from([own("PATH", PATH_DEFAULT), own("HOME", "/")]);
    environment.extend(service.environment.clone());
    let marks = assigned.marks(directory);
    environment.extend(marks.into_iter().map(|(name, value)| (name.to_owned(), value)));
    environment.insert("KATO_DATACENTER".to_owned(), assigned.datacenter.clone());
    for (name, port) in &assigned.ports {
        // The names were port names when the engine wrote them.
        if let Ok(name) = name.parse() {
            environment.insert(port_variable(&name), port.to_string());
        }
    }
    environment
}

/// Where commands begin, and whether that may be missing.
pub(super) fn working_directory(
    service: &Service,
    environment: &BTreeMap<String, String>,
    directory: &Path,
) -> (PathBuf, bool) {
    match &service.working_directory {
        None => (directory.join(WORK), false),
        Some(wanted) => {
            let home = || environment.get("HOME").map_or("/", String::as_str);
            (PathBuf::from(wanted.path.as_deref().unwrap_or_else(home)), wanted.missing_ok)
        }
    }
}

/// Finds a program as execvp(3) would, but says what is wrong with it.
pub(super) fn find_program(
    program: &str,
    environment: &BTreeMap<String, String>,
) -> Result<PathBuf, String> {
    let executable = |path: &Path| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if program.starts_with('/') {
        let path = PathBuf::from(program);
        return match path.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(format!("{program} does not exist"))
            }
            Err(error) => Err(format!("{program}: {error}")),
            Ok(_) if executable(&path) => Ok(path),
            Ok(_) => Err(format!("{program} is not an executable file")),
        };
    }
    let search = environment.get("PATH").map_or(PATH_DEFAULT, String::as_str);
    let places = search.split(':').filter(|place| place.starts_with('/'));
    let mut found = places.map(|place| Path::new(place).join(program));
    found
        .find(|path| executable(path))
        .ok_or_else(|| format!("{program} is in none of the directories of PATH ({search})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_searched_in_the_path_of_the_unit() {
        let path = |path: &str| BTreeMap::from([("PATH".to_owned(), path.to_owned())]);
        assert_eq!(find_program("sh", &path("/nowhere:/bin")).unwrap(), Path::new("/bin/sh"));
        assert_eq!(find_program("/bin/sh", &path("")).unwrap(), Path::new("/bin/sh"));
        for (program, said) in [
            ("/no/such", "/no/such does not exist"),
            ("/etc/passwd", "/etc/passwd is not an executable file"),
            ("/bin", "/bin is not an executable file"),
            ("sh", "sh is in none of the directories of PATH (/nowhere)"),
        ] {
            assert_eq!(find_program(program, &path("/nowhere")).unwrap_err(), said);
        }
    }
}
