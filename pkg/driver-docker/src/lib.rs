//! Nodes as Docker containers.
