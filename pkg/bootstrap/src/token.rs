//! The token a node joins with.

use std::fmt;

use crate::{BootstrapError, random_bytes};

/// A bootstrap token: six characters that name it, a dot, sixteen that are secret.
#[derive(Clone, PartialEq, Eq)]
pub struct BootstrapToken(String);

impl BootstrapToken {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

    /// A new token.
    ///
    /// # Errors
    /// [`BootstrapError::Entropy`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, BootstrapError> {
        Ok(Self::from_bytes(random_bytes()?))
    }

    /// The token that these bytes give. 32 characters divide 256: each is equally likely.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 22]) -> Self {
        let letter = |byte: &u8| char::from(Self::ALPHABET[usize::from(byte % 32)]);
        let (id, secret) = bytes.split_at(6);
        Self(id.iter().map(letter).chain(['.']).chain(secret.iter().map(letter)).collect())
    }

    /// Reads a stored token.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let word = |word: &str, length: usize| {
            word.len() == length && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let (id, secret) = text.split_once('.')?;
        (word(id, 6) && word(secret, 16)).then(|| Self(text.to_owned()))
    }

    /// The whole token, secret part included.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BootstrapToken {
    /// Shows the part that is no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootstrapToken({}.…)", &self.0[..6])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_has_the_shape_kubeadm_reads() {
        let token = BootstrapToken::generate().unwrap();
        assert_eq!(BootstrapToken::parse(token.reveal()), Some(token.clone()));
        assert_ne!(token, BootstrapToken::generate().unwrap());
        for bad in ["", "abcdef", "abcdef.0123", "ABCDEF.0123456789abcdef", "abcde.0123456789abcdef1"] {
            assert_eq!(BootstrapToken::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let token = BootstrapToken::from_bytes([7; 22]);
        assert_eq!(format!("{token:?}"), "BootstrapToken(hhhhhh.…)");
    }
}
