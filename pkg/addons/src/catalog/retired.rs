//! Names of addons that people know from elsewhere and that are not here: why, and what to use.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::AddonError;

/// The table, beside the entries.
pub(super) const FILE: &str = "retired.yaml";

/// Why an addon is not here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retired {
    /// The reason, in one line.
    pub reason: String,
    /// What to use in its place, in one line.
    pub instead: String,
}

/// Reads the table.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, Retired>, AddonError> {
    serde_saphyr::from_str(text)
        .map_err(|error| AddonError::Entries { problems: vec![format!("addons/{FILE}: {error}")] })
}
