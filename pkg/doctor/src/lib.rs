//! What this host has for clusters, what is missing, and how to get it.
//!
//! [`Facts::gather`] reads the host once; every check is a plain function from facts to findings, so
//! that hosts nobody has at hand can be tested. What a node needs is measured and written down in
//! `need`: room for more nodes is counted with it.

mod checks;
mod facts;
mod finding;
mod need;

pub use checks::examine;
pub use facts::{DriverFact, Facts, Folder, Proxies, Roots, Space};
pub use finding::{Finding, Level, room};
