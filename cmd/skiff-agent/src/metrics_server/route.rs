//! What a request asks for. Pure.

use http::{HeaderMap, Method, Uri, header};

/// The API group.
pub(super) const GROUP: &str = "metrics.k8s.io";
/// Its version.
pub(super) const VERSION: &str = "v1beta1";

/// The kinds of measured objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nodes.
    Nodes,
    /// Pods.
    Pods,
}

impl Kind {
    /// The resource's name in paths.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    /// The kind of its measurements.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nodes => "NodeMetrics",
            Self::Pods => "PodMetrics",
        }
    }
}

/// Measurements that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// Of nodes or of pods.
    pub(super) kind: Kind,
    /// The namespace; absent for nodes and for pods of all namespaces.
    pub(super) namespace: Option<String>,
    /// One object; absent for a list.
    pub(super) name: Option<String>,
    /// Which of the list, in the words of the request.
    pub(super) labels: Option<String>,
    /// The same by fields.
    pub(super) fields: Option<String>,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The groups of this server.
    Groups,
    /// The versions of the group.
    Group,
    /// The resources of the version.
    Resources,
    /// Measurements.
    Select(Selection),
    /// Something that can only be read, and not be followed.
    NotAllowed,
    /// Nothing that exists.
    Unknown,
}

impl Route {
    /// Reads method, path and query.
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        let route = Self::of_path(uri.path());
        match route {
            Self::Unknown => Self::Unknown,
            _ if method != Method::GET => Self::NotAllowed,
            Self::Select(mut selection) => {
                let query = uri.query().unwrap_or_default();
                for (name, value) in form_urlencoded::parse(query.as_bytes()) {
                    let value = Some(value.into_owned()).filter(|value| !value.is_empty());
                    match &*name {
                        "labelSelector" => selection.labels = value,
                        "fieldSelector" => selection.fields = value,
                        "watch" if value.as_deref().is_none_or(|value| matches!(value, "true" | "1")) => {
                            return Self::NotAllowed;
                        }
                        _ => {}
                    }
                }
                Self::Select(selection)
            }
            other => other,
        }
    }

    fn of_path(path: &str) -> Self {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let select = |kind, namespace: Option<&str>, name: Option<&str>| {
            let well_formed = [namespace, name].into_iter().flatten().all(is_name);
            let [namespace, name] = [namespace, name].map(|word| word.map(str::to_owned));
            if !well_formed {
                return Self::Unknown;
            }
            Self::Select(Selection { kind, namespace, name, labels: None, fields: None })
        };
        match words.as_slice() {
            ["apis"] => Self::Groups,
            ["apis", GROUP] => Self::Group,
            ["apis", GROUP, VERSION] => Self::Resources,
            ["apis", GROUP, VERSION, "nodes"] => select(Kind::Nodes, None, None),
            ["apis", GROUP, VERSION, "nodes", name] => select(Kind::Nodes, None, Some(name)),
            ["apis", GROUP, VERSION, "pods"] => select(Kind::Pods, None, None),
            ["apis", GROUP, VERSION, "namespaces", namespace, "pods"] => select(Kind::Pods, Some(namespace), None),
            ["apis", GROUP, VERSION, "namespaces", namespace, "pods", name] => {
                select(Kind::Pods, Some(namespace), Some(name))
            }
            _ => Self::Unknown,
        }
    }
}

