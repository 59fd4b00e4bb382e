//! The driver contract against a real QEMU.

mod support;

skiff_driver::driver_contract!(support::subject());
