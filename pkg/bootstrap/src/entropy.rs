//! Random bytes, from the system.

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::BootstrapError;

/// Bytes that nobody can guess: for keys, tokens and machine ids.
///
/// # Errors
/// [`BootstrapError::Entropy`] if the system gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], BootstrapError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| BootstrapError::Entropy)?;
    Ok(bytes)
}
