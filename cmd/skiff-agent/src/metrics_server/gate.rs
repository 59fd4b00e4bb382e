//! Lets callers in or not. Who comes through the API server has been let in there; everybody else is
//! looked up at the API server, as it is done for each request that it gets itself.

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use tokio::sync::Semaphore;

use super::{
    route::{GROUP, Route, VERSION},
    trust::{Caller, User},
};

/// More reviews than this at a time wait: nobody gets to keep the API server busy through us.
const MAX_REVIEWS: usize = 8;
/// Everybody who could be told from others.
const AUTHENTICATED: &str = "system:authenticated";

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is answered.
    Allowed,
    /// Nobody knows who asks.
    Unknown,
    /// This user may not.
    Forbidden(String),
}

/// The gate.
pub(super) struct Gate {
    api: Client,
    room: Semaphore,
}

impl Gate {
    pub(super) fn new(api: Client) -> Self {
        Self { api, room: Semaphore::new(MAX_REVIEWS) }
    }

    /// Decides about a request for `path`, which means `route`.
    pub(super) async fn judge(&self, caller: Caller, route: &Route, path: &str) -> Result<Verdict, kube::Error> {
        let user = match caller {
            Caller::ApiServer(_) => return Ok(Verdict::Allowed),
            Caller::Nobody => return Ok(Verdict::Unknown),
            Caller::Certificate(mut user) => {
                user.groups.push(AUTHENTICATED.to_owned());
                user
            }
            Caller::Token(token) => match self.user_of(token).await? {
                Some(user) => user,
                None => return Ok(Verdict::Unknown),
            },
        };
        let name = user.name.clone();
        let review = SubjectAccessReview { spec: question(user, route, path), ..SubjectAccessReview::default() };
        // The semaphore is never closed.
        let _room = self.room.acquire().await;
        let answer = Api::all(self.api.clone()).create(&PostParams::default(), &review).await?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        Ok(if allowed { Verdict::Allowed } else { Verdict::Forbidden(name) })
    }

    async fn user_of(&self, token: String) -> Result<Option<User>, kube::Error> {
        let spec = TokenReviewSpec { token: Some(token), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let _room = self.room.acquire().await;
        let answer = Api::all(self.api.clone()).create(&PostParams::default(), &review).await?;
        let status = answer.status.filter(|status| status.authenticated == Some(true));
        Ok(status.and_then(|status| status.user).map(|user| User {
            name: user.username.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        }))
    }
}

/// What the API server is asked about a user.
fn question(user: User, route: &Route, path: &str) -> SubjectAccessReviewSpec {
    let mut spec = SubjectAccessReviewSpec {
        user: Some(user.name),
        groups: Some(user.groups),
        extra: Some(user.extra),
        ..SubjectAccessReviewSpec::default()
    };
    match route {
        Route::Select(selection) => {
            spec.resource_attributes = Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                version: Some(VERSION.to_owned()),
                resource: Some(selection.kind.plural().to_owned()),
                namespace: selection.namespace.clone(),
                name: selection.name.clone(),
                verb: Some(if selection.name.is_some() { "get" } else { "list" }.to_owned()),
                ..ResourceAttributes::default()
            });
        }
        _ => {
            spec.non_resource_attributes =
                Some(NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) });
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn ask(path: &str) -> SubjectAccessReviewSpec {
        let route = Route::of(&Method::GET, &path.parse().unwrap());
        question(User { name: "u".to_owned(), ..User::default() }, &route, path)
    }

    #[test]
    fn measurements_are_asked_about_as_resources() {
        let asked = ask("/apis/metrics.k8s.io/v1beta1/namespaces/n/pods").resource_attributes.unwrap();
        assert_eq!((asked.verb.as_deref(), asked.namespace.as_deref()), (Some("list"), Some("n")));
        let asked = ask("/apis/metrics.k8s.io/v1beta1/nodes/a").resource_attributes.unwrap();
        assert_eq!((asked.verb.as_deref(), asked.name.as_deref()), (Some("get"), Some("a")));
        assert_eq!(asked.group.as_deref(), Some("metrics.k8s.io"));
    }

    #[test]
    fn everything_else_is_asked_about_by_its_path() {
        let asked = ask("/apis/metrics.k8s.io/v1beta1");
        assert_eq!(asked.resource_attributes, None);
        let path = asked.non_resource_attributes.unwrap().path;
        assert_eq!(path.as_deref(), Some("/apis/metrics.k8s.io/v1beta1"));
    }
}
