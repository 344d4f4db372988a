//! Reading the unit files that are applied.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use kato_core::UNIT_BYTES_MAX;
use kato_proto::v1::UnitFile;

use super::VerbError;

/// Reads the file, or the standard input where it is `-`, which is then called `name`.
pub(crate) fn read(file: &str, name: Option<&str>) -> Result<UnitFile, VerbError> {
    if file == "-" {
        let file_name = name.ok_or(VerbError::NamelessUnit)?.to_owned();
        let text = limited(io::stdin().lock(), Path::new("the standard input"))?;
        return Ok(UnitFile { file_name, text });
    }
    let path = Path::new(file);
    let failed = |source| VerbError::Unit { path: path.into(), source };
    let text = limited(File::open(path).map_err(failed)?, path)?;
    let file_name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(UnitFile { file_name, text })
}

/// The mesh takes no larger ones; a mistyped path may be a disk.
fn limited(from: impl Read, path: &Path) -> Result<String, VerbError> {
    let mut bytes = Vec::new();
    let read = from.take(UNIT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| VerbError::Unit { path: path.into(), source })?;
    if bytes.len() > UNIT_BYTES_MAX {
        return Err(VerbError::UnitTooLarge { path: path.into() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let read = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = read.split(|byte| *byte == b'\n').count();
        VerbError::UnitNotUtf8 { path: path.into(), line }
    })
}
