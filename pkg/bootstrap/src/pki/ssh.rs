//! ed25519 keys in OpenSSH's formats: for the way into nodes, and as the nodes' own host keys.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::{BootstrapError, random_bytes};

const KIND: &str = "ssh-ed25519";
/// Columns of base64 text, as ssh-keygen breaks it.
const COLUMNS: usize = 70;

/// A key pair.
#[derive(Clone, PartialEq, Eq)]
pub struct SshKey {
    private: String,
    public: String,
}

impl SshKey {
    /// Makes a new one. The comment tells people whose it is.
    ///
    /// # Errors
    /// [`BootstrapError::Entropy`].
    pub fn generate(comment: &str) -> Result<Self, BootstrapError> {
        Self::from_seed(&random_bytes()?, comment)
    }

    /// The key that 32 secret bytes give.
    ///
    /// # Errors
    /// [`BootstrapError::Entropy`] never for 32 bytes; kept because the library may refuse them.
    pub fn from_seed(seed: &[u8; 32], comment: &str) -> Result<Self, BootstrapError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BootstrapError::Entropy)?;
        let public = pair.public_key().as_ref();
        let blob = public_blob(public);
        Ok(Self {
            private: private_file(&blob, seed, public, comment),
            public: format!("{KIND} {} {comment}", STANDARD.encode(&blob)),
        })
    }

    /// The private key as ssh reads it (`OPENSSH PRIVATE KEY`, not encrypted).
    #[must_use]
    pub fn private(&self) -> &str {
        &self.private
    }

    /// The public key as one line without its end: `ssh-ed25519 AAAA… comment`.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SshKey({})", self.public)
    }
}

/// A string in ssh's encoding: its length in four bytes, then the bytes.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    // Everything here is a key or a comment of ours, far below 4 GiB.
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

fn public_blob(public: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, KIND.as_bytes());
    put(&mut blob, public);
    blob
}

/// See PROTOCOL.key in OpenSSH's sources for the layout.
fn private_file(blob: &[u8], seed: &[u8], public: &[u8], comment: &str) -> String {
    let mut secret = Vec::new();
    // Two equal numbers, by which a reader knows that it decrypted well. Nothing is encrypted
    // here, so any number does.
    for _ in 0..2 {
        secret.extend(&public[..4]);
    }
    secret.extend(blob);
    put(&mut secret, &[seed, public].concat());
    put(&mut secret, comment.as_bytes());
    for padding in 1_u8.. {
        if secret.len().is_multiple_of(8) {
            break;
        }
        secret.push(padding);
    }
    let mut file = b"openssh-key-v1\0".to_vec();
    for text in ["none", "none", ""] {
        put(&mut file, text.as_bytes());
    }
    file.extend(1_u32.to_be_bytes());
    put(&mut file, blob);
    put(&mut file, &secret);

    let encoded = STANDARD.encode(file);
    let mut text = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(COLUMNS));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END OPENSSH PRIVATE KEY-----\n");
    text
}
