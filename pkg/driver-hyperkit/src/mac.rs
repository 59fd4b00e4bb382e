//! Hardware addresses, in all the ways macOS writes them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The hardware address of a machine's network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    /// Reads six octets. bootpd leaves out leading zeros, and nobody agrees on capitals.
    fn from_str(text: &str) -> Result<Self, String> {
        let octet = |part: &str| match part.len() {
            1 | 2 if part.chars().all(|digit| digit.is_ascii_hexdigit()) => u8::from_str_radix(part, 16).ok(),
            _ => None,
        };
        let octets: Option<Vec<u8>> = text.trim().split(':').map(octet).collect();
        let octets = octets.and_then(|octets| octets.try_into().ok());
        octets.map(Self).ok_or_else(|| format!("`{text}` is no hardware address"))
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_and_capitals_do_not_matter() {
        let mac = Mac([0x86, 0x07, 0xa2, 0, 0xf, 0xe1]);
        for text in ["86:07:a2:00:0f:e1", "86:7:a2:0:f:e1", "86:07:A2:00:0F:E1", " 86:7:a2:0:f:e1\n"] {
            assert_eq!(text.parse(), Ok(mac), "{text:?}");
        }
        assert_eq!(mac.to_string(), "86:07:a2:00:0f:e1");
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in [
            "",
            "86:7:a2:0:f",
            "86:7:a2:0:f:e1:0",
            "86:7:a2:0:f:e100",
            "86:7:a2:0:f:",
            "86:7:a2:0:f:+1",
            "x:7:a2:0:f:e1",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text:?}");
        }
    }
}
