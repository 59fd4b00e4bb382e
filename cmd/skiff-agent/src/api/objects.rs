//! The API objects that are watched, cut down to the fields that are used: what is not named here is
//! skipped while parsing and never takes memory.

use std::borrow::Cow;

use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, apimachinery::pkg::util::intstr::IntOrString};
use kube::{Resource, api::ObjectMeta};
use serde::Deserialize;

/// A Service.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Service {
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
    /// What was asked for.
    #[serde(default)]
    pub(crate) spec: ServiceSpec,
}

/// What a Service asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceSpec {
    /// The type, such as `ClusterIP`.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// The first virtual address, or `None`.
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: Option<String>,
    /// All virtual addresses; absent on servers without dual-stack.
    #[serde(rename = "clusterIPs")]
    pub(crate) cluster_ips: Option<Vec<String>>,
    /// The name that an ExternalName service stands for.
    pub(crate) external_name: Option<String>,
    /// Whether endpoints that are not ready count too.
    pub(crate) publish_not_ready_addresses: bool,
    /// The ports.
    pub(crate) ports: Option<Vec<ServicePort>>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServicePort {
    /// The name.
    pub(crate) name: Option<String>,
    /// The protocol, TCP if absent.
    pub(crate) protocol: Option<String>,
    /// The number.
    pub(crate) port: u16,
    /// The port of the pods, or of what an ExternalName service stands for.
    pub(crate) target_port: Option<IntOrString>,
    /// What is spoken there, such as `kubernetes.io/h2c`.
    pub(crate) app_protocol: Option<String>,
}

/// An EndpointSlice; `v1beta1` and `v1` agree in all that is used here.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct EndpointSlice {
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
    /// The endpoints.
    #[serde(default)]
    pub(crate) endpoints: Option<Vec<Endpoint>>,
    /// Their ports.
    #[serde(default)]
    pub(crate) ports: Option<Vec<EndpointPort>>,
}

/// An endpoint in a slice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Endpoint {
    /// The addresses.
    pub(crate) addresses: Vec<String>,
    /// What is known about it.
    pub(crate) conditions: Conditions,
    /// The host name.
    pub(crate) hostname: Option<String>,
}

/// What is known about an endpoint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Conditions {
    /// Whether it takes traffic; absent means that nobody knows, which is to be taken as yes.
    pub(crate) ready: Option<bool>,
    /// Whether it answers, be it on its way out or not; absent on old servers.
    pub(crate) serving: Option<bool>,
}

/// A port of a slice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EndpointPort {
    /// The name.
    pub(crate) name: Option<String>,
    /// The protocol, TCP if absent.
    pub(crate) protocol: Option<String>,
    /// The number.
    pub(crate) port: Option<u16>,
}

/// A Namespace, of which only the name matters.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Namespace {
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
}

/// The version of `discovery.k8s.io` that a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SliceVersion {
    /// From Kubernetes 1.21 on.
    V1,
    /// Before.
    V1Beta1,
}

/// Says which API object a type is a cut-down view of.
macro_rules! view_of {
    ($type:ty, $scope:ty, $group:literal / $version:literal $kind:literal $plural:literal) => {
        impl Resource for $type {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                $version.into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

pub(crate) use view_of;

view_of!(Service, NamespaceResourceScope, "" / "v1" "Service" "services");
view_of!(Namespace, ClusterResourceScope, "" / "v1" "Namespace" "namespaces");

impl Resource for EndpointSlice {
    type DynamicType = SliceVersion;
    type Scope = NamespaceResourceScope;

    fn kind(_: &SliceVersion) -> Cow<'_, str> {
        "EndpointSlice".into()
    }

    fn group(_: &SliceVersion) -> Cow<'_, str> {
        "discovery.k8s.io".into()
    }

    fn version(version: &SliceVersion) -> Cow<'_, str> {
        match version {
            SliceVersion::V1 => "v1".into(),
            SliceVersion::V1Beta1 => "v1beta1".into(),
        }
    }

    fn plural(_: &SliceVersion) -> Cow<'_, str> {
        "endpointslices".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
