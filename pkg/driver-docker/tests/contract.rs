//! The driver contract against a real Docker.

mod support;

skiff_driver::driver_contract!(support::subject());

mod snapshots {
    use super::support;

    skiff_driver::snapshot_contract!(support::subject());
}
