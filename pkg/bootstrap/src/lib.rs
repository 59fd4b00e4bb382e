//! kubeadm: configuration, certificates, init and join over a Runner.
