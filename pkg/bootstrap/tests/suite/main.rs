//! What this crate gives to kubeadm and to nodes, seen from outside.

mod certificates;
mod diagnose;
mod diff;
mod facts;
mod fixture;
mod golden;
mod node_files;
mod real_kubeadm;
