//! What can go wrong with addons.

use std::{io, path::PathBuf};

use skiff_kubeapi::{KubeError, ObjectRef};
use skiff_report::{Diagnose, ExitCode, Reason, chain};
use thiserror::Error;

use crate::{Retired, SettingsProblem};

/// A failure around addons.
#[derive(Debug, Error)]
pub enum AddonError {
    /// No addon of that name.
    #[error("there is no addon `{name}`{}", did_you_mean(near))]
    Unknown {
        /// The name.
        name: String,
        /// Names that are like it.
        near: Vec<String>,
    },
    /// An addon that people know from elsewhere.
    #[error("there is no addon `{name}`: {}", retired.reason)]
    Retired {
        /// The name.
        name: String,
        /// Why, and what to use.
        retired: Retired,
    },
    /// Entries of a catalog that do not follow the format.
    #[error("{} of the addon catalog cannot be used\n{}", count(problems.len(), "thing"), problems.join("\n"))]
    Entries {
        /// Each with its file, and its line where that is known.
        problems: Vec<String>,
    },
    /// A catalog cannot be had.
    #[error("catalog `{name}` cannot be read from {location}")]
    CatalogRead {
        /// Its name.
        name: String,
        /// Where it should come from.
        location: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// skiff's own file about catalogs.
    #[error("{}", path.display())]
    CatalogFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// A catalog is not what was pinned.
    #[error("catalog `{name}` has the sha256 {found}, not {wanted}")]
    Hash {
        /// Its name.
        name: String,
        /// What was pinned.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// A catalog from elsewhere without a pin.
    #[error("{location} is not pinned")]
    Unpinned {
        /// The URL.
        location: String,
        /// What is there now.
        found: String,
    },
    /// Settings that an addon does not take.
    #[error("{} of addon {addon} cannot be used\n{}", count(problems.len(), "setting"), lines(problems))]
    Settings {
        /// The addon.
        addon: String,
        /// All that is wrong with them.
        problems: Vec<SettingsProblem>,
    },
    /// Something is to be set of an addon that is off.
    #[error("addon {addon} is not enabled, so nothing can be set of it here")]
    Off {
        /// The addon.
        addon: String,
    },
    /// Something is to be set, and no addon is named.
    #[error("{setting} is for no addon")]
    Nameless {
        /// What is to be set.
        setting: String,
    },
    /// The addon is not for the cluster's version of Kubernetes.
    #[error("addon {addon} works on Kubernetes {range}, not on {version}")]
    Version {
        /// The addon.
        addon: String,
        /// What it works on.
        range: String,
        /// What the cluster has.
        version: String,
    },
    /// Manifests that cannot be read.
    #[error("the manifests of addon {addon} cannot be read\n{}", chains(problems))]
    Manifests {
        /// The addon.
        addon: String,
        /// Each with file and line.
        problems: Vec<KubeError>,
    },
    /// Objects of that name exist and belong to somebody else.
    #[error("{} of addon {addon} would take the place of somebody else's\n{}", count(objects.len(), "object"), lines(objects))]
    Taken {
        /// The addon.
        addon: String,
        /// The objects.
        objects: Vec<ObjectRef>,
    },
    /// The cluster would not take the objects as they are.
    #[error("the cluster does not take {} of addon {addon}\n{}", count(refusals.len(), "object"), chains(refusals))]
    Refused {
        /// The addon.
        addon: String,
        /// Every refusal.
        refusals: Vec<KubeError>,
    },
    /// It was applied and did not come to life.
    #[error("addon {addon} does not work{}", if *undone { ", and what was applied of it is undone" } else { "" })]
    NotWorking {
        /// The addon.
        addon: String,
        /// True if the cluster is as it was before.
        undone: bool,
        /// What stood in the way.
        #[source]
        source: KubeError,
    },
    /// What was enabled for an addon that failed could not be taken out again.
    #[error("{first}; {}, which was enabled with it, could not be taken out again", left.join(" and "))]
    Remains {
        /// The failure.
        first: Box<AddonError>,
        /// The addons that are still there.
        left: Vec<String>,
        /// Why.
        #[source]
        source: Box<AddonError>,
    },
    /// Several things are wrong.
    #[error("{}\n{}", count(errors.len(), "thing") + " cannot be done", errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n"))]
    Several {
        /// Each of them.
        errors: Vec<AddonError>,
    },
    /// It does not work, and neither did its undoing.
    #[error("addon {addon} does not work: {}; undoing it failed as well", chain(first))]
    NotUndone {
        /// The addon.
        addon: String,
        /// Why it does not work.
        first: Box<KubeError>,
        /// Why it could not be undone.
        #[source]
        source: KubeError,
    },
    /// The API.
    #[error("addon {addon}")]
    Api {
        /// The addon.
        addon: String,
        /// What went wrong.
        #[source]
        source: KubeError,
    },
    /// The API, and no addon in particular.
    #[error(transparent)]
    Kube(#[from] KubeError),
}

impl AddonError {
    /// All that is wrong as one error, if something is.
    ///
    /// # Errors
    /// The only one, or [`Several`](Self::Several).
    pub fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several { errors }),
        }
    }
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        names => {
            format!("; did you mean {}?", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "))
        }
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn lines(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn chains(errors: &[KubeError]) -> String {
    errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n")
}

impl Diagnose for AddonError {
    fn reason(&self) -> Reason {
        match self {
            Self::Unknown { .. } => {
                Reason::new("MK_ADDON_ENABLE", ExitCode::PROGRAM_ERROR, "`skiff addons list` shows all addons.")
            }
            Self::Retired { retired, .. } => {
                Reason::new("MK_ADDON_ENABLE", ExitCode::PROGRAM_ERROR, retired.instead.clone())
            }
            Self::Entries { .. } => Reason::new("MK_ADDON_CATALOG", ExitCode::PROGRAM_CONFIG, "Correct the catalog."),
            Self::CatalogRead { .. } => Reason::new(
                "INET_ADDON_CATALOG",
                ExitCode::INTERNET_ERROR,
                "See that the folder or the server is there; catalogs that were added before are untouched.",
            ),
            Self::CatalogFile { .. } => Reason::new("HOST_ADDON_CATALOG", ExitCode::HOST_CONFIG, ""),
            Self::Hash { .. } => Reason::new(
                "INET_ADDON_CATALOG_HASH",
                ExitCode::INTERNET_ERROR,
                "Nothing of it is used. If the change is meant, look at it and pin the new sha256.",
            ),
            Self::Unpinned { found, .. } => Reason::new(
                "MK_USAGE",
                ExitCode::PROGRAM_USAGE,
                format!("What is there now would be pinned by --sha256 {found}."),
            ),
            Self::Settings { addon, .. } => Reason::new(
                "MK_USAGE",
                ExitCode::PROGRAM_USAGE,
                format!(
                    "`skiff addons configure {addon} --show` and `skiff addons images {addon}` tell what can be set."
                ),
            ),
            Self::Off { addon } => {
                Reason::new("MK_USAGE", ExitCode::PROGRAM_USAGE, format!("Name {addon} among those to enable."))
            }
            Self::Nameless { .. } => Reason::new("MK_USAGE", ExitCode::PROGRAM_USAGE, "Write it like ADDON.KEY=VALUE."),
            Self::Version { .. } => Reason::new(
                "SVC_ADDON_UNSUPPORTED",
                ExitCode::CONTROL_PLANE_UNSUPPORTED,
                "A cluster with another --kubernetes-version can have it.",
            ),
            Self::Manifests { .. } => {
                Reason::new("GUEST_MANIFEST", ExitCode::PROGRAM_CONFIG, "Correct the manifests; nothing was applied.")
            }
            Self::Taken { .. } => Reason::new(
                "K8S_OBJECT_CONFLICT",
                ExitCode::CONTROL_PLANE_CONFLICT,
                "Nothing was changed. --force takes the objects over; disabling the addon deletes them then.",
            ),
            Self::Refused { refusals, .. } => refused(refusals),
            Self::NotWorking { source, .. } => source.reason(),
            Self::Remains { first, left, .. } => {
                let reason = first.reason();
                Reason::new(reason.id, reason.exit, format!("`skiff addons disable {}`", left.join(" ")))
            }
            Self::Several { errors } => several(errors),
            Self::NotUndone { addon, first, .. } => {
                let reason = first.reason();
                Reason::new(reason.id, reason.exit, format!("`skiff addons disable {addon}` removes what is left."))
            }
            Self::Api { source, .. } | Self::Kube(source) => source.reason(),
        }
    }
}

/// What the first is, and what helps against each.
fn several(errors: &[AddonError]) -> Reason {
    let reasons: Vec<Reason> = errors.iter().map(Diagnose::reason).collect();
    let mut advice: Vec<&str> = Vec::new();
    for reason in &reasons {
        if !advice.contains(&&*reason.advice) {
            advice.push(&reason.advice);
        }
    }
    match reasons.first() {
        Some(first) => Reason::new(first.id, first.exit, advice.join(" ")),
        None => Reason::new("MK_USAGE", ExitCode::PROGRAM_USAGE, ""),
    }
}

/// Others' fields weigh less than objects that the server cannot make sense of.
fn refused(refusals: &[KubeError]) -> Reason {
    let reasons: Vec<Reason> = refusals.iter().map(Diagnose::reason).collect();
    let conflict = |reason: &&Reason| reason.exit == ExitCode::CONTROL_PLANE_CONFLICT;
    let worst = reasons.iter().find(|reason| !conflict(reason)).or(reasons.first()).cloned();
    worst.unwrap_or_else(|| Reason::new("K8S_REFUSED", ExitCode::CONTROL_PLANE_ERROR, ""))
}
