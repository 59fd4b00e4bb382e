//! A cluster to which everything happens: run by `make chaos`.

use std::path::Path;

use skiff_test::{binary, chaos};

#[ignore = "minutes in which clusters are broken: `make chaos`"]
#[test]
fn a_cluster_comes_back_whole_from_whatever_happens_to_it() {
    let mut command = chaos::enter(Path::new(env!("CARGO_BIN_EXE_chaos"))).expect("a world of its own");
    let folder = tempfile::Builder::new().prefix("skiff-chaos-").tempdir().expect("a temporary folder");
    command.env("SKIFF_CHAOS_FOLDER", folder.path()).env("SKIFF_BIN", binary()).env_remove("DOCKER_HOST");
    let ended = command.status().expect("unshare");
    assert!(ended.success(), "a round failed; the seed above repeats it");
}
