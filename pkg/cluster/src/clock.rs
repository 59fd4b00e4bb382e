//! Points in time as text.

use std::time::SystemTime;

/// RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    // Only a clock set before year -9999 or after 9999 has no such form.
    jiff::Timestamp::try_from(time)
        .ok()
        .and_then(|stamp| jiff::Timestamp::from_second(stamp.as_second()).ok())
        .map(|stamp| stamp.to_string())
        .unwrap_or_default()
}

/// Reads RFC 3339.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    #[test]
    fn times_are_written_in_utc_without_fractions() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_000_500);
        assert_eq!(super::rfc3339(time), "2001-09-09T01:46:40Z");
        assert_eq!(super::parse("2001-09-09T01:46:40Z"), Some(time - Duration::from_millis(500)));
    }
}
