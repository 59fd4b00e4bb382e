//! Times as Go programs write them, `8760h` or `36h30m`: how long certificates are good for, and how long a
//! cluster may be idle.

use std::time::Duration;

/// Below that a cluster would be busy with nothing but its certificates.
const SHORTEST: Duration = Duration::from_mins(5);
/// Ten years: what the authorities that sign them are good for.
const LONGEST: Duration = Duration::from_hours(87_600);

/// Reads one.
pub(crate) fn lifetime(text: &str) -> Result<Duration, String> {
    let seconds = read(text).ok_or_else(|| format!("`{text}` is not a time: write it like 8760h or 36h30m"))?;
    let lifetime = Duration::from_secs(seconds);
    if lifetime < SHORTEST || lifetime > LONGEST {
        return Err(format!("{text} is out of range: use 5m to 87600h, which is what the authorities are good for"));
    }
    Ok(lifetime)
}

/// The shortest idle time worth a pause: people think between two commands.
const SHORTEST_IDLE: Duration = Duration::from_secs(10);

/// Reads how long a cluster may be idle; 0 is for ever.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") {
        return Ok(Duration::ZERO);
    }
    let seconds = read(text).ok_or_else(|| format!("`{text}` is not a time: write it like 5m or 90s"))?;
    Some(Duration::from_secs(seconds))
        .filter(|time| *time >= SHORTEST_IDLE)
        .ok_or_else(|| format!("{text} is too short: use 10s or more, or 0 to have the cluster never paused"))
}

/// Hours, minutes and seconds, each with its unit.
fn read(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, unit) = rest.split_at(digits);
        let each = match unit.chars().next()? {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(each)?)?;
        rest = &unit[1..];
    }
    (!text.is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_times_are_worth_it_or_none() {
        assert_eq!(interval("5m"), Ok(Duration::from_mins(5)));
        assert_eq!((interval("0"), interval("0s")), (Ok(Duration::ZERO), Ok(Duration::ZERO)));
        for bad in ["", "1s", "soon", "-1m"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lifetimes_are_written_as_in_go() {
        assert_eq!(lifetime("8760h"), Ok(Duration::from_hours(8760)));
        assert_eq!(lifetime("26280h0m0s"), Ok(crate::versions::CERT_EXPIRATION));
        assert_eq!(lifetime("36h30m"), Ok(Duration::from_mins(2190)));
        assert_eq!(lifetime("5m"), Ok(Duration::from_mins(5)));
        for bad in ["", "1y", "h", "12", "-1h", "4m", "99999h", "1.5h", "99999999999999999999h"] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }
}
