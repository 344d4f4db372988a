//! The context file: the meshes that a user talks to, by name, so that a command needs no flags.
//! `kato dev` writes it as well.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

/// Why the context file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextsError {
    #[error("cannot read the context file {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the context file {path} is not as it should be")]
    Syntax { path: PathBuf, source: toml::de::Error },
    #[error("cannot write the context file {path}")]
    Write { path: PathBuf, source: io::Error },
}

impl ContextsError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let Self::Syntax { path, .. } = self else { return None };
        Some(format!(
            "mend {} or move it away; docs/cli.md shows its form, and `kato dev` writes a new one",
            path.display()
        ))
    }
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The context that is used where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// One mesh, and who this user is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Where coordinators answer: `127.0.0.1:7440`.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    /// The mesh's root certificate.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl Contexts {
    /// Reads the file; one that is not there is an empty one. Relative paths in it start where it lies.
    pub(crate) fn load(path: &Path) -> Result<Self, ContextsError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ContextsError::Read { path: path.into(), source }),
        };
        let mut contexts: Self = toml::from_str(&text)
            .map_err(|source| ContextsError::Syntax { path: path.into(), source })?;
        let directory = path.parent().unwrap_or(Path::new("."));
        for context in contexts.contexts.values_mut() {
            let paths = [&mut context.ca, &mut context.certificate, &mut context.key];
            paths.into_iter().flatten().for_each(|path| *path = directory.join(&path));
        }
        Ok(contexts)
    }
}

impl Contexts {
    /// Writes the whole file or none of it: another `kato` may read it at this moment.
    pub(crate) fn save(&self, path: &Path) -> Result<(), ContextsError> {
        let failed = |source| ContextsError::Write { path: path.into(), source };
        let text = toml::to_string(self).map_err(|error| failed(io::Error::other(error)))?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(failed)?;
        let mut draft = NamedTempFile::new_in(directory).map_err(failed)?;
        draft.write_all(text.as_bytes()).map_err(failed)?;
        draft.as_file().sync_all().map_err(failed)?;
        draft.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Puts one context into the file, in place of an older one of that name, and makes it the current one.
    pub(crate) fn upsert(path: &Path, name: &str, context: Context) -> Result<(), ContextsError> {
        let mut contexts = Self::load(path)?;
        contexts.contexts.insert(name.to_owned(), context);
        contexts.current = Some(name.to_owned());
        contexts.save(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(address: &str) -> Context {
        let file = |name: &str| Some(PathBuf::from("/pki").join(name));
        Context {
            addresses: vec![address.to_owned()],
            ca: file("ca.pem"),
            certificate: file("me.pem"),
            key: file("me-key.pem"),
        }
    }

    #[test]
    fn a_context_is_put_beside_others_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/contexts.toml");
        assert_eq!(Contexts::load(&path).unwrap(), Contexts::default());
        Contexts::upsert(&path, "prod", context("10.0.0.1:7440")).unwrap();
        Contexts::upsert(&path, "dev", context("127.0.0.1:1")).unwrap();
        Contexts::upsert(&path, "dev", context("127.0.0.1:2")).unwrap();
        let contexts = Contexts::load(&path).unwrap();
        assert_eq!(contexts.current.as_deref(), Some("dev"));
        assert_eq!(contexts.contexts["dev"], context("127.0.0.1:2"));
        assert_eq!(contexts.contexts["prod"], context("10.0.0.1:7440"));
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "a draft is left"
        );
    }

    #[test]
    fn relative_paths_start_at_the_file_and_mistakes_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("contexts.toml");
        std::fs::write(&path, "[contexts.dev]\naddresses = [\"a:1\"]\nca = \"ca.pem\"\n").unwrap();
        let contexts = Contexts::load(&path).unwrap();
        assert_eq!(contexts.contexts["dev"].ca, Some(directory.path().join("ca.pem")));
        std::fs::write(&path, "[contexts.dev]\nadress = \"a:1\"\n").unwrap();
        let error = Contexts::load(&path).unwrap_err();
        assert!(error.hint().is_some());
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("line 2") && cause.contains("unknown field `adress`"), "{cause}");
    }
}
