//! Images of addons, and others in their place.

use std::fmt;

/// An image of an addon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name that manifests and `--images` know it by.
    pub name: String,
    /// Where it comes from; absent for skiff-agent, of which each cluster has its own.
    pub reference: Option<Reference>,
    /// True if it lies in every node image, so that nothing is pulled.
    pub preloaded: bool,
}

/// Where images are that no registry has: those that come with a node image.
const LOCAL: &str = "skiff.local";

/// An image by registry, path, tag and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: Option<String>,
    rest: String,
}

impl Reference {
    /// Reads `registry.example:5000/team/image:tag@sha256:…`; everything but the path may be absent.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not the name of an image");
        let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let (registry, rest) = match text.split_once('/') {
            Some((first, rest)) if is_registry(first) => (Some(first), rest),
            _ => (None, text),
        };
        let path = rest.split(['@', ':']).next().unwrap_or_default();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let tail = |c: char| c.is_ascii_alphanumeric() || "._-:@".contains(c);
        let good = path.starts_with(ends) && path.ends_with(ends) && path.chars().all(fits) && !path.contains("//");
        if !good || !rest[path.len()..].chars().all(tail) || rest.ends_with([':', '@']) {
            return Err(wrong());
        }
        if let Some(registry) = registry {
            check_registry(registry).map_err(|_| wrong())?;
        }
        Ok(Self { registry: registry.map(str::to_owned), rest: rest.to_owned() })
    }

    /// True if it is one that comes with node images, and its tag is named.
    pub(crate) fn is_local(&self) -> bool {
        self.registry() == Some(LOCAL) && self.rest.contains(':')
    }

    /// True if it names both a tag and a digest.
    pub(crate) fn is_pinned(&self) -> bool {
        let Some((name, digest)) = self.rest.split_once("@sha256:") else { return false };
        name.contains(':') && digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit())
    }

    /// The same image at another registry.
    pub(crate) fn at(self, registry: &str) -> Self {
        Self { registry: Some(registry.trim_end_matches('/').to_owned()), ..self }
    }

    /// The registry, if one is named.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// All but the registry.
    #[must_use]
    pub fn rest(&self) -> &str {
        &self.rest
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.registry {
            Some(registry) => write!(f, "{registry}/{}", self.rest),
            None => f.write_str(&self.rest),
        }
    }
}

/// Host, perhaps port, perhaps a path below it.
pub(crate) fn check_registry(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-:/_".contains(c);
    let good = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits);
    if good && !text.contains("//") { Ok(()) } else { Err(format!("`{text}` is not the name of a registry")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart_and_put_together() {
        for (text, registry) in [
            ("registry.test/a/b:1", Some("registry.test")),
            ("localhost:5000/a", Some("localhost:5000")),
            ("team/a:1", None),
            ("a", None),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.registry(), registry);
            assert_eq!(reference.to_string(), text);
        }
        assert_eq!(Reference::parse("x.test/a:1").unwrap().at("y.test/mirror/").to_string(), "y.test/mirror/a:1");
        assert_eq!(Reference::parse("team/a:1").unwrap().at("y.test").to_string(), "y.test/team/a:1");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for text in ["", "A", "a b", "a:", "x.test/", "/a", "a//b", "a@", "a:1\nb"] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_tag_and_digest_pin_an_image() {
        let digest = format!("sha256:{}", "0".repeat(64));
        assert!(Reference::parse(&format!("x.test/a:1@{digest}")).unwrap().is_pinned());
        for text in [format!("x.test/a@{digest}"), "x.test/a:1".to_owned(), "x.test/a:1@sha256:12".to_owned()] {
            assert!(!Reference::parse(&text).unwrap().is_pinned(), "{text}");
        }
    }
}
