//! skiff: a local Kubernetes cluster launcher.
fn main() {}
