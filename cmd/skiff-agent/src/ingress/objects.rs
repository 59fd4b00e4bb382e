//! The API objects that routes are made from, cut down to what is used, and the place that holds them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
};

use k8s_openapi::{ByteString, ClusterResourceScope, NamespaceResourceScope};
use kube::{Resource, api::ObjectMeta};
use serde::Deserialize;

use super::gateway::objects::GatewayObjects;
use crate::api::objects::{EndpointSlice, Service, view_of};

/// Namespace and name of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    /// The namespace; empty for objects that have none.
    pub(crate) namespace: String,
    /// The name.
    pub(crate) name: String,
}

impl Id {
    /// The id of `name` in `namespace`.
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The id of an object.
    pub(crate) fn of(object: &impl Resource) -> Self {
        let metadata = object.meta();
        Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// An Ingress.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Ingress {
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
    /// What was asked for.
    #[serde(default)]
    pub(crate) spec: IngressSpec,
    /// What is.
    #[serde(default)]
    pub(crate) status: IngressStatus,
}

/// What an Ingress asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressSpec {
    /// Who shall serve it.
    pub(crate) ingress_class_name: Option<String>,
    /// Where requests go that no rule matches.
    pub(crate) default_backend: Option<IngressBackend>,
    /// The rules.
    pub(crate) rules: Option<Vec<IngressRule>>,
    /// The certificates.
    pub(crate) tls: Option<Vec<IngressTls>>,
}

/// A host and its paths.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressRule {
    /// The host; none means any.
    pub(crate) host: Option<String>,
    /// The paths; none means that all go to the default backend.
    pub(crate) http: Option<IngressPaths>,
}

/// The paths of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressPaths {
    /// The paths.
    pub(crate) paths: Vec<IngressPath>,
}

/// A path of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressPath {
    /// The path.
    pub(crate) path: Option<String>,
    /// How it is compared.
    pub(crate) path_type: Option<String>,
    /// Where it leads.
    pub(crate) backend: IngressBackend,
}

/// Where requests go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressBackend {
    /// The service; none where some other resource is meant.
    pub(crate) service: Option<ServiceRef>,
}

/// A port of a service in the same namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceRef {
    /// The service's name.
    pub(crate) name: String,
    /// Its port.
    pub(crate) port: Option<PortRef>,
}

/// A port by its name or by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct PortRef {
    /// The name.
    pub(crate) name: Option<String>,
    /// The number.
    pub(crate) number: Option<u16>,
}

/// Hosts and the certificate they are served with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressTls {
    /// The hosts; none means those of the rules.
    pub(crate) hosts: Option<Vec<String>>,
    /// The secret; none means the default certificate.
    pub(crate) secret_name: Option<String>,
}

/// What is told about an Ingress.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressStatus {
    /// Where it is reached.
    pub(crate) load_balancer: LoadBalancerStatus,
}

/// The addresses of a load balancer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LoadBalancerStatus {
    /// The addresses.
    pub(crate) ingress: Option<Vec<LoadBalancerAddress>>,
}

/// One address of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct LoadBalancerAddress {
    /// The address.
    pub(crate) ip: Option<String>,
    /// A name instead of an address.
    pub(crate) hostname: Option<String>,
}

/// An IngressClass.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct IngressClass {
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
    /// What was asked for.
    #[serde(default)]
    pub(crate) spec: IngressClassSpec,
}

/// What an IngressClass asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IngressClassSpec {
    /// The controller's name.
    pub(crate) controller: Option<String>,
}

/// A Secret, of which only the keys that ingresses can name are kept.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Secret {
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
    /// The content.
    #[serde(default)]
    pub(crate) data: Option<BTreeMap<String, ByteString>>,
}

impl Secret {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.data.as_ref()?.get(key).map(|value| value.0.as_slice())
    }
}

view_of!(Ingress, NamespaceResourceScope, "networking.k8s.io" / "v1" "Ingress" "ingresses");
view_of!(IngressClass, ClusterResourceScope, "networking.k8s.io" / "v1" "IngressClass" "ingressclasses");
view_of!(Secret, NamespaceResourceScope, "" / "v1" "Secret" "secrets");

/// All that is known of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    /// The classes.
    pub(crate) classes: HashMap<Id, IngressClass>,
    /// The ingresses, whoever serves them. In order, so that the same objects always give the same routes.
    pub(crate) ingresses: BTreeMap<Id, Ingress>,
    /// The services.
    pub(crate) services: HashMap<Id, Service>,
    /// The endpoint slices.
    pub(crate) slices: HashMap<Id, EndpointSlice>,
    /// The secrets that may be certificates or passwords.
    pub(crate) secrets: HashMap<Id, Secret>,
    /// What belongs to the Gateway API.
    pub(crate) gateway: GatewayObjects,
    /// The addresses of the names that services of type ExternalName stand for, as far as they are known.
    pub(crate) names: HashMap<String, Vec<IpAddr>>,
}
