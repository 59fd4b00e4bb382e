//! Checks and measurements of this repository, behind `make verify` and `make bench`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

mod arrows;
mod bench;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("arrows") => arrows::check(),
        Some("bench") => bench::run(arguments),
        Some("bench-ingress") => bench::run_ingress(arguments),
        Some("bench-many") => bench::run_many(arguments),
        Some("bench-qemu") => bench::run_qemu(),
        _ => Err("usage: xtask arrows | bench [--runs N] [--idle SECONDS] [--skip-baseline] | bench-many [--runs N] \
             [--idle SECONDS] | bench-qemu | bench-ingress …"
            .to_owned()),
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
