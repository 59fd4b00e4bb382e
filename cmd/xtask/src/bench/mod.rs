//! `xtask bench`: the figures this project promises, measured against a naive way to the same cluster.
//!
//! `run` holds the order of things, `figures` what is promised; `skiff` and `baseline` are the two
//! sides that are compared, `processes` looks at what runs, `table` prints, `janitor` cleans up.

mod baseline;
mod docker;
mod figures;
mod ingress;
mod janitor;
mod machine;
mod many;
mod options;
mod processes;
mod qemu;
mod run;
mod samples;
mod skiff;
mod table;

pub(crate) use ingress::alone as run_ingress;
pub(crate) use many::alone as run_many;
pub(crate) use qemu::run as run_qemu;
pub(crate) use run::run;
