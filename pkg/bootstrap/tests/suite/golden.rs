//! kubeadm's configuration for every minor, against files that people can read and compare.
//!
//! `SKIFF_UPDATE_GOLDEN=1 cargo test -p skiff-bootstrap golden` writes them anew.

use std::{fs, path::PathBuf};

use skiff_bootstrap::{Role, render};

use crate::{diff, fixture, fixture::Flavour};

const FILES: [(Role, &str); 3] =
    [(Role::FirstControlPlane, "init"), (Role::ControlPlane, "control-plane"), (Role::Worker, "worker")];

#[test]
fn configuration_equals_the_golden_files_of_every_minor() {
    let update = std::env::var_os("SKIFF_UPDATE_GOLDEN").is_some();
    let mut failures = String::new();
    for minor in fixture::minors() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v1.{minor}"));
        for flavour in Flavour::ALL {
            let cluster = fixture::cluster(minor, flavour);
            for (role, name) in FILES {
                let node = fixture::node(&cluster, role, flavour);
                let rendered = render::kubeadm_config(&cluster, &node).unwrap();
                let path = folder.join(format!("{name}{}.yaml", flavour.suffix()));
                if update {
                    fs::create_dir_all(&folder).unwrap();
                    fs::write(&path, rendered).unwrap();
                    continue;
                }
                let golden = fs::read_to_string(&path).unwrap_or_default();
                if golden != rendered {
                    failures += &format!("{}\n{}\n", path.display(), diff::lines(&golden, &rendered));
                }
            }
        }
    }
    assert!(failures.is_empty(), "SKIFF_UPDATE_GOLDEN=1 accepts these differences:\n{failures}");
}
