//! What a mesh is founded with, and what it keeps: its ports and its catalogue. Who asks a mesh that exists for others
//! is told, and not given something else in silence.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kato_placement::Catalogue;

use super::files::Files;
use super::site::SITES;
use super::{DevError, StartArgs, ports};
use crate::verbs::coordinator;

/// Reads a catalogue, and makes sure that every datacenter's first machines are in it.
pub(super) fn catalogue(path: &Path) -> anyhow::Result<Catalogue> {
    let catalogue = coordinator::catalogue(Some(path), false)?;
    for site in &SITES {
        if site.offer(&catalogue).is_none() {
            let region = format!("{} {}", site.provider, site.region);
            let catalogue = path.display().to_string();
            return Err(DevError::NoOffer { catalogue, city: site.city, region }.into());
        }
    }
    Ok(catalogue)
}

/// Makes the files of a new mesh, and says which ports its coordinators have.
pub(super) fn found(
    files: &Files,
    args: &StartArgs,
    catalogue: Option<Catalogue>,
) -> anyhow::Result<[u16; 3]> {
    let ports = match args.base_port {
        Some(base) => ports::from(base),
        None => ports::free()?,
    };
    ports::check_free(ports, false)?;
    let catalogue = catalogue.unwrap_or_else(Catalogue::builtin);
    files.write(ports, &catalogue, args.catalog.as_deref())?;
    files.seal()?;
    Ok(ports)
}

/// The coordinators' ports of a mesh that exists; an error if it is asked for others, or for another catalogue.
pub(super) fn resume(files: &Files, args: &StartArgs) -> anyhow::Result<[u16; 3]> {
    let ports = files.ports()?;
    let path = || files.root.clone();
    if let Some(asked) = args.base_port.filter(|base| *base != ports[0]) {
        let has = ports.map(|port| port.to_string()).join(", ");
        return Err(DevError::OtherPorts { path: path(), has, asked }.into());
    }
    let kept = kept_catalogue(files)?;
    if let Some(asked) = &args.catalog {
        let asked = std::path::absolute(asked)?;
        if kept.as_ref() != Some(&asked) {
            let has = kept.map_or_else(
                || "the built-in catalogue".to_owned(),
                |kept| format!("the catalogue {}", kept.display()),
            );
            return Err(DevError::OtherCatalogue { path: path(), has, asked }.into());
        }
    } else if let Some(kept) = &kept {
        // The coordinators would end, and say so in their logs only.
        coordinator::catalogue(Some(kept), false)?;
    }
    ports::check_free(ports, true)?;
    Ok(ports)
}

/// The catalogue in the coordinators' configuration, which an operator may have changed.
fn kept_catalogue(files: &Files) -> anyhow::Result<Option<PathBuf>> {
    let path = files.coordinator_config(&SITES[0]);
    let config = kato_coordinator::Config::load(&path)
        .with_context(|| format!("the mesh in {} cannot be resumed", files.root.display()))?;
    Ok(config.catalog)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(base_port: Option<u16>, catalog: Option<&Path>) -> StartArgs {
        StartArgs { data_dir: None, base_port, catalog: catalog.map(Path::to_owned) }
    }

    fn refused(files: &Files, args: &StartArgs) -> String {
        let error = resume(files, args).unwrap_err();
        anstream::adapter::strip_str(&crate::failure::render(&error)).to_string()
    }

    #[test]
    fn a_mesh_keeps_what_it_was_founded_with_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let (files, resumed) = Files::open(directory.path().join("mesh")).unwrap();
        assert!(!resumed);
        let ports = found(&files, &args(None, None), None).unwrap();
        let root = files.root.display();

        assert_eq!(resume(&files, &args(None, None)).unwrap(), ports);
        assert_eq!(resume(&files, &args(Some(ports[0]), None)).unwrap(), ports);
        let said = refused(&files, &args(Some(ports[0] + 9), None));
        let has = ports.map(|port| port.to_string()).join(", ");
        let expected =
            format!("error: the mesh in {root} was founded with the ports {has}, not from ");
        assert!(
            said.starts_with(&expected) && said.contains("hint: leave --base-port out"),
            "{said}"
        );
        let said = refused(&files, &args(None, Some(Path::new("/offers.csv"))));
        let expected = format!(
            "error: the mesh in {root} was founded with the built-in catalogue, not with /offers.csv\n"
        );
        assert!(said.starts_with(&expected), "{said}");
        assert!(said.contains("catalog = \"/offers.csv\""), "{said}");
    }

    #[test]
    fn a_catalogue_that_is_missing_or_lacks_a_datacenter_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("offers.csv");
        let error = format!("{:#}", catalogue(&path).unwrap_err());
        assert!(error.contains("offers.csv: No such file"), "{error}");
        let offer =
            "Provider,Region,InstanceType,vCPUs,MemoryGiB,Price\nec2,eu-west-1,m6i.large,2,8,0.1\n";
        std::fs::write(&path, offer).unwrap();
        let error = catalogue(&path).unwrap_err().to_string();
        assert!(error.ends_with("offers.csv has no offer for Newark: packet ewr1"), "{error}");
    }
}
