//! The key a node must show.

use base64::{Engine, engine::general_purpose::STANDARD};

/// A public host key, read from its OpenSSH line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostKey {
    /// The key's kind, e.g. `ssh-ed25519`.
    kind: String,
    /// The key as it goes over the wire.
    blob: Vec<u8>,
}

impl HostKey {
    /// Reads `ssh-ed25519 AAAA… comment`.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
            return Err(format!("`{}` is not a public key", line.trim()));
        };
        let blob = STANDARD.decode(blob).map_err(|error| format!("the known {kind} host key is damaged: {error}"))?;
        Ok(Self { kind: kind.to_owned(), blob })
    }

    /// True for the key the server showed.
    pub(crate) fn matches(&self, shown: &[u8]) -> bool {
        self.blob == shown
    }

    /// Signature algorithms for the key exchange: those of this key first, then the rest, so that a
    /// server that has other keys only is recognised as the wrong one instead of failing to agree.
    pub(crate) fn algorithms(&self) -> String {
        const ALL: [&str; 6] = [
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "rsa-sha2-512",
            "rsa-sha2-256",
        ];
        let ours = |name: &str| name == self.kind || (self.kind == "ssh-rsa" && name.starts_with("rsa-"));
        let (first, rest): (Vec<&str>, Vec<&str>) = ALL.into_iter().partition(|name| ours(name));
        first.into_iter().chain(rest).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_line_is_read_with_or_without_a_comment() {
        let key = HostKey::parse("ssh-ed25519 AQID root@node\n").unwrap();
        assert_eq!(key, HostKey::parse("ssh-ed25519 AQID").unwrap());
        assert!(key.matches(&[1, 2, 3]) && !key.matches(&[1, 2]));
        for bad in ["", "ssh-ed25519", "ssh-ed25519 ***"] {
            assert!(HostKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_keys_own_algorithms_come_first() {
        assert!(HostKey::parse("ssh-rsa AQID").unwrap().algorithms().starts_with("rsa-sha2-512,rsa-sha2-256,ssh-ed"));
        assert!(HostKey::parse("ssh-ed25519 AQID").unwrap().algorithms().starts_with("ssh-ed25519,ecdsa"));
    }
}
