//! The objects of the Gateway API, cut down to what is used.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::LabelSelector};
use kube::{Resource, api::ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::objects::{Namespace, view_of},
    ingress::objects::Id,
};

/// The group of all kinds of the Gateway API.
pub(super) const GROUP: &str = "gateway.networking.k8s.io";

/// All that is known of the Gateway API's objects.
#[derive(Debug, Default)]
pub(crate) struct GatewayObjects {
    /// The classes.
    pub(crate) classes: BTreeMap<Id, GatewayClass>,
    /// The gateways.
    pub(crate) gateways: BTreeMap<Id, Gateway>,
    /// The routes.
    pub(crate) routes: BTreeMap<Id, HttpRoute>,
    /// What may be referred to from other namespaces.
    pub(crate) grants: BTreeMap<Id, ReferenceGrant>,
    /// The namespaces, for those who select routes by their labels.
    pub(crate) namespaces: BTreeMap<Id, Namespace>,
}

macro_rules! object {
    ($(#[$doc:meta])* $name:ident, $spec:ty, $scope:ty, $version:literal $kind:literal $plural:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        pub(crate) struct $name {
            /// The metadata.
            pub(crate) metadata: ObjectMeta,
            /// What was asked for.
            #[serde(default)]
            pub(crate) spec: $spec,
            /// What is told about it.
            #[serde(default)]
            pub(crate) status: Value,
        }

        view_of!($name, $scope, "gateway.networking.k8s.io" / $version $kind $plural);
    };
}

object!(
    /// A class of gateways.
    GatewayClass, ClassSpec, ClusterResourceScope, "v1" "GatewayClass" "gatewayclasses"
);
object!(
    /// A gateway.
    Gateway, GatewaySpec, NamespaceResourceScope, "v1" "Gateway" "gateways"
);
object!(
    /// Routes for HTTP.
    HttpRoute, RouteSpec, NamespaceResourceScope, "v1" "HTTPRoute" "httproutes"
);

/// A permission to refer to objects of its namespace.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ReferenceGrant {
    /// The metadata.
    pub(crate) metadata: ObjectMeta,
    /// What was asked for.
    #[serde(default)]
    pub(crate) spec: GrantSpec,
}

view_of!(ReferenceGrant, NamespaceResourceScope, "gateway.networking.k8s.io" / "v1beta1" "ReferenceGrant" "referencegrants");

/// The fields are those of the Gateway API's specification, and mean what it says.
macro_rules! spec {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }
    };
}

spec!(/** What a class asks for. */ ClassSpec { controller_name: String });
spec!(/** What a gateway asks for. */ GatewaySpec { gateway_class_name: String, listeners: Vec<Listener> });
spec!(
    /** A port of a gateway. */
    Listener {
        name: String,
        hostname: Option<String>,
        port: u16,
        protocol: String,
        tls: Option<ListenerTls>,
        allowed_routes: Option<AllowedRoutes>,
    }
);
spec!(/** TLS of a listener. */ ListenerTls { mode: Option<String>, certificate_refs: Vec<ObjectRef> });
spec!(
    /** Which routes a listener takes. */
    AllowedRoutes { namespaces: Option<RouteNamespaces>, kinds: Vec<RouteKind> }
);
spec!(
    /** From where a listener takes routes. */
    RouteNamespaces { from: Option<String>, selector: Option<LabelSelector> }
);
spec!(/** A kind of routes. */ RouteKind { group: Option<String>, kind: String });

impl RouteKind {
    /// Its group, whether it is named or not.
    pub(crate) fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(GROUP)
    }
}

spec!(
    /** Some object. */
    ObjectRef { group: Option<String>, kind: Option<String>, namespace: Option<String>, name: String }
);
spec!(
    /** What routes ask for. */
    RouteSpec { parent_refs: Vec<ParentRef>, hostnames: Vec<String>, rules: Vec<RouteRule> }
);
spec!(
    /** Requests and what happens to them. */
    RouteRule {
        matches: Vec<RouteMatch>,
        filters: Vec<Filter>,
        backend_refs: Vec<BackendRef>,
        timeouts: Option<RouteTimeouts>,
    }
);
spec!(/** How long a rule waits. */ RouteTimeouts { request: Option<String>, backend_request: Option<String> });
spec!(
    /** What a request must have. */
    RouteMatch {
        path: Option<ValueMatch>,
        headers: Vec<NamedMatch>,
        query_params: Vec<NamedMatch>,
        method: Option<String>,
    }
);
spec!(/** A value. */ ValueMatch { r#type: Option<String>, value: Option<String> });
spec!(/** A value with a name. */ NamedMatch { r#type: Option<String>, name: String, value: String });
spec!(
    /** A backend and its share. */
    BackendRef {
        group: Option<String>,
        kind: Option<String>,
        namespace: Option<String>,
        name: String,
        port: Option<u16>,
        weight: Option<u32>,
        filters: Vec<Filter>,
    }
);
spec!(
    /** Something that is done to a request or to its answer. */
    Filter {
        r#type: String,
        request_header_modifier: Option<HeaderModifier>,
        response_header_modifier: Option<HeaderModifier>,
        request_redirect: Option<RedirectFilter>,
        url_rewrite: Option<RewriteFilter>,
        request_mirror: Option<MirrorFilter>,
    }
);
spec!(
    /** A backend that gets copies. */
    MirrorFilter { backend_ref: BackendRef, percent: Option<u32>, fraction: Option<Fraction> }
);
spec!(/** A part of a whole, which is 100 unless it is named. */ Fraction { numerator: u32, denominator: Option<u32> });
spec!(/** Changes of headers. */ HeaderModifier { set: Vec<Header>, add: Vec<Header>, remove: Vec<String> });
spec!(/** A header. */ Header { name: String, value: String });
spec!(
    /** An answer that sends the client elsewhere. */
    RedirectFilter {
        scheme: Option<String>,
        hostname: Option<String>,
        path: Option<PathFilter>,
        port: Option<u16>,
        status_code: Option<u16>,
    }
);
spec!(/** Another address for the backend. */ RewriteFilter { hostname: Option<String>, path: Option<PathFilter> });
spec!(
    /** Another path. */
    PathFilter { r#type: String, replace_full_path: Option<String>, replace_prefix_match: Option<String> }
);
spec!(/** Who may refer to what. */ GrantSpec { from: Vec<GrantFrom>, to: Vec<GrantTo> });
spec!(/** Who may refer. */ GrantFrom { group: Option<String>, kind: String, namespace: String });
spec!(/** What may be referred to. */ GrantTo { group: Option<String>, kind: String, name: Option<String> });

/// What routes belong to.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ParentRef {
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// The kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// The namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// The name.
    pub(crate) name: String,
    /// The listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) section_name: Option<String>,
    /// The listener's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
}
