//! Manifests: files in which users write down what a cluster shall be.
//!
//! skiff's own are cluster files without the part that skiff decides. People write numbers and
//! truth values plainly there, so this form takes both and keeps text. kind's files are understood
//! so far as skiff has the same thing; what it has not is refused, all of it at once, with lines.

mod kind;
mod text;

use serde::{Deserialize, Serialize};
use skiff_report::{Diagnose, ExitCode, Reason};
use thiserror::Error;

use self::text::{Exact, Text};
use crate::{ClusterFile, ClusterName, SpecFile};

/// What a manifest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The cluster; absent where the file leaves it to the command line.
    pub name: Option<ClusterName>,
    /// What it shall be.
    pub spec: SpecFile,
    /// The addons that shall be on, and no others; absent where the file does not say.
    pub addons: Option<Vec<String>>,
    /// What the file says and makes no difference here, a sentence each.
    pub notes: Vec<String>,
}

/// Something in a manifest that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, counted from 1.
    pub line: usize,
    /// What.
    pub message: String,
}

/// A manifest that cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Not YAML, or keys that are not known. The cause names line and column.
    #[error("the file cannot be read as a cluster")]
    Syntax(#[from] serde_yaml::Error),
    /// A file of something else.
    #[error("apiVersion `{api_version}`, kind `{kind}` is not a cluster of skiff's or of kind's")]
    Stranger {
        /// What the file says.
        api_version: String,
        /// What the file says.
        kind: String,
    },
    /// Parts that skiff cannot give, or values that make no sense.
    #[error("{}", faults.iter().map(|fault| format!("line {}: {}", fault.line, fault.message)).collect::<Vec<_>>().join("\n"))]
    Faults {
        /// All of them, in the order of their lines.
        faults: Vec<Fault>,
    },
}

impl Diagnose for ManifestError {
    fn reason(&self) -> Reason {
        let advice = match self {
            Self::Syntax(_) => "`skiff get -o yaml` shows how a cluster's file looks.",
            Self::Stranger { .. } => {
                "Begin it with `apiVersion: skiff.dev/v1alpha1` or `kind.x-k8s.io/v1alpha4`, and `kind: Cluster`."
            }
            Self::Faults { .. } => "Change or remove these lines; nothing was done.",
        };
        Reason::new("MK_USAGE", ExitCode::PROGRAM_USAGE, advice)
    }
}

/// What every file begins with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Head {
    api_version: String,
    kind: String,
}

/// A file of skiff's own. `status` is what `skiff profile` keeps; who passes it on means no harm.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Own {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    metadata: OwnMetadata,
    #[serde(default)]
    spec: OwnSpec,
    #[serde(default, rename = "status")]
    _status: Option<serde_yaml::Value>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct OwnMetadata {
    name: Option<ClusterName>,
}

/// [`SpecFile`] as people write it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct OwnSpec {
    #[serde(skip_serializing)]
    addons: Option<Vec<String>>,
    driver: Option<Text>,
    kubernetes_version: Option<Exact>,
    cpus: Option<Text>,
    memory: Option<Text>,
    disk_size: Option<Text>,
    apiserver_port: Option<Text>,
    apiserver_names: Option<Vec<Text>>,
    apiserver_ips: Option<Vec<Text>>,
    extra_config: Option<Vec<Text>>,
    feature_gates: Option<Vec<Text>>,
    service_cluster_ip_range: Option<Text>,
    pod_network_cidr: Option<Text>,
    dns_domain: Option<Text>,
    subnet: Option<Text>,
    static_ip: Option<Text>,
    listen_address: Option<Text>,
    ports: Option<Vec<Text>>,
    mounts: Option<Vec<Text>>,
    nodes: Option<Text>,
    ha: Option<Text>,
    cni: Option<Text>,
    ip_family: Option<Text>,
    node_labels: Option<Vec<Text>>,
    node_taints: Option<Vec<Text>>,
    cert_expiration: Option<Text>,
    auto_pause_interval: Option<Text>,
    etcd_unsafe_fsync: Option<Text>,
}

impl Manifest {
    /// Reads a file of skiff's or of kind's, and checks every value.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn from_yaml(text: &str) -> Result<Self, ManifestError> {
        let head: Head = serde_yaml::from_str(text)?;
        let manifest = match (head.api_version.as_str(), head.kind.as_str()) {
            ("skiff.dev/v1alpha1", "Cluster") => own(serde_yaml::from_str(text)?)?,
            ("kind.x-k8s.io/v1alpha4", "Cluster") => kind::read(text)?,
            _ => return Err(ManifestError::Stranger { api_version: head.api_version, kind: head.kind }),
        };
        let name = manifest.name.clone().unwrap_or_default();
        match manifest.spec.resolve(name) {
            Ok(_) => Ok(manifest),
            Err(problems) => {
                let fault = |problem: &crate::Problem| Fault {
                    line: line_of(text, &camel_case(problem.setting)),
                    message: format!("{}: {}", camel_case(problem.setting), problem.message),
                };
                Err(faulty(problems.iter().map(fault).collect()))
            }
        }
    }

    /// The manifest of a cluster: what was asked for, without what skiff decided.
    ///
    /// # Errors
    /// Never for clusters of skiff's; kept as an error so that nothing is ever lost silently.
    pub fn to_yaml(file: &ClusterFile) -> Result<String, ManifestError> {
        Ok(serde_yaml::to_string(&document(file)?)?)
    }

    /// The same as a value, for other formats.
    ///
    /// # Errors
    /// As for [`to_yaml`](Self::to_yaml).
    pub fn to_value(file: &ClusterFile) -> Result<serde_yaml::Value, ManifestError> {
        document(file)
    }
}

fn document(file: &ClusterFile) -> Result<serde_yaml::Value, ManifestError> {
    let mut value = serde_yaml::to_value(file)?;
    if let serde_yaml::Value::Mapping(map) = &mut value {
        map.retain(|key, _| key.as_str().is_some_and(|key| ["apiVersion", "kind", "metadata", "spec"].contains(&key)));
        let wanted: Vec<&String> =
            file.addons.iter().filter(|(_, wish)| wish.enabled == Some(true)).map(|(name, _)| name).collect();
        if let Some(serde_yaml::Value::Mapping(spec)) = map.get_mut("spec")
            && !wanted.is_empty()
        {
            spec.insert("addons".into(), serde_yaml::to_value(wanted)?);
        }
    }
    Ok(value)
}

fn own(file: Own) -> Result<Manifest, ManifestError> {
    let addons = file.spec.addons.clone();
    // Both have the same keys, which a test holds.
    let spec = serde_yaml::from_value(serde_yaml::to_value(&file.spec)?)?;
    Ok(Manifest { name: file.metadata.name, spec, addons, notes: Vec::new() })
}

fn faulty(mut faults: Vec<Fault>) -> ManifestError {
    faults.sort_by_key(|fault| fault.line);
    ManifestError::Faults { faults }
}

/// `kubernetes-version` as files have it: `kubernetesVersion`.
fn camel_case(flag: &str) -> String {
    let mut words = flag.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + tail
    })
}

/// The line on which a key stands, the first where there are several; the first of all where it
/// stands nowhere.
fn line_of(text: &str, key: &str) -> usize {
    let stands = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ").trim_start().trim_matches('"');
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with(':'))
    };
    text.lines().position(stands).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests;
