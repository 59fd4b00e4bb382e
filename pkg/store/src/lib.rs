//! Files under the skiff home: what skiff remembers between two commands.
//!
//! ```text
//! config/config.yaml        defaults set by `skiff config`
//! profiles/NAME/            one folder a cluster: cluster.yaml, keys, kubeconfig, events, logs/
//! cache/                    artifacts, by content
//! logs/                     logs that belong to no cluster
//! locks/                    who works on what
//! ```
//!
//! Every file appears whole or not at all: it is written beside its place, synced and renamed.
//! Folders are 0700 and files 0600, because keys are among them. What a machine *is* at the moment
//! is not stored here; drivers are asked for it.

mod atomic;
mod error;
mod lock;
mod neighbours;
mod process;
mod profile;
mod settings;
mod store;
mod tunnel;

pub use error::StoreError;
pub use lock::{Lock, Owner};
pub use process::{NotAProcess, Process};
pub use profile::ProfileEntry;
pub use settings::Settings;
pub use store::Store;
pub use tunnel::TunnelTrace;
