//! Use cases: create, start, stop, delete, status.
