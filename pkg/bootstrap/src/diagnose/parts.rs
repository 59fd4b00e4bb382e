//! What the parts of the control plane, and containerd below them, say.

use super::{
    Cause,
    evidence::{Evidence, after, message, word},
};

/// Disk and memory: without them nothing else is worth looking at.
pub(super) fn resources(evidence: &Evidence<'_>) -> Option<Cause> {
    if evidence.all().any(|line| line.contains("no space left on device")) || evidence.disk_is_full() {
        return Some(Cause::DiskFull);
    }
    let killed = ["TaskOOM event", "killed by the OOM killer", "OOMKilled", "Out of memory: Killed"];
    evidence.all().any(|line| killed.iter().any(|words| line.contains(words))).then_some(Cause::OutOfMemory)
}

/// Flags, gates and ports that a part refuses when it starts.
pub(super) fn settings(evidence: &Evidence<'_>) -> Option<Cause> {
    evidence.by_part().find_map(|(part, line)| {
        gate(part, line).or_else(|| unknown_flag(part, line)).or_else(|| bad_value(part, line)).or_else(|| port(line))
    })
}

fn gate(part: &str, line: &str) -> Option<Cause> {
    // Who only warns of one goes on.
    if line.starts_with('W') {
        return None;
    }
    let found = |gate: &str, locked| Cause::FeatureGate { part: part.to_owned(), gate: word(gate).to_owned(), locked };
    match after(line, "unrecognized feature gate: ") {
        Some(gate) => Some(found(gate, false)),
        None if line.contains("feature is locked to") => Some(found(after(line, "cannot set feature gate ")?, true)),
        None => None,
    }
}

fn unknown_flag(part: &str, line: &str) -> Option<Cause> {
    let named = |flag: &str| Cause::UnknownFlag { part: part.to_owned(), flag: word(flag).to_owned() };
    let shorthand = |rest: &str| after(rest, " in ").map(named);
    after(line, "unknown flag: ")
        .map(named)
        .or_else(|| after(line, "unknown shorthand flag: ").and_then(shorthand))
        // etcd names its flags with one dash.
        .or_else(|| after(line, "flag provided but not defined: ").map(|flag| named(&format!("-{flag}"))))
}

fn bad_value(part: &str, line: &str) -> Option<Cause> {
    let rest = after(line, "invalid argument ").or_else(|| after(line, "invalid value "))?;
    let (value, rest) = rest.split_once(" for ")?;
    // `"--name" flag: why`, etcd: `flag -name: why`
    let flag = rest.trim_start_matches("flag ").trim_start_matches('"');
    let name = word(flag).trim_start_matches('-');
    let why = after(rest, "flag: ").or_else(|| after(rest, ": ")).unwrap_or("not a valid value");
    let detail = format!("{} ({})", value.trim_matches('"'), why.trim_end_matches('"'));
    (flag.starts_with('-')).then(|| Cause::BadFlagValue { part: part.to_owned(), flag: format!("--{name}"), detail })
}

fn port(line: &str) -> Option<Cause> {
    let (before, _) = line.split_once(": bind: address already in use")?;
    let port = before.rsplit(':').next()?.parse().ok()?;
    Some(Cause::PortInUse { port })
}

pub(super) fn images(evidence: &Evidence<'_>) -> Option<Cause> {
    // The first attempt says why, later ones only that it is tried no more.
    let pulled = evidence.units.iter().find_map(|line| {
        let rest = after(line, "failed to pull and unpack image ").or_else(|| after(line, "failed to pull image "))?;
        let image = word(rest.trim_start_matches(['\\', '"']));
        let detail = rest.rsplit(": ").next().unwrap_or_default().trim_end_matches(['\\', '"']);
        Some(Cause::ImagePull { image: image.to_owned(), detail: detail.to_owned() })
    });
    pulled.or_else(|| {
        evidence.units.iter().find_map(|line| {
            let image = after(line, "Back-off pulling image ")?.trim_start_matches(['\\', '"']);
            Some(Cause::ImagePull { image: word(image).to_owned(), detail: "tried again and again".to_owned() })
        })
    })
}

pub(super) fn certificates(evidence: &Evidence<'_>) -> Option<Cause> {
    evidence.all().find_map(|line| {
        let times = after(line, "certificate has expired or is not yet valid: ")?;
        // `current time A is before B`, or `after B`
        let detail = times.split(['"', '\\']).next().unwrap_or(times).trim_end_matches('.');
        Some(Cause::CertificateTime { early: detail.contains(" is before "), detail: detail.to_owned() })
    })
}

/// A part that ended for a reason of its own. etcd first: without it no API server runs.
pub(super) fn crash(evidence: &Evidence<'_>) -> Option<Cause> {
    let mut logs: Vec<_> = evidence.parts.iter().collect();
    logs.sort_by_key(|log| log.part != "etcd");
    logs.into_iter().find_map(|log| {
        let detail = log.lines.iter().find_map(|line| last_words(line))?;
        let detail = detail.to_owned();
        let part = log.part.to_owned();
        Some(if part == "etcd" { Cause::Etcd { detail } } else { Cause::Crash { part, detail } })
    })
}

/// What a dying program says last: a panic, a fatal log line or the error its `main` returns.
fn last_words(line: &str) -> Option<&str> {
    let fatal = line.starts_with('F') && message(line) != line;
    let critical = line.starts_with("20") && line.contains(" C | ");
    let structured = line.contains("\"level\":\"fatal\"") || line.contains("\"command failed\"");
    if let Some(text) = line.strip_prefix("panic: ").or_else(|| line.strip_prefix("Error: ")) {
        return Some(text);
    }
    (fatal || critical || structured).then(|| after(line, "err=").unwrap_or_else(|| message(line)).trim_matches('"'))
}
