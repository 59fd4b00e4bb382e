//! Images of addons that Debian has the programs for.

use super::{Entry, ImageSpec, RunConfig};
use crate::rootfs::recipe;

/// The registry's settings.
pub(crate) const REGISTRY_CONFIG: &str = include_str!("../../../../deploy/node/images/registry.yml");
/// Where they lie in its image.
const CONFIG_PATH: &str = "etc/docker/registry/config.yml";

/// The name of the registry's image. Which version it is depends on the Debian release.
fn registry_reference() -> String {
    format!("skiff.local/docker-registry:{}", recipe::SUITE)
}

/// The registry: Debian's program, the libraries it loads, and our settings.
pub(crate) fn registry(mut files: Vec<Entry>) -> ImageSpec {
    files.push(Entry::bytes(CONFIG_PATH, REGISTRY_CONFIG, 0o644));
    // A merged /usr, as in the root file system that the files come from.
    files.extend(["bin", "lib", "lib64"].map(|dir| Entry::link(dir, &format!("usr/{dir}"))));
    ImageSpec {
        reference: registry_reference(),
        entries: files,
        config: RunConfig {
            entrypoint: vec!["/usr/bin/docker-registry".to_owned()],
            cmd: vec!["serve".to_owned(), format!("/{CONFIG_PATH}")],
            user: "65532:65532".to_owned(),
            ..RunConfig::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addon_names_the_image_that_nodes_hold() {
        let entry = include_str!("../../../../addons/registry/addon.yaml");
        assert!(entry.contains(&format!("image: {}\n", registry_reference())), "{}", registry_reference());
    }

    #[test]
    fn the_registry_starts_with_our_settings() {
        let image = registry(vec![Entry::program("usr/bin/docker-registry", "/p")]);
        assert!(image.entries.iter().any(|entry| image.config.cmd[1] == format!("/{}", entry.path)));
        assert!(image.entries.iter().any(|entry| image.config.entrypoint[0] == format!("/{}", entry.path)));
    }
}
