//! AnyDriver and the order of detection: the one crate that names all drivers.
//!
//! [`choose()`] turns what the user asked for into a working driver, and tells for each driver why
//! it was taken or not. A user's own choice is never replaced by another driver.

mod any;
mod choose;

pub use any::{AnyDriver, DriverError};
pub use choose::{AUTO, Choice, Finding, Providers, SelectError, Verdict, choose, open, survey, unknown};
