//! Certificates and keys as files. A key is written for its owner alone and never half; what is read is
//! checked for the mistakes that people make, and the error names the file and what would be right.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ::pem::{EncodeConfig, LineEnding, Pem, encode_many_config};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The largest file that is read: a certificate has about 1 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The mode of a key's file.
const KEY_MODE: u32 = 0o600;

/// The mode of a certificate's file.
const CERTIFICATE_MODE: u32 = 0o644;

/// What the files of others than the owner's may not be.
const OTHERS: u32 = 0o077;

/// Whether a file that exists may be written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// It is an error, and nothing is written.
    Refuse,
    /// The new file takes the old one's place at once.
    Replace,
}

/// Why a PEM file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// The file cannot be read.
    #[error("cannot read {path}, which should hold {what}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What belongs in it.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The file is too large to be what it should.
    #[error("{path} is larger than {FILE_BYTES_MAX} bytes, too large for {what}")]
    Large {
        /// The file.
        path: PathBuf,
        /// What belongs in it.
        what: &'static str,
    },
    /// Others than the owner may read or change a private key.
    #[error(
        "the private key {path} has mode {mode:04o}, which lets others at it; it should be 0600: \
         chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not PEM.
    #[error("{path} is not PEM ({reason}); it should hold {what}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What belongs in it.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is PEM of another kind.
    #[error("{path} holds {found}, but should hold {what}")]
    Kind {
        /// The file.
        path: PathBuf,
        /// What belongs in it.
        what: &'static str,
        /// The labels of its blocks.
        found: String,
    },
    /// The key has a passphrase, which nobody is there to type.
    #[error(
        "the private key {path} is encrypted; store it without its passphrase: \
         openssl pkey -in {path} -out NEW"
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// The file exists.
    #[error("{path} exists already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Reads the certificates of a file, in its order; there is at least one.
pub(crate) fn read_certificates(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let text = read(open(path, what)?, path, what)?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| syntax(path, what, error))?;
    if certificates.is_empty() {
        return Err(PemError::Kind { path: path.into(), what, found: labels(&text) });
    }
    Ok(certificates)
}

/// Reads the private key of a file, which nobody but its owner may be able to read.
pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    const WHAT: &str = "a private key (PEM block \"PRIVATE KEY\")";
    let file = open(path, WHAT)?;
    let metadata = file.metadata();
    let metadata =
        metadata.map_err(|source| PemError::Read { path: path.into(), what: WHAT, source })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(PemError::Exposed { path: path.into(), mode });
    }
    let text = read(file, path, WHAT)?;
    // Both of openssl's forms: "ENCRYPTED PRIVATE KEY", and "Proc-Type: 4,ENCRYPTED" within the block.
    if String::from_utf8_lossy(&text).contains("ENCRYPTED") {
        return Err(PemError::Encrypted { path: path.into() });
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            PemError::Kind { path: path.into(), what: WHAT, found: labels(&text) }
        }
        error => syntax(path, WHAT, error),
    })
}

/// Writes a key and the certificates that belong to it as `NAME-key.pem` and `NAME.pem` in `directory`, the
/// key first: a certificate without its key would only look complete.
pub(crate) fn write_pair(
    directory: &Path,
    name: &str,
    certificates: &str,
    key: &str,
    overwrite: Overwrite,
) -> Result<(), PemError> {
    let certificate_path = directory.join(format!("{name}.pem"));
    let key_path = directory.join(format!("{name}-key.pem"));
    if overwrite == Overwrite::Refuse && certificate_path.exists() {
        return Err(PemError::Exists { path: certificate_path });
    }
    write(&key_path, key, KEY_MODE, overwrite)?;
    write(&certificate_path, certificates, CERTIFICATE_MODE, overwrite)
}

/// Certificates as one PEM text, in their order.
pub(crate) fn certificates_pem(certificates: &[CertificateDer<'_>]) -> String {
    let blocks = certificates.iter().map(|der| Pem::new("CERTIFICATE", der.to_vec()));
    let unix = EncodeConfig::new().set_line_ending(LineEnding::LF);
    encode_many_config(&blocks.collect::<Vec<_>>(), unix)
}

fn open(path: &Path, what: &'static str) -> Result<File, PemError> {
    File::open(path).map_err(|source| PemError::Read { path: path.into(), what, source })
}

fn read(file: File, path: &Path, what: &'static str) -> Result<Vec<u8>, PemError> {
    let mut text = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text);
    let bytes = read.map_err(|source| PemError::Read { path: path.into(), what, source })?;
    if bytes as u64 > FILE_BYTES_MAX {
        return Err(PemError::Large { path: path.into(), what });
    }
    Ok(text)
}