/// Whether a word of a path may name an object. What may not needs no escaping on its way onwards either.
fn is_name(word: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    !word.is_empty() && word.len() <= 253 && !word.starts_with('.') && word.chars().all(allowed)
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The objects themselves.
    Objects,
    /// A table for people, in this version of `meta.k8s.io`.
    Table(&'static str),
}

impl Form {
    /// The first form of an `Accept` header that can be given; nothing if there is none.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if values.peek().is_none() {
            return Some(Self::Objects);
        }
        values.flat_map(|value| value.split(',')).find_map(Self::of_media_type)
    }

    fn of_media_type(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        if !matches!(parts.next()?, "application/json" | "application/*" | "*/*") {
            return None;
        }
        let parameter = |name: &str| {
            let mut all = parts.clone().filter_map(|part| part.split_once('='));
            all.find_map(|(key, value)| (key.trim() == name).then_some(value.trim()))
        };
        match (parameter("as"), parameter("v")) {
            (None, _) => Some(Self::Objects),
            (Some("Table"), Some("v1")) => Some(Self::Table("v1")),
            (Some("Table"), Some("v1beta1")) => Some(Self::Table("v1beta1")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(uri: &str) -> Route {
        Route::of(&Method::GET, &uri.parse().unwrap())
    }

    fn pods(namespace: Option<&str>, name: Option<&str>) -> Selection {
        let [namespace, name] = [namespace, name].map(|word| word.map(str::to_owned));
        Selection { kind: Kind::Pods, namespace, name, labels: None, fields: None }
    }

    #[test]
    fn every_documented_path_is_known() {
        assert_eq!(get("/apis"), Route::Groups);
        assert_eq!(get("/apis/metrics.k8s.io"), Route::Group);
        assert_eq!(get("/apis/metrics.k8s.io/v1beta1"), Route::Resources);
        let base = "/apis/metrics.k8s.io/v1beta1";
        assert_eq!(get(&format!("{base}/pods")), Route::Select(pods(None, None)));
        assert_eq!(get(&format!("{base}/namespaces/n/pods?limit=500")), Route::Select(pods(Some("n"), None)));
        assert_eq!(get(&format!("{base}/namespaces/n/pods/p.1")), Route::Select(pods(Some("n"), Some("p.1"))));
        let node = Selection { kind: Kind::Nodes, ..pods(None, Some("a")) };
        assert_eq!(get(&format!("{base}/nodes/a")), Route::Select(node));
    }

    #[test]
    fn anything_else_does_not_exist() {
        for path in ["/", "/api", "/apis/apps/v1", "/apis/metrics.k8s.io/v1", "/apis/metrics.k8s.io/v1beta1/jobs"] {
            assert_eq!(get(path), Route::Unknown, "{path}");
        }
        for name in ["..", "a%2Fb", "A", ".a", "a%20b"] {
            assert_eq!(get(&format!("/apis/metrics.k8s.io/v1beta1/nodes/{name}")), Route::Unknown, "{name}");
        }
    }

    #[test]
    fn selectors_are_taken_as_they_were_meant() {
        let uri = "/apis/metrics.k8s.io/v1beta1/pods?labelSelector=app%3Dweb%2Ctier%20in%20%28a%29&fieldSelector=\
                   metadata.name%3Dp";
        let selected = Selection {
            labels: Some("app=web,tier in (a)".to_owned()),
            fields: Some("metadata.name=p".to_owned()),
            ..pods(None, None)
        };
        assert_eq!(get(uri), Route::Select(selected));
        assert_eq!(get("/apis/metrics.k8s.io/v1beta1/pods?labelSelector="), Route::Select(pods(None, None)));
    }

    #[test]
    fn measurements_can_neither_be_followed_nor_changed() {
        let base = "/apis/metrics.k8s.io/v1beta1/pods";
        assert_eq!(get(&format!("{base}?watch=true")), Route::NotAllowed);
        assert_eq!(get(&format!("{base}?watch=false")), Route::Select(pods(None, None)));
        assert_eq!(Route::of(&Method::DELETE, &base.parse().unwrap()), Route::NotAllowed);
        assert_eq!(Route::of(&Method::POST, &"/nowhere".parse().unwrap()), Route::Unknown);
    }

    #[test]
    fn the_first_form_that_is_known_is_given() {
        let form = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Form::accepted(&headers)
        };
        assert_eq!(Form::accepted(&HeaderMap::new()), Some(Form::Objects));
        assert_eq!(form("application/json"), Some(Form::Objects));
        assert_eq!(form("application/vnd.kubernetes.protobuf, */*"), Some(Form::Objects));
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io\
                       ,application/json";
        assert_eq!(form(kubectl), Some(Form::Table("v1")));
        assert_eq!(form("application/json;as=Table;v=v1beta1;g=meta.k8s.io"), Some(Form::Table("v1beta1")));
        let discovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        assert_eq!(form(discovery), Some(Form::Objects));
        assert_eq!(form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"), None);
        assert_eq!(form("application/vnd.kubernetes.protobuf"), None);
    }
}
