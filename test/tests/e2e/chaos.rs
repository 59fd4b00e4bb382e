//! A few rounds of what `make chaos` does a hundred times.

use std::path::Path;

use skiff_test::chaos;

pub(crate) fn a_cluster_comes_back_whole_from_each_fault_that_is_promised() {
    chaos::run_apart(Path::new(env!("CARGO_BIN_EXE_chaos")));
}
