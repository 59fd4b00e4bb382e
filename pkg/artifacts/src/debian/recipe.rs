//! The recipe in `deploy/kubernetes-debian`, and the keys that follow from it.

use std::{fs, path::Path};

use skiff_config::KubeVersion;

use crate::{ArtifactError, COMPONENTS, cache, set::Arch};

/// The Debian release that carries the source package.
pub(super) const SUITE: &str = "bookworm";

/// The source package.
pub(super) const SOURCE_PACKAGE: &str = "kubernetes";

/// The Kubernetes version in the source package.
pub(super) const SOURCE_VERSION: (u64, u64, u64) = (1, 20, 2);

macro_rules! recipe {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../../deploy/kubernetes-debian/", $name)))),*]
    };
}

/// Every file of the recipe.
const FILES: [(&str, &str); 13] = recipe![
    "packages.txt",
    "provided.txt",
    "unpack.sh",
    "enter.sh",
    "source.sh",
    "documents.go",
    "aggregated.go",
    "go.sh",
    "openapi.sh",
    "compile.sh",
    "pause.c",
    "pause.sh",
    "etcd.sh",
];

fn file(name: &str) -> &'static str {
    FILES.into_iter().find(|(candidate, _)| *candidate == name).map_or("", |(_, text)| text)
}

/// Lines of a list, without comments.
fn list(name: &str) -> impl Iterator<Item = &'static str> {
    file(name).lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Packages that the builder root is made of.
pub(super) fn packages() -> Vec<&'static str> {
    list("packages.txt").collect()
}

/// A dpkg status file in which the packages that nobody needs count as installed.
pub(super) fn status(arch: Arch) -> String {
    let entry = |name| {
        let arch = arch.name();
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: {arch}\nMulti-Arch: foreign\n\
             Version: 999\nMaintainer: nobody <nobody@localhost>\nDescription: assumed to be there\n\n"
        )
    };
    list("provided.txt").map(entry).collect()
}

/// Writes the recipe into a folder, so that the builder can read it.
pub(super) fn write(folder: &Path) -> Result<(), ArtifactError> {
    fs::create_dir_all(folder).map_err(ArtifactError::io("create", folder))?;
    for (name, text) in FILES {
        let path = folder.join(name);
        fs::write(&path, text).map_err(ArtifactError::io("write", &path))?;
    }
    Ok(())
}

/// Key of the builder root and the packed source, which arrive together.
pub(super) fn builder_key(arch: Arch) -> String {
    let files = ["packages.txt", "provided.txt", "unpack.sh"].map(file);
    cache::key(["builder", arch.name(), SUITE, SOURCE_PACKAGE].into_iter().chain(files))
}

/// Key of the unpacked source with its generated code.
pub(super) fn source_key(arch: Arch) -> String {
    let builder = builder_key(arch);
    let files = ["source.sh", "documents.go", "aggregated.go", "go.sh", "openapi.sh"].map(file);
    cache::key(["source", &builder].into_iter().chain(files))
}

/// Key of the finished set.
pub(super) fn set_key(arch: Arch, version: &KubeVersion) -> String {
    let (source, version) = (source_key(arch), version.to_string());
    let files = ["compile.sh", "pause.c", "pause.sh", "etcd.sh"].map(file);
    cache::key(["set", &source, &version].into_iter().chain(COMPONENTS).chain(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_file_is_in_the_recipe() {
        for (name, text) in FILES {
            assert_eq!(file(name), text);
            assert!(text.ends_with('\n'), "{name}");
        }
        assert!(packages().contains(&"golang-1.19-go"));
        assert!(packages().iter().all(|name| !name.contains(' ')));
    }

    #[test]
    fn another_patch_version_is_another_set_of_the_same_source() {
        let (a, b) = ("v1.20.2".parse().unwrap(), "v1.20.3".parse().unwrap());
        assert_ne!(set_key(Arch::Amd64, &a), set_key(Arch::Amd64, &b));
        assert_ne!(source_key(Arch::Amd64), source_key(Arch::Arm64));
    }

    #[test]
    fn packages_that_are_wanted_are_not_assumed() {
        let status = status(Arch::Arm64);
        assert!(status.contains("Package: perl\nStatus: install ok installed\nArchitecture: arm64\n"));
        assert!(packages().iter().all(|name| !status.contains(&format!("Package: {name}\n"))));
    }
}
