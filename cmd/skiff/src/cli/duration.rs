//! Durations on the command line.

use std::time::Duration;

use jiff::SignedDuration;

/// A duration as Go programs write it: `6m`, `1h30m`, `90s`.
pub(super) fn go_duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<SignedDuration>().map_err(|_| "write it like 90s, 6m or 1h30m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "a time cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        assert_eq!(go_duration("6m"), Ok(Duration::from_secs(360)));
        assert_eq!(go_duration("1h30m0s"), Ok(Duration::from_secs(5400)));
        assert_eq!(go_duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert!(go_duration("-5s").is_err() && go_duration("soon").is_err());
    }
}
