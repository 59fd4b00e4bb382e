//! How long certificates last: those of a node are made together, and told by when that was.

use std::time::{Duration, SystemTime};

use skiff_bootstrap::pki::Validity;
use skiff_config::NodeRecord;

use crate::clock;

/// A certificate that ends sooner than this is issued anew at the next start.
const RENEWAL_MARGIN: Duration = Duration::from_hours(30 * 24);

/// How long before their end certificates of a validity are issued anew: those that are good for a
/// few days only are not renewed at each start.
pub(crate) fn renewal_margin(validity: Duration) -> Duration {
    RENEWAL_MARGIN.min(validity / 4)
}

/// What a clock says about certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They are good, and will be for a while.
    Good,
    /// They end soon.
    Ending,
    /// They ended then.
    Ended(SystemTime),
    /// They were made then, which is in what is the future since the clock was set back: nobody takes them yet.
    Ahead(SystemTime),
}

impl Standing {
    /// Of certificates that were made at some time.
    pub(crate) fn of(made: SystemTime, validity: Duration, now: SystemTime) -> Self {
        let end = made + validity;
        if now + Validity::SKEW < made {
            Self::Ahead(made)
        } else if end <= now {
            Self::Ended(end)
        } else if end - renewal_margin(validity) < now {
            Self::Ending
        } else {
            Self::Good
        }
    }

    /// Of those of a node of a cluster that was made at some time; good where nobody knows when.
    pub(crate) fn of_node(record: &NodeRecord, created: Option<&String>, validity: Duration, now: SystemTime) -> Self {
        // Records of old have no time of their own.
        let made = record.made.as_ref().or(created).and_then(|text| clock::parse(text));
        made.map_or(Self::Good, |made| Self::of(made, validity, now))
    }

    /// True if they are to be issued anew.
    pub(crate) fn needs_renewal(self) -> bool {
        self != Self::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_renewed_when_the_clock_has_left_their_time() {
        let (day, year) = (Duration::from_hours(24), Duration::from_hours(24 * 365));
        let made = clock::parse("2026-06-01T00:00:00Z").unwrap();
        for (now, standing) in [
            (made, Standing::Good),
            (made + 300 * day, Standing::Good),
            (made - Duration::from_mins(50), Standing::Good),
            (made + 340 * day, Standing::Ending),
            (made + 2 * year, Standing::Ended(made + year)),
            (made - Duration::from_hours(5), Standing::Ahead(made)),
            (made - year, Standing::Ahead(made)),
        ] {
            assert_eq!(Standing::of(made, year, now), standing, "{}", clock::rfc3339(now));
        }
    }

    #[test]
    fn certificates_for_minutes_are_not_renewed_at_each_start() {
        let minutes = Duration::from_mins;
        let made = clock::parse("2026-06-01T00:00:00Z").unwrap();
        assert_eq!(Standing::of(made, minutes(8), made + minutes(5)), Standing::Good);
        assert_eq!(Standing::of(made, minutes(8), made + minutes(7)), Standing::Ending);
    }
}
