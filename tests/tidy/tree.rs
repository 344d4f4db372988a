//! The files of the repository: what git tracks, or what lies there where the sources have no git.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file, by its path from the root, with its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every text file whose name ends with one of `ends`.
pub(crate) fn files(ends: &[&str]) -> Vec<File> {
    let root = root();
    let paths = tracked(&root).unwrap_or_else(|| walked(&root));
    let wanted = paths.into_iter().filter(|path| ends.iter().any(|end| path.ends_with(end)));
    let read = wanted.filter_map(|path| {
        // Deleted and not yet committed, or no text.
        let text = std::fs::read_to_string(root.join(&path)).ok()?;
        Some(File { path, text })
    });
    let files: Vec<File> = read.collect();
    assert!(!files.is_empty(), "no files end with {ends:?}: this test looks in the wrong place");
    files
}

/// What git tracks, and what it would if it were added.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let listed = String::from_utf8(output.stdout).ok()?;
    let mut paths: Vec<String> =
        listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    paths.sort();
    paths.dedup();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

fn walked(root: &Path) -> Vec<String> {
    let (mut found, mut waiting) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != ".git" {
                waiting.push(path);
            } else if path.is_file() {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}
