//! A stand-in for hyperkit, for tests on hosts that cannot run the real one.

use std::process::ExitCode;

fn main() -> ExitCode {
    skiff_test::hyperkit::main(std::env::args().skip(1).collect())
}
