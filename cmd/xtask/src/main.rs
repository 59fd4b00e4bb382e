//! Checks and measurements of this repository, behind `make verify` and `make bench`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod arrows;

use std::process::ExitCode;

fn main() -> ExitCode {
    let verb = std::env::args().nth(1).unwrap_or_default();
    let done = match verb.as_str() {
        "arrows" => arrows::check(),
        _ => Err("usage: xtask arrows".to_owned()),
    };
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
