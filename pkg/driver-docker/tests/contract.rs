//! The driver contract against a real Docker.

mod support;

skiff_driver::driver_contract!(support::subject());
