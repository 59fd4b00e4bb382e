//! Makes the table of the files in `/addons`, so that a new folder there is all that a new addon needs.

use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let variable = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name.to_owned()));
    let folder = variable("CARGO_MANIFEST_DIR")?.join("../../addons").canonicalize()?;
    writeln!(io::stdout(), "cargo::rerun-if-changed={}", folder.display())?;
    let mut table = String::from("&[\n");
    for path in files(&folder)? {
        let name = path.strip_prefix(&folder).map_err(io::Error::other)?;
        table += &format!("    ({:?}, include_str!({:?})),\n", name.display().to_string(), path.display().to_string());
    }
    fs::write(variable("OUT_DIR")?.join("files.rs"), table + "]\n")
}

/// The YAML files of a folder and of those in it, in order.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
