//! The Kubernetes API as skiff uses it: client, server-side apply, waits, kubeconfig.
//!
//! The only crate that knows kube and k8s-openapi; none of their types is public here. Every
//! question has a deadline, and every wait that ends in vain says what stood in the way
//! ([`Cause`]). [`kubeconfig`] edits the user's own file and is independent of the rest.

mod apply;
mod attach;
mod cause;
mod client;
mod deadline;
mod error;
mod exec;
mod follow;
mod forward;
pub mod kubeconfig;
mod manifest;
mod node;
mod objects;
mod progress;
mod ready;
mod services;
mod talk;
mod trouble;
mod wait;

pub use cause::Cause;
pub use client::{Access, Client, install_crypto_provider};
pub use error::KubeError;
pub use exec::ExecOutput;
pub use forward::{PodConnection, PodStream};
pub use manifest::{Manifest, ObjectRef};
pub use node::NodeInfo;
pub use objects::{Claim, Held};
pub use services::{Backend, ServiceInfo, ServicePort};
pub use trouble::{FieldOwner, Trouble};
pub use wait::Condition;
