//! Basic authentication against a file as `htpasswd` writes it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::HeaderValue;
use md5::{Digest, Md5};

/// How many credentials that were right are remembered: checking some hashes takes longer than a whole request.
const REMEMBERED: usize = 256;

/// Users and the hashes of their passwords.
pub(crate) struct BasicAuth {
    users: HashMap<String, String>,
    challenge: HeaderValue,
    right: Mutex<HashSet<Vec<u8>>>,
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicAuth").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl BasicAuth {
    /// From the lines of a password file.
    pub(crate) fn new(file: &str, realm: &str) -> Self {
        let lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries = lines.filter_map(|line| line.split_once(':'));
        // What follows a second colon is a comment.
        let users = entries
            .map(|(user, rest)| (user.to_owned(), rest.split_once(':').map_or(rest, |(hash, _)| hash).to_owned()));
        let quoted: String = realm.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
        let challenge = HeaderValue::from_str(&format!("Basic realm=\"{quoted}\""));
        let challenge = challenge.unwrap_or(HeaderValue::from_static("Basic realm=\"\""));
        Self { users: users.collect(), challenge, right: Mutex::default() }
    }

    /// The header that asks for a password.
    pub(crate) fn challenge(&self) -> HeaderValue {
        self.challenge.clone()
    }

    /// Whether the value of an Authorization header is known to be right. Quick.
    pub(crate) fn remembers(&self, header: &HeaderValue) -> bool {
        self.right.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest(header))
    }

    /// Whether the value of an Authorization header is right. This may take a tenth of a second.
    pub(crate) fn admits(&self, header: &HeaderValue) -> bool {
        let is_right = self.check(header);
        if is_right {
            let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            if right.len() >= REMEMBERED {
                right.clear();
            }
            right.insert(digest(header));
        }
        is_right
    }

    fn check(&self, header: &HeaderValue) -> bool {
        let credentials = || {
            let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
            let decoded = BASE64.decode(encoded.trim()).ok()?;
            scheme.eq_ignore_ascii_case("basic").then(|| String::from_utf8(decoded).ok())?
        };
        let Some(credentials) = credentials() else { return false };
        let Some((user, password)) = credentials.split_once(':') else { return false };
        self.users.get(user).is_some_and(|hash| verify(password, hash))
    }
}

fn digest(header: &HeaderValue) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, header.as_bytes()).as_ref().to_vec()
}

/// Whether a hash is of a kind that can be checked.
pub(crate) fn is_known_hash(hash: &str) -> bool {
    hash.starts_with("$apr1$") || hash.starts_with("$2") || hash.starts_with("{SHA}")
}

fn verify(password: &str, hash: &str) -> bool {
    if let Some(rest) = hash.strip_prefix("$apr1$") {
        let salt = rest.split('$').next().unwrap_or_default();
        return equal(&apr1(password, salt), hash);
    }
    if hash.starts_with("$2") {
        return bcrypt::verify(password, hash).unwrap_or(false);
    }
    hash.strip_prefix("{SHA}").is_some_and(|encoded| {
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        equal(&BASE64.encode(digest), encoded)
    })
}

/// Compares in a time that tells nothing about where the first difference is.
fn equal(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

/// Apache's variant of the MD5 based crypt: a thousand rounds, as its documentation lays them down.
fn apr1(password: &str, salt: &str) -> String {
    let (password, salt) = (password.as_bytes(), salt.as_bytes());
    let salt = &salt[..salt.len().min(8)];
    let mixed = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    for piece in password.chunks(mixed.len()) {
        first.update(&mixed[..piece.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut sum: [u8; 16] = first.finalize().into();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &sum[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &sum[..] } else { password });
        sum = next.finalize().into();
    }
    format!("$apr1${}${}", String::from_utf8_lossy(salt), letters(&sum))
}

/// The sixteen bytes in the order and the alphabet that crypt has always had.
fn letters(sum: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(22);
    let mut push = |mut value: usize, count: usize| {
        for _ in 0..count {
            text.push(char::from(ALPHABET[value & 63]));
            value >>= 6;
        }
    };
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        push(usize::from(sum[a]) << 16 | usize::from(sum[b]) << 8 | usize::from(sum[c]), 4);
    }
    push(usize::from(sum[11]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(user: &str, password: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Basic {}", BASE64.encode(format!("{user}:{password}")))).unwrap()
    }

    #[test]
    fn the_kinds_of_hashes_that_htpasswd_writes_are_checked() {
        // As `openssl passwd -apr1` and `htpasswd -sb`, `htpasswd -bB` print them.
        let file = format!(
            "# people\nmd5:$apr1$saltsalt$9c0WR0Se3z5lfIgYnltHf1\nsha:{{SHA}}0DPiKuNIrrVmD8IUCuw1hQxNqZc=:comment\nbc:{}\n",
            bcrypt::hash("admin", 4).unwrap()
        );
        let auth = BasicAuth::new(&file, "a \"realm\"");
        assert_eq!(auth.challenge(), "Basic realm=\"a realm\"");
        for user in ["sha", "bc", "md5"] {
            assert!(!auth.remembers(&header(user, "admin")), "{user}");
            assert!(auth.admits(&header(user, "admin")), "{user}");
            assert!(auth.remembers(&header(user, "admin")), "{user}");
            assert!(!auth.admits(&header(user, "other")), "{user}");
        }
        let long = "a-much-longer-password-than-16";
        assert_eq!(apr1(long, "abcdefgh"), "$apr1$abcdefgh$I2rVGfTw/B5HUqH5PL9k21");
        assert!(!auth.admits(&header("nobody", "admin")));
        assert!(!auth.admits(&HeaderValue::from_static("Bearer abc")));
    }
}
