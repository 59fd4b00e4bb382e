//! What kubeadm itself says.

use super::{
    Cause,
    evidence::{Evidence, after, word},
};

pub(super) fn cause(evidence: &Evidence<'_>) -> Option<Cause> {
    configuration(evidence).or_else(|| preflight(evidence)).or_else(|| join(evidence))
}

/// The fields that kubeadm did not find in the types it knows.
pub(super) fn unknown_fields(printed: &str) -> impl Iterator<Item = &str> {
    printed.split("unknown field ").skip(1).map(|rest| word(rest.trim_start_matches(['\\', '"'])))
}

fn configuration(evidence: &Evidence<'_>) -> Option<Cause> {
    let detail = evidence.printed.iter().find_map(|line| {
        if let Some(detail) = after(line, "while decoding JSON: json: ") {
            return Some(detail);
        }
        // Also for a plain error; the warning before it says the same at greater length.
        let unknown = line.starts_with("no kind \"") || line.contains("is too old for this kubeadm");
        (unknown || line.contains("strict decoding error") && line.starts_with("error")).then_some(*line)
    })?;
    Some(Cause::ConfigRejected { detail: detail.to_owned() })
}

fn preflight(evidence: &Evidence<'_>) -> Option<Cause> {
    let findings: Vec<(String, String)> = evidence
        .printed
        .iter()
        .filter_map(|line| line.strip_prefix("[ERROR ")?.split_once("]: "))
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    // A taken port is what people can do something about; the rest often follows from it.
    let port = findings.iter().find_map(|(name, _)| name.strip_prefix("Port-")?.parse().ok());
    match port {
        Some(port) => Some(Cause::PortInUse { port }),
        None => (!findings.is_empty()).then_some(Cause::Preflight { findings }),
    }
}

fn join(evidence: &Evidence<'_>) -> Option<Cause> {
    evidence.printed.iter().find_map(|line| {
        if line.contains("could not find a JWS signature") || line.contains("failed to verify JWS signature") {
            Some(Cause::TokenRejected)
        } else if line.contains("none of the public keys") {
            Some(Cause::WrongCluster)
        } else {
            let name = after(line, "a Node with name \"")?;
            line.contains("already exists in the cluster").then(|| Cause::NodeExists { name: word(name).to_owned() })
        }
    })
}

/// The API server did not answer kubeadm, and nothing on the node says why.
pub(super) fn unreachable(evidence: &Evidence<'_>) -> Option<Cause> {
    evidence.printed.iter().rev().find_map(|line| {
        if let Some(rest) = after(line, "dial tcp ") {
            return Some(Cause::ApiUnreachable { endpoint: word(rest).to_owned() });
        }
        is_slow(line).then_some(Cause::TooSlow)
    })
}

/// True for a line about an answer that did not come in time.
fn is_slow(line: &str) -> bool {
    let slow = [
        "timed out waiting for",
        "context deadline exceeded",
        "i/o timeout",
        "TLS handshake timeout",
        "request timed out",
        "Client.Timeout exceeded",
    ];
    slow.iter().any(|words| line.contains(words))
}

/// True if kubeadm gave up since an answer did not come in time, and for no other reason.
pub(super) fn lost_patience(printed: &str) -> bool {
    printed.lines().rev().find(|line| line.contains("error execution phase")).is_some_and(is_slow)
}
