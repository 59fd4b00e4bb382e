//! Secrets, taken out of text that others will read.

use std::borrow::Cow;

use regex_lite::Regex;

/// What stands in their place.
const GONE: &str = "(redacted)";

/// What secrets look like, and what is left of each. In this order.
const SHAPES: [(&str, &str); 7] = [
    (r"(?s)-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)", GONE),
    // JSON Web Tokens: service accounts have them.
    (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}", GONE),
    (r"(?i)\b(authorization:\s*(?:[a-z]+\s+)?|bearer\s+)[^\s,;]{8,}", "${1}(redacted)"),
    // Bootstrap tokens of kubeadm.
    (r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", GONE),
    (
        r#"(?i)\b(client-key-data|[a-z_-]*(?:password|passwd|secret|token|api_?key))("?\s*[:=]\s*"?)[^\s",}]+"#,
        "${1}${2}(redacted)",
    ),
    (r"\b([a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@", "${1}(redacted)@"),
    // Keys in base64, as kubeconfigs have them.
    (r"\bLS0tLS1CRUdJTi[A-Za-z0-9+/]{0,40}(?:UFJJVkFURSBLRVk|BSSVZBVEUgS0VZ|QUklWQVRFIEtFW)[A-Za-z0-9+/=]*", GONE),
];

/// Knows what secrets look like.
pub(super) struct Redactor {
    shapes: Vec<(Regex, &'static str)>,
    words: Vec<String>,
}

impl Redactor {
    /// One that also knows these words.
    pub(super) fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        // The shapes are constants, held by the test below.
        let shapes = SHAPES.iter().filter_map(|(shape, left)| Some((Regex::new(shape).ok()?, *left))).collect();
        let words = words.into_iter().filter(|word| word.len() >= 8).map(str::to_owned).collect();
        Self { shapes, words }
    }

    /// The text without its secrets.
    pub(super) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for word in &self.words {
            if text.contains(word.as_str()) {
                text = Cow::Owned(text.replace(word.as_str(), GONE));
            }
        }
        for (shape, left) in &self.shapes {
            if let Cow::Owned(changed) = shape.replace_all(&text, *left) {
                text = Cow::Owned(changed);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(text: &str) -> String {
        Redactor::new(["the-cluster-token"]).redact(text).into_owned()
    }

    #[test]
    fn every_shape_is_sound() {
        assert_eq!(Redactor::new([]).shapes.len(), SHAPES.len());
    }

    #[test]
    fn secrets_of_every_shape_are_gone() {
        for (text, left) in [
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----\nrest", "(redacted)\nrest"),
            ("-----BEGIN PRIVATE KEY-----\nMIIabc, cut off", "(redacted)"),
            ("join with abcdef.0123456789abcdef now", "join with (redacted) now"),
            ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer (redacted)"),
            ("authorization: Basic bWU6c2VjcmV0", "authorization: Basic (redacted)"),
            ("the-cluster-token", "(redacted)"),
            ("\"DB_PASSWORD=hunter2\", \"A=b\"", "\"DB_PASSWORD=(redacted)\", \"A=b\""),
            ("password: hunter2", "password: (redacted)"),
            ("http://me:hunter2@proxy:3128/", "http://(redacted)@proxy:3128/"),
            ("    client-key-data: LS0tLS1CRUdJTiBSU0E=", "    client-key-data: (redacted)"),
        ] {
            assert_eq!(redact(text), left);
        }
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJl.c2lnbmF0dXJlZGF0YQ";
        assert_eq!(redact(&format!("saw {jwt} there")), "saw (redacted) there");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "I1122 10:00:00.123456 1 controller.go:123] started",
            "-----BEGIN CERTIFICATE-----\nMIIabc\n-----END CERTIFICATE-----",
            "image registry.k8s.io/etcd:3.4.13-0 pulled from http://127.0.0.1:5000/v2/",
            "skiff-node:v1.20.2-46cc5541f286",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
