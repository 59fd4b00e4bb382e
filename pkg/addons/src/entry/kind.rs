//! The types of values.

use std::{fmt, net::Ipv4Addr};

use ipnet::Ipv4Net;
use jiff::SignedDuration;

/// What a value takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Bool,
    Int { min: i64, max: i64 },
    Port,
    Quantity,
    Duration,
    Ip,
    Cidr,
    IpRange,
    Host,
    Object,
    Choice(Vec<String>),
}

impl Kind {
    /// The type of that name; its limits and choices are where it has some.
    pub(super) fn new(name: &str, min: Option<i64>, max: Option<i64>, choices: Vec<String>) -> Result<Self, String> {
        let kind = match name {
            "string" => Self::Text,
            "bool" => Self::Bool,
            "int" => Self::Int { min: min.unwrap_or(i64::MIN), max: max.unwrap_or(i64::MAX) },
            "port" => Self::Port,
            "quantity" => Self::Quantity,
            "duration" => Self::Duration,
            "ip" => Self::Ip,
            "cidr" => Self::Cidr,
            "ip-range" => Self::IpRange,
            "host" => Self::Host,
            "object" => Self::Object,
            "choice" if choices.is_empty() => return Err("a choice needs `choices`".to_owned()),
            "choice" => return Ok(Self::Choice(choices)),
            _ => return Err(format!("there is no type `{name}`")),
        };
        if !choices.is_empty() {
            return Err(format!("`choices` are for the type choice, not {name}"));
        }
        if (min.is_some() || max.is_some()) && name != "int" {
            return Err(format!("`min` and `max` are for the type int, not {name}"));
        }
        Ok(kind)
    }

    /// Whether a text is one of these; else what it should be.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        let fits = match self {
            // Templates are text: a line break would begin something else.
            Self::Text => !text.chars().any(char::is_control),
            Self::Bool => matches!(text, "true" | "false"),
            Self::Int { min, max } => plain_number(text).is_some_and(|number| (*min..=*max).contains(&number)),
            Self::Port => plain_number(text).is_some_and(|number| (1..=65535).contains(&number)),
            Self::Quantity => is_quantity(text),
            Self::Duration => is_duration(text),
            Self::Ip => text.parse::<Ipv4Addr>().is_ok(),
            Self::Cidr => is_network(text),
            Self::IpRange => is_network(text) || is_range(text),
            Self::Host => is_host(text),
            Self::Object => text.split_once('/').is_some_and(|(space, name)| is_host(space) && is_host(name)),
            Self::Choice(choices) => choices.iter().any(|choice| choice == text),
        };
        if fits { Ok(()) } else { Err(format!("`{text}` is not {}", self.article())) }
    }

    fn article(&self) -> String {
        match self {
            Self::Text => "a text in one line".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Int { min: i64::MIN, max: i64::MAX } => "a whole number".to_owned(),
            Self::Int { .. } => format!("a whole number {self}"),
            Self::Port => "a port: use 1 to 65535".to_owned(),
            Self::Quantity => "an amount: write it like 500m or 64Mi".to_owned(),
            Self::Duration => "a time: write it like 90s, 5m or 1h30m".to_owned(),
            Self::Ip => "an IPv4 address".to_owned(),
            Self::Cidr => "an IPv4 network: write it like 10.1.0.0/16".to_owned(),
            Self::IpRange => "a range of addresses: write it like 10.1.0.5-10.1.0.9 or 10.1.0.0/28".to_owned(),
            Self::Host => "a DNS name".to_owned(),
            Self::Object => "an object: write it like namespace/name".to_owned(),
            Self::Choice(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("string"),
            Self::Bool => f.write_str("bool"),
            Self::Int { min: i64::MIN, max: i64::MAX } => f.write_str("int"),
            Self::Int { min: i64::MIN, max } => write!(f, "up to {max}"),
            Self::Int { min, max: i64::MAX } => write!(f, "from {min}"),
            Self::Int { min, max } => write!(f, "from {min} to {max}"),
            Self::Port => f.write_str("port"),
            Self::Quantity => f.write_str("quantity"),
            Self::Duration => f.write_str("duration"),
            Self::Ip => f.write_str("ip"),
            Self::Cidr => f.write_str("cidr"),
            Self::IpRange => f.write_str("ip-range"),
            Self::Host => f.write_str("host"),
            Self::Object => f.write_str("object"),
            Self::Choice(choices) => write!(f, "one of {}", choices.join(", ")),
        }
    }
}

