//! Chaos: a cluster to which everything happens, at any moment of any command, and which is whole
//! again after one `skiff start`.
//!
//! Each round draws a command, a moment of it and a fault. Meanwhile a pod counts on a volume and
//! somebody counts through the API; what was acknowledged must be there afterwards, and nothing that
//! nobody needs may be. The draw comes from a seed, so a round that failed can be drawn again.
//!
//! All of it happens in a [`World`]: a Docker Engine, a network, processes and a disk of the suite's
//! own, because an Engine that others use must not be killed.

mod act;
mod counter;
mod engine;
mod fault;
mod plan;
mod process;
mod round;
mod tidy;
mod world;

pub use plan::Plan;
pub use round::run;
pub use world::{World, run_apart};
