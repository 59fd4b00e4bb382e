//! AnyDriver and the order of detection: the one crate that names all drivers.
//!
//! [`survey()`] tells which drivers work on this host and which of them `auto` takes; [`choose()`]
//! turns what the user asked for into a working driver. A user's own choice is never replaced by
//! another driver.

mod any;
mod choose;
mod error;
mod names;
mod providers;
mod survey;

pub use any::{AnyDriver, DriverError};
pub use choose::{Opened, choose, clusters, open, owner};
pub use error::SelectError;
pub use names::{AUTO, canonical, unknown};
pub use providers::{MachineWishes, Providers};
pub use skiff_driver_hyperkit::attend;
pub use survey::{Choice, Finding, Survey, Verdict, survey};
