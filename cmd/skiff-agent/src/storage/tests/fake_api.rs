//! An API server of a few kinds of objects, in memory. It can lose requests before or after they took
//! effect, which is what a crash of either side looks like from here.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// When a request gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It never arrived.
    Before,
    /// It took effect, but the answer never arrived.
    After,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<String, Value>,
    events: Vec<Value>,
    losses: Vec<(Method, &'static str, Lost)>,
}

/// The server; clones share their objects.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeApi(Arc<Mutex<Inner>>);

impl FakeApi {
    /// A client of this server.
    pub(super) fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (code, answer) = api.handle(&head.method, head.uri.path(), body);
                let answer = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Client::new(service, "default")
    }

    /// Puts an object at its path.
    pub(super) fn put(&self, path: &str, object: &impl serde::Serialize) {
        self.0.lock().unwrap().objects.insert(path.to_owned(), serde_json::to_value(object).unwrap());
    }

    /// The object at a path.
    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// The reasons of all events so far, and whether each was a warning.
    pub(super) fn events(&self) -> Vec<(String, String)> {
        let inner = self.0.lock().unwrap();
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        inner.events.iter().map(|event| (text(event, "reason"), text(event, "note"))).collect()
    }

    /// Loses the next request with this method whose path contains `part`.
    pub(super) fn lose(&self, method: Method, part: &'static str, lost: Lost) {
        self.0.lock().unwrap().losses.push((method, part, lost));
    }

    fn handle(&self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        let mut inner = self.0.lock().unwrap();
        let at = inner.losses.iter().position(|(m, part, _)| m == method && path.contains(part));
        let lost = at.map(|at| inner.losses.remove(at).2);
        if lost == Some(Lost::Before) {
            return status(StatusCode::INTERNAL_SERVER_ERROR, "lost before");
        }
        let answer = inner.act(method, path, body);
        match lost {
            Some(_) => status(StatusCode::INTERNAL_SERVER_ERROR, "lost after"),
            None => answer,
        }
    }
}

impl Inner {
    fn act(&mut self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        if path.contains("/events") {
            self.events.push(body.clone());
            return (StatusCode::CREATED, body);
        }
        match method.as_str() {
            "GET" if path.ends_with("/nodes") => {
                let prefix = format!("{path}/");
                let items: Vec<&Value> =
                    self.objects.iter().filter(|(at, _)| at.starts_with(&prefix)).map(|(_, object)| object).collect();
                (StatusCode::OK, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
            }
            "GET" => match self.objects.get(path) {
                Some(object) => (StatusCode::OK, object.clone()),
                None => status(StatusCode::NOT_FOUND, "NotFound"),
            },
            "POST" => {
                let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap());
                if self.objects.contains_key(&path) {
                    return status(StatusCode::CONFLICT, "AlreadyExists");
                }
                self.objects.insert(path, body.clone());
                (StatusCode::CREATED, body)
            }
            "DELETE" => match self.objects.get(path) {
                None => status(StatusCode::NOT_FOUND, "NotFound"),
                Some(object) => {
                    let wanted = body["preconditions"]["uid"].as_str();
                    if wanted.is_some() && wanted != object["metadata"]["uid"].as_str() {
                        return status(StatusCode::CONFLICT, "Conflict");
                    }
                    let object = self.objects.remove(path).unwrap();
                    (StatusCode::OK, object)
                }
            },
            other => panic!("unexpected {other} {path}"),
        }
    }
}

fn status(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    let object = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": reason, "code": code.as_u16(),
    });
    (code, object)
}
