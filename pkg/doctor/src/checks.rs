//! The checks: from facts to findings.

mod kernel;
mod network;
mod resources;

use std::time::{Duration, SystemTime};

use skiff_report::ExitCode;

use crate::{Facts, Finding};

/// How far the clocks of this host and of the machines' maker may be apart: certificates begin a
/// little in the past, but not this much.
const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// 2026-01-01: a clock before that is not set.
const NO_EARLIER: Duration = Duration::from_secs(1_767_225_600);

/// Everything there is to say about a host, in the order in which it is best read.
#[must_use]
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let checks: [fn(&Facts) -> Vec<Finding>; 12] = [
        drivers,
        resources::processors,
        resources::memory,
        resources::disks,
        resources::inotify,
        resources::files,
        resources::threads,
        kernel::cgroups,
        kernel::modules,
        clock,
        network::forwarding,
        network::proxies,
    ];
    checks.into_iter().flat_map(|check| check(facts)).chain(network::authorities(facts)).collect()
}

/// One driver is enough. Without any, each tells what it lacks.
fn drivers(facts: &Facts) -> Vec<Finding> {
    let any = facts.drivers.iter().any(|driver| driver.health.is_ok());
    let finding = |driver: &crate::DriverFact| {
        let name = format!("driver-{}", driver.name);
        match &driver.health {
            Ok(detail) => Finding::good(name, detail),
            Err((why, _)) if any => Finding::good(name, format!("not usable, and not needed: {why}")),
            Err((why, reason)) => Finding::blocking(name, reason.exit, why, &*reason.advice),
        }
    };
    facts.drivers.iter().map(finding).collect()
}

fn clock(facts: &Facts) -> Vec<Finding> {
    let name = "clock";
    let fix = "sudo timedatectl set-ntp true";
    let Some(now) = facts.now else { return Vec::new() };
    if now < SystemTime::UNIX_EPOCH + NO_EARLIER {
        let message = "the clock is not set: certificates would not be valid yet";
        return vec![Finding::blocking(name, ExitCode::HOST_ERROR, message, fix)];
    }
    let skew = facts.engine_clock.map(|engine| {
        let ahead = engine.duration_since(now);
        ahead.unwrap_or_else(|behind| behind.duration())
    });
    vec![match skew {
        Some(skew) if skew > CLOCK_SKEW => {
            let message = format!("docker's clock is {} s apart from this host's", skew.as_secs());
            Finding::blocking(name, ExitCode::HOST_ERROR, message, format!("{fix} (on both)"))
        }
        Some(_) => Finding::good(name, "is set, and docker's agrees"),
        None => Finding::good(name, "is set"),
    }]
}

#[cfg(test)]
mod tests;
