//! skiff: a local Kubernetes cluster launcher.

mod app;
mod cli;
mod context;
mod environment;
mod failure;
mod interrupt;
mod journal;
mod settings;
mod template;
mod ui;
mod usage;
mod wiring;

fn main() -> std::process::ExitCode {
    app::main(std::env::args_os().collect())
}
