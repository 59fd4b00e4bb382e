//! A cluster to which everything happens: run by `make chaos`.

use std::path::Path;

use skiff_test::{binary, chaos};

#[expect(clippy::print_stderr, reason = "whoever reads the log should know what was not tried")]
#[ignore = "minutes in which clusters are broken: `make chaos`"]
#[test]
fn a_cluster_comes_back_whole_from_whatever_happens_to_it() {
    let mut command = match chaos::enter(Path::new(env!("CARGO_BIN_EXE_chaos"))) {
        Ok(command) => command,
        Err(why) => return eprintln!("left out: {why}"),
    };
    let folder = tempfile::Builder::new().prefix("skiff-chaos-").tempdir().expect("a temporary folder");
    command.env("SKIFF_CHAOS_FOLDER", folder.path()).env("SKIFF_BIN", binary()).env_remove("DOCKER_HOST");
    let ended = command.status().expect("unshare");
    assert!(ended.success(), "a round failed; the seed above repeats it");
}
