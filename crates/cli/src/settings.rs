//! Whom to call and as whom. A flag beats the environment, the environment beats the context file; and
//! `--context` is a flag, so the context that it names beats the environment too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::ConnectionArgs;
use crate::contexts::{Context, Contexts, ContextsError};
use crate::suggest;

/// How long an answer may take where `--timeout` does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

/// Reads an environment variable.
pub(crate) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Why it is not known whom to call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    Contexts(#[from] ContextsError),
    #[error("no context \"{name}\" in {path}")]
    UnknownContext { name: String, path: PathBuf, near: Option<String>, known: Vec<String> },
    #[error("no mesh is set: {missing} not given")]
    Missing { missing: String, path: PathBuf },
    #[error(
        "neither KATO_CONTEXT_FILE, XDG_CONFIG_HOME nor HOME is set, so there is no context file"
    )]
    NoHome,
}

impl SettingsError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Contexts(error) => error.hint(),
            Self::UnknownContext { near: Some(near), .. } => {
                Some(format!("did you mean \"{near}\"?"))
            }
            Self::UnknownContext { known, .. } if known.is_empty() => {
                Some("the file has no contexts; `kato dev` starts a mesh and writes one".to_owned())
            }
            Self::UnknownContext { known, .. } => Some(format!("it has {}", known.join(", "))),
            Self::Missing { path, .. } => Some(format!(
                "`kato dev` starts a mesh on this machine and writes a context;\n\
                 for another mesh set KATO_ADDR, KATO_CACERT, KATO_CLIENT_CERT and KATO_CLIENT_KEY,\n\
                 or write a context to {}",
                path.display()
            )),
            Self::NoHome => Some("set KATO_CONTEXT_FILE, or give the settings as flags".to_owned()),
        }
    }
}

/// What a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Coordinators, tried in this order.
    pub(crate) addresses: Vec<String>,
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
}

impl Settings {
    /// Reads the settings of this process.
    pub(crate) fn resolve(args: &ConnectionArgs) -> Result<Self, SettingsError> {
        Self::from_layers(args, &environment)
    }

    fn from_layers(args: &ConnectionArgs, env: Environment) -> Result<Self, SettingsError> {
        let flags = Context {
            addresses: args.address.clone(),
            ca: args.ca.clone(),
            certificate: args.cert.clone(),
            key: args.key.clone(),
        };
        let path = |name| env(name).map(PathBuf::from);
        let variables = Context {
            addresses: env("KATO_ADDR").map(|text| split(&text)).unwrap_or_default(),
            ca: path("KATO_CACERT"),
            certificate: path("KATO_CLIENT_CERT"),
            key: path("KATO_CLIENT_KEY"),
        };
        let timeout = args.timeout.unwrap_or(TIMEOUT_DEFAULT);
        let known = match &args.context {
            Some(_) => flags.or(named(args, env)?).or(variables),
            None => match flags.or(variables) {
                // The file is not read where nothing is wanted of it: it may be somebody else's, or broken.
                complete if complete.missing().is_empty() => complete,
                partial => partial.or(named(args, env)?),
            },
        };
        let missing = known.missing().join(", ");
        let (Some(ca), Some(certificate), Some(key), false) =
            (known.ca, known.certificate, known.key, known.addresses.is_empty())
        else {
            return Err(SettingsError::Missing { missing, path: context_file(env)? });
        };
        Ok(Self { addresses: known.addresses, ca, certificate, key, timeout })
    }
}

impl Context {
    /// This, and from `other` what this lacks.
    fn or(self, other: Self) -> Self {
        Self {
            addresses: if self.addresses.is_empty() { other.addresses } else { self.addresses },
            ca: self.ca.or(other.ca),
            certificate: self.certificate.or(other.certificate),
            key: self.key.or(other.key),
        }
    }

    fn missing(&self) -> Vec<&'static str> {
        let fields = [
            (self.addresses.is_empty(), "--address"),
            (self.ca.is_none(), "--ca"),
            (self.certificate.is_none(), "--cert"),
            (self.key.is_none(), "--key"),
        ];
        fields.into_iter().filter(|(missing, _)| *missing).map(|(_, flag)| flag).collect()
    }
}