/// Digits and perhaps a minus: `+5` and `007` mean other things in YAML.
fn plain_number(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

fn is_quantity(text: &str) -> bool {
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = &text[..text.len() - digits.len()];
    let suffixes = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    number.parse::<f64>().is_ok() && suffixes.contains(&digits)
}

fn is_duration(text: &str) -> bool {
    // Without a unit it would be a number to YAML.
    text.ends_with(|c: char| c.is_ascii_alphabetic())
        && !text.contains(' ')
        && text.parse::<SignedDuration>().is_ok_and(|duration| !duration.is_negative())
}

fn is_network(text: &str) -> bool {
    text.parse::<Ipv4Net>().is_ok_and(|net| net.addr() == net.network())
}

fn is_range(text: &str) -> bool {
    let ends = text.split_once('-').map(|(first, last)| (first.parse::<Ipv4Addr>(), last.parse::<Ipv4Addr>()));
    matches!(ends, Some((Ok(first), Ok(last))) if first <= last)
}

/// A name of DNS, which names of objects are as well.
pub(super) fn is_host(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Kind {
        Kind::new(name, None, None, Vec::new()).unwrap()
    }

    #[test]
    fn each_type_takes_what_it_should_and_nothing_else() {
        for (name, good, bad) in [
            ("string", &["", "a b", "\"x\" #"][..], &["a\nb"][..]),
            ("bool", &["true", "false"], &["yes", "True", ""]),
            ("int", &["0", "-3", "42"], &["", "4.2", "+1", "007", "x"]),
            ("port", &["1", "65535"], &["0", "65536", "http", "-1"]),
            ("quantity", &["500m", "64Mi", "1", "0.5"], &["", "Mi", "64 Mi", "64MiB", "1e"]),
            ("duration", &["90s", "1h30m", "1.5h"], &["", "90", "soon", "-5s", "1 h"]),
            ("ip", &["10.0.0.1"], &["10.0.0", "::1"]),
            ("cidr", &["10.0.0.0/8"], &["10.0.0.1/8", "10.0.0.0"]),
            ("ip-range", &["10.0.0.1-10.0.0.9", "10.0.0.0/28"], &["10.0.0.9-10.0.0.1", "10.0.0.1"]),
            ("host", &["a.b", "localhost"], &["", "-a", "a..b", "A"]),
            ("object", &["kube-system/cert"], &["cert", "/cert", "a/b/c"]),
        ] {
            for text in good {
                assert_eq!(kind(name).check(text), Ok(()), "{name} {text}");
            }
            for text in bad {
                assert!(kind(name).check(text).is_err(), "{name} {text}");
            }
        }
    }

    #[test]
    fn limits_and_choices_are_told() {
        let int = Kind::new("int", Some(1), Some(3), Vec::new()).unwrap();
        assert_eq!(int.check("4").unwrap_err(), "`4` is not a whole number from 1 to 3");
        let choice = Kind::new("choice", None, None, vec!["a".to_owned(), "b".to_owned()]).unwrap();
        assert_eq!(choice.check("c").unwrap_err(), "`c` is not one of a, b");
        assert!(Kind::new("choice", None, None, Vec::new()).is_err());
        assert!(Kind::new("port", Some(1), None, Vec::new()).is_err());
        assert!(Kind::new("number", None, None, Vec::new()).is_err());
    }
}
