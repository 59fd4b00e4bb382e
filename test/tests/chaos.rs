//! A cluster to which everything happens, a hundred times: run by `make chaos`. The end-to-end tests
//! have a short form of it.

use std::path::Path;

use skiff_test::chaos;

#[ignore = "an hour in which clusters are broken: `make chaos`"]
#[test]
fn a_cluster_comes_back_whole_from_whatever_happens_to_it() {
    chaos::run_apart(Path::new(env!("CARGO_BIN_EXE_chaos")));
}
