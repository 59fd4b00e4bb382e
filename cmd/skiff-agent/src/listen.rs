//! Addresses to listen at or to talk to, as flags give them.

use std::{
    net::{AddrParseError, IpAddr, SocketAddr},
    str::FromStr,
};

/// An address whose port may be left to the default: `10.0.0.1`, `10.0.0.1:53`, `::1` or `[::1]:53`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    ip: IpAddr,
    port: Option<u16>,
}

impl Listen {
    /// The full address, with `default` where no port was given.
    pub(crate) fn or_port(self, default: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(default))
    }
}

impl FromStr for Listen {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        match text.parse::<SocketAddr>() {
            Ok(address) => Ok(Self { ip: address.ip(), port: Some(address.port()) }),
            Err(_) => Ok(Self { ip: text.trim_matches(['[', ']']).parse()?, port: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        for (text, full) in [
            ("10.0.0.1", "10.0.0.1:53"),
            ("10.0.0.1:5353", "10.0.0.1:5353"),
            ("fd00::1", "[fd00::1]:53"),
            ("[fd00::1]", "[fd00::1]:53"),
            ("[fd00::1]:5353", "[fd00::1]:5353"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().or_port(53), full.parse().unwrap(), "{text}");
        }
        for bad in ["", "here", "10.0.0.1:", "10.0.0.1:99999", "10.0.0"] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }
}
