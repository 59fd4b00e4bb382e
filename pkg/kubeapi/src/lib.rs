//! The Kubernetes API as skiff uses it: client, server-side apply, waits, kubeconfig.
