//! Sizes and limits.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a size: write a number with a unit, such as 4g, 4096m or 4Gi")]
pub struct InvalidQuantity(pub String);

/// Text that is not a number of processors.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a number of processors: write 2, 1.5, max or no-limit")]
pub struct InvalidCpus(pub String);

/// Reads a size in bytes. Units count in 1024s, as in Docker and minikube, in either case and with
/// an optional `b` or `i`: `b k m g t`. A bare number means mebibytes.
///
/// # Errors
/// Anything else, and sizes that do not fit 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64, InvalidQuantity> {
    let invalid = || InvalidQuantity(text.to_owned());
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim() {
        "" | "m" | "mb" | "mi" | "mib" => 20,
        "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "g" | "gb" | "gi" | "gib" => 30,
        "t" | "tb" | "ti" | "tib" => 40,
        _ => return Err(invalid()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).ok_or_else(invalid);
    }
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let bytes = number * f64::from(1_u32 << 10).powi(shift / 10);
    // 2^53 is the largest range in which every whole number of bytes is exact.
    if bytes.is_finite() && bytes < 9.0e15 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked: finite, below 2^53, no sign"
        )]
        return Ok(bytes as u64);
    }
    Err(invalid())
}

/// A size for people: whole units where possible, e.g. `4g`, `1536m`. [`parse_bytes`] reads it back.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    for (shift, unit) in [(30, "g"), (20, "m"), (10, "k")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}b")
}

/// How much of something the host has a node may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit<T> {
    /// What skiff finds right for this host.
    Auto,
    /// All there is.
    Max,
    /// Not limited at all.
    NoLimit,
    /// This much.
    Exactly(T),
}

impl<T> Limit<T> {
    fn read<E>(text: &str, value: impl FnOnce(&str) -> Result<T, E>) -> Result<Self, E> {
        match text {
            "auto" => Ok(Self::Auto),
            "max" => Ok(Self::Max),
            "no-limit" => Ok(Self::NoLimit),
            _ => value(text).map(Self::Exactly),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, value: impl FnOnce(&T) -> String) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Max => f.write_str("max"),
            Self::NoLimit => f.write_str("no-limit"),
            Self::Exactly(exact) => f.write_str(&value(exact)),
        }
    }
}

impl FromStr for Limit<u64> {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        Self::read(text, parse_bytes)
    }
}

impl fmt::Display for Limit<u64> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, |bytes| format_bytes(*bytes))
    }
}

impl FromStr for Limit<f64> {
    type Err = InvalidCpus;

    fn from_str(text: &str) -> Result<Self, InvalidCpus> {
        Self::read(text, |text| {
            let cpus: f64 = text.parse().map_err(|_| InvalidCpus(text.to_owned()))?;
            if cpus.is_finite() && cpus > 0.0 { Ok(cpus) } else { Err(InvalidCpus(text.to_owned())) }
        })
    }
}

impl fmt::Display for Limit<f64> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, ToString::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_the_units_people_write() {
        let table = [
            ("4g", 4 << 30),
            ("4GB", 4 << 30),
            ("4Gi", 4 << 30),
            ("4096", 4 << 30),
            ("4096m", 4 << 30),
            ("4096mb", 4 << 30),
            ("1.5g", 3 << 29),
            ("1b", 1),
            ("2k", 2048),
            ("1t", 1 << 40),
        ];
        for (text, bytes) in table {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "g", "4x", "-4g", "4 4g", "1e3g", "99999999999999999999g", "18446744073709551615t"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_read_back_what_they_write() {
        for text in ["auto", "max", "no-limit", "4g", "1536m"] {
            assert_eq!(text.parse::<Limit<u64>>().unwrap().to_string(), text);
        }
        for text in ["auto", "max", "no-limit", "2", "0.5"] {
            assert_eq!(text.parse::<Limit<f64>>().unwrap().to_string(), text);
        }
        for bad in ["0", "-1", "NaN", "inf", "two"] {
            assert!(bad.parse::<Limit<f64>>().is_err(), "{bad}");
        }
    }
}