/// Writes a whole file or none: to a file beside it, which then takes its name. Only the owner ever had the
/// right to open a key, also while it was written.
fn write(path: &Path, text: &str, mode: u32, overwrite: Overwrite) -> Result<(), PemError> {
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::AlreadyExists => PemError::Exists { path: path.into() },
        _ => PemError::Write { path: path.into(), source },
    };
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.draft", std::process::id()));
    let draft = PathBuf::from(draft);
    // One of this process's number can only be left by one that died.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let written = write_draft(&draft, text, mode).and_then(|()| match overwrite {
        Overwrite::Replace => fs::rename(&draft, path),
        // Unlike a rename, a link never takes the place of a file.
        Overwrite::Refuse => fs::hard_link(&draft, path).and_then(|()| fs::remove_file(&draft)),
    });
    if let Err(error) = written {
        // What remains of the draft is less important than why it could not become the file.
        let _ = fs::remove_file(&draft);
        return Err(failed(error));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new("."))).and_then(|d| d.sync_all()).map_err(failed)
}

fn write_draft(draft: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn syntax(path: &Path, what: &'static str, error: pem::Error) -> PemError {
    // The library shows lines as lists of numbers.
    let reason = match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the line -----END {}----- is missing", String::from_utf8_lossy(&end_marker))
        }
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed".to_owned(),
        pem::Error::Base64Decode(_) => "its base64 is damaged".to_owned(),
        other => other.to_string(),
    };
    PemError::Syntax { path: path.into(), what, reason }
}

/// The labels of a file's PEM blocks, for an error: `"EC PARAMETERS" and "CERTIFICATE"`.
fn labels(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let labels: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .map(|label| format!("\"{label}\""))
        .collect();
    if labels.is_empty() { "no PEM block".to_owned() } else { labels.join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    fn key_error(text: &str, mode: u32) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node-key.pem");
        write(&path, text, mode, Overwrite::Refuse).unwrap();
        let error = read_key(&path).unwrap_err().to_string();
        error.replace(directory.path().to_str().unwrap(), "DIR")
    }

    #[test]
    fn what_people_do_to_keys_is_named() {
        for (text, mode, expected) in [
            (KEY, 0o640, "the private key DIR/node-key.pem has mode 0640, which lets others at it"),
            (KEY, 0o604, "should be 0600: chmod 600 DIR/node-key.pem"),
            (
                CERTIFICATE,
                0o600,
                "DIR/node-key.pem holds \"CERTIFICATE\", but should hold a private",
            ),
            ("", 0o600, "holds no PEM block"),
            ("-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n", 0o600, "PARAME"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n", 0o600, "-----END PRIVATE KEY----- is missing"),
            ("-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----\n", 0o600, "base64 is dam"),
            (
                "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n\
                 -----END EC PRIVATE KEY-----\n",
                0o600,
                "is encrypted; store it without its passphrase: openssl pkey",
            ),
        ] {
            let error = key_error(text, mode);
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        }
    }

    #[test]
    fn certificates_that_are_not_there_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let error = read_certificates(&path, "the mesh's root").unwrap_err();
        assert!(error.to_string().ends_with("ca.pem, which should hold the mesh's root"));
        write(&path, KEY, 0o600, Overwrite::Refuse).unwrap();
        let error = read_certificates(&path, "the mesh's root").unwrap_err();
        assert!(error.to_string().contains("holds \"PRIVATE KEY\", but should hold the mesh's"));
    }

    #[test]
    fn a_file_is_written_once_unless_told_and_a_key_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let write = |key, overwrite| write_pair(directory.path(), "n", CERTIFICATE, key, overwrite);
        let key_path = directory.path().join("n-key.pem");
        write(KEY, Overwrite::Refuse).unwrap();
        let error = write("other", Overwrite::Refuse).unwrap_err();
        assert!(matches!(error, PemError::Exists { .. }));
        assert_eq!(fs::read_to_string(&key_path).unwrap(), KEY);
        // The certificate alone is gone: the key is still not written over.
        fs::remove_file(directory.path().join("n.pem")).unwrap();
        let error = write("other", Overwrite::Refuse).unwrap_err();
        assert!(matches!(error, PemError::Exists { path } if path == key_path));
        write("other", Overwrite::Replace).unwrap();
        assert_eq!(fs::read_to_string(&key_path).unwrap(), "other");
        assert_eq!(fs::metadata(&key_path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "a draft was left");
    }
}
