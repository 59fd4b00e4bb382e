//! What can go wrong in one exchange with the API server, and whether asking again may help.

use std::{error::Error as StdError, io};

use thiserror::Error;

/// A request that did not end as hoped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Trouble {
    /// No answer: nothing listens, the connection broke, or it took too long.
    #[error("no answer: {detail}")]
    Unreachable {
        /// What the network said.
        detail: String,
    },
    /// One side does not trust the other's certificate.
    #[error("certificates do not match: {detail}")]
    Untrusted {
        /// What TLS said.
        detail: String,
    },
    /// The server answered with an error.
    #[error("{message} (HTTP {code})")]
    Answer {
        /// HTTP status.
        code: u16,
        /// The server's machine-readable reason, e.g. `NotFound`; often empty.
        reason: String,
        /// What the server said.
        message: String,
    },
    /// Fields belong to somebody else, who wants other values in them.
    #[error("{}", owners.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Owned {
        /// Which, and whose.
        owners: Vec<FieldOwner>,
    },
    /// The server answered something that is not an answer to the question.
    #[error("the answer makes no sense: {detail}")]
    Garbled {
        /// What is wrong with it.
        detail: String,
    },
}

/// A field that somebody else looks after.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} belongs to {manager}")]
pub struct FieldOwner {
    /// The field's path.
    pub field: String,
    /// Whose it is, as the API server names it.
    pub manager: String,
}

/// Whether asking again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It passes by itself: the server is starting, busy, or somebody wrote at the same moment.
    Yes,
    /// Only while a cluster is being born: roles, service accounts or kinds are not there yet.
    Briefly,
    /// The same question gets the same answer.
    No,
}

impl Trouble {
    /// A request that ran out of time.
    pub(crate) fn slow() -> Self {
        Self::Unreachable { detail: "timed out".to_owned() }
    }

    /// The HTTP status, where there was one.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Answer { code, .. } => Some(*code),
            Self::Owned { .. } => Some(409),
            _ => None,
        }
    }

    /// True if the server cannot make sense of the object itself. Of a wrong type 1.20 tells as if it were
    /// its own failure.
    pub(crate) fn is_of_the_object(&self) -> bool {
        match self {
            Self::Answer { code: 400 | 422, .. } => true,
            Self::Answer { code: 500, message, .. } => message.contains("failed to create typed patch object"),
            _ => false,
        }
    }

    /// Whether asking again may help.
    pub(crate) fn again(&self) -> Again {
        match self {
            Self::Unreachable { .. } | Self::Garbled { .. } => Again::Yes,
            Self::Untrusted { .. } | Self::Owned { .. } => Again::No,
            // A webhook's pod may only be on its way; the API server reports it as its own failure. Without
            // even a service nothing is on its way.
            Self::Answer { code: 500, message, .. } if message.contains("failed calling webhook") => {
                if message.contains("not found") { Again::Briefly } else { Again::Yes }
            }
            Self::Answer { code: 409 | 410 | 429 | 502 | 503 | 504, .. } => Again::Yes,
            Self::Answer { .. } if self.is_of_the_object() => Again::No,
            Self::Answer { code: 401 | 403 | 500, .. } => Again::Briefly,
            Self::Answer { code: 404, message, .. } if message.contains("namespaces ") => Again::Briefly,
            Self::Answer { .. } => Again::No,
        }
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if !field_owners(&status).is_empty() => {
                Self::Owned { owners: field_owners(&status) }
            }
            kube::Error::Api(status) => {
                Self::Answer { code: status.code, reason: status.reason, message: status.message }
            }
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => Self::Garbled { detail: innermost(&error) },
            error if has_tls_refusal(&error) => Self::Untrusted { detail: innermost(&error) },
            error => Self::Unreachable { detail: innermost(&error) },
        }
    }
}

/// Whose fields a server-side apply would have changed.
fn field_owners(status: &kube::core::Status) -> Vec<FieldOwner> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicts = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    let owner = |cause: &kube::core::response::StatusCause| {
        let manager = cause.message.trim_start_matches("conflict with ").split(" using ").next().unwrap_or_default();
        FieldOwner { field: cause.field.clone(), manager: manager.trim_matches('"').to_owned() }
    };
    conflicts.map(owner).collect()
}

/// The last message of a chain of errors: the only one that tells something in HTTP clients.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut message = error.to_string();
    for cause in chain(error) {
        message = cause.to_string();
    }
    message
}

/// True if TLS failed over a certificate, ours or theirs.
fn has_tls_refusal(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|cause| {
        let tls = cause.downcast_ref::<rustls::Error>();
        matches!(tls, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)))
    })
}

/// An error and all its causes. An `io::Error` hides the error it wraps from `source()`.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| {
        let error: &'a (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, message: &str) -> Trouble {
        Trouble::Answer { code, reason: String::new(), message: message.to_owned() }
    }

    #[test]
    fn a_server_that_is_busy_or_absent_is_asked_again() {
        assert_eq!(Trouble::slow().again(), Again::Yes);
        for code in [409, 429, 502, 503, 504] {
            assert_eq!(answer(code, "busy").again(), Again::Yes, "{code}");
        }
    }

    #[test]
    fn what_is_missing_at_birth_is_asked_again_for_a_while() {
        for code in [401, 403, 500] {
            assert_eq!(answer(code, "not yet").again(), Again::Briefly, "{code}");
        }
        assert_eq!(answer(404, "namespaces \"x\" not found").again(), Again::Briefly);
    }

    #[test]
    fn a_webhook_without_a_pod_is_asked_again() {
        assert_eq!(answer(500, "Internal error occurred: failed calling webhook \"x\"").again(), Again::Yes);
        let absent = "failed calling webhook \"x\": Post \"https://a.b.svc:443/\": service \"a\" not found";
        assert_eq!(answer(500, absent).again(), Again::Briefly);
    }

    #[test]
    fn a_wrong_object_is_not_sent_twice() {
        for code in [400, 404, 405, 415, 422] {
            assert_eq!(answer(code, "wrong").again(), Again::No, "{code}");
        }
        assert_eq!(answer(500, "failed to create typed patch object: .spec.replicas").again(), Again::No);
        assert_eq!(Trouble::Untrusted { detail: String::new() }.again(), Again::No);
    }

    #[test]
    fn certificate_errors_are_found_inside_io_errors() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = kube::Error::Service(Box::new(io::Error::other(io::Error::other(tls))));
        assert!(matches!(Trouble::from(error), Trouble::Untrusted { .. }));
        let refused = kube::Error::Service(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert_eq!(Trouble::from(refused), Trouble::Unreachable { detail: "connection refused".to_owned() });
    }
}