/// The context that is named by the flag, the environment or the file itself; an empty one where none is.
fn named(args: &ConnectionArgs, env: Environment) -> Result<Context, SettingsError> {
    let path = context_file(env)?;
    let mut contexts = Contexts::load(&path)?;
    let name = args.context.clone().or_else(|| env("KATO_CONTEXT"));
    let Some(name) = name.or_else(|| contexts.current.clone()) else {
        return Ok(Context::default());
    };
    contexts.contexts.remove(&name).ok_or_else(|| {
        let known: Vec<String> = contexts.contexts.into_keys().collect();
        let near = suggest::nearest(&name, known.iter().map(String::as_str)).map(str::to_owned);
        SettingsError::UnknownContext { name, path, near, known }
    })
}

/// Where the context file is, whether or not it exists.
fn context_file(env: Environment) -> Result<PathBuf, SettingsError> {
    if let Some(path) = env("KATO_CONTEXT_FILE") {
        return Ok(path.into());
    }
    let config = env("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| env("HOME").map(|home| Path::new(&home).join(".config")));
    Ok(config.ok_or(SettingsError::NoHome)?.join("kato/contexts.toml"))
}

/// Where this process finds its context file.
pub(crate) fn own_context_file() -> Result<PathBuf, SettingsError> {
    context_file(&environment)
}

/// A variable of this process; an empty one counts as none.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn split(addresses: &str) -> Vec<String> {
    addresses.split(',').map(|a| a.trim().to_owned()).filter(|a| !a.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "current = \"dev\"\n\
        [contexts.dev]\naddresses = [\"dev:1\"]\nca = \"/dev/ca\"\ncertificate = \"/dev/c\"\nkey = \"/dev/k\"\n\
        [contexts.prod]\naddresses = [\"prod:1\", \"prod:2\"]\nca = \"/prod/ca\"\n\
        certificate = \"/prod/c\"\nkey = \"/prod/k\"\n";

    fn resolve(
        args: &ConnectionArgs,
        variables: &[(&str, &str)],
    ) -> Result<Settings, SettingsError> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("contexts.toml");
        std::fs::write(&file, FILE).unwrap();
        Settings::from_layers(args, &|name| match name {
            "KATO_CONTEXT_FILE" => Some(file.display().to_string()),
            _ => variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()),
        })
    }

    #[test]
    fn flags_beat_the_environment_which_beats_the_file() {
        let none = ConnectionArgs::default();
        assert_eq!(resolve(&none, &[]).unwrap().addresses, ["dev:1"]);
        let env = [("KATO_ADDR", "env:1, env:2"), ("KATO_CACERT", "/env/ca")];
        let settings = resolve(&none, &env).unwrap();
        assert_eq!(settings.addresses, ["env:1", "env:2"]);
        assert_eq!((settings.ca, settings.key), ("/env/ca".into(), "/dev/k".into()));
        let flag = ConnectionArgs { address: vec!["flag:1".to_owned()], ..none.clone() };
        assert_eq!(resolve(&flag, &env).unwrap().addresses, ["flag:1"]);
        let prod = ConnectionArgs { context: Some("prod".to_owned()), ..none.clone() };
        assert_eq!(resolve(&prod, &env).unwrap().addresses, ["prod:1", "prod:2"]);
        assert_eq!(resolve(&none, &[("KATO_CONTEXT", "prod")]).unwrap().addresses[0], "prod:1");
    }

    #[test]
    fn what_is_not_set_is_named() {
        let prud = ConnectionArgs { context: Some("prud".to_owned()), ..Default::default() };
        let error = resolve(&prud, &[]).unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean \"prod\"?");
        let empty = |name: &str| (name == "HOME").then(|| "/home/ada".to_owned());
        let error = Settings::from_layers(&ConnectionArgs::default(), &empty).unwrap_err();
        let expected = "no mesh is set: --address, --ca, --cert, --key not given";
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().unwrap().contains("/home/ada/.config/kato/contexts.toml"));
    }
}
