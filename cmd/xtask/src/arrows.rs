//! Dependencies between our crates must be those drawn in `pkg/README.md`: no more, no fewer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use serde_json::Value;

/// Where the arrows are drawn.
const MAP: &str = "pkg/README.md";

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Compares drawing and reality; says what differs.
pub(crate) fn check() -> Result<String, String> {
    let text = fs::read_to_string(MAP).map_err(|error| format!("{MAP}: {error}"))?;
    let (drawn, real) = (drawn(&text), real()?);
    let mut problems = Vec::new();
    for name in drawn.keys().chain(real.keys()).collect::<BTreeSet<_>>() {
        let none = BTreeSet::new();
        let (drawn, real) = (drawn.get(name).unwrap_or(&none), real.get(name).unwrap_or(&none));
        problems.extend(real.difference(drawn).map(|to| format!("{name} -> {to}: in Cargo.toml, not in {MAP}")));
        problems.extend(drawn.difference(real).map(|to| format!("{name} -> {to}: in {MAP}, not in Cargo.toml")));
    }
    problems.extend(upward(&text, &real));
    let count: usize = real.values().map(BTreeSet::len).sum();
    if problems.is_empty() {
        Ok(format!("{count} arrows, all as drawn and all downward"))
    } else {
        Err(problems.join("\n"))
    }
}

/// The arrows of the map: lines such as `L2 bootstrap -> runner config`.
fn drawn(text: &str) -> Arrows {
    rows(text).map(|(_, name, targets)| (name, targets)).collect()
}

/// Level, crate and targets of each line of the map.
fn rows(text: &str) -> impl Iterator<Item = (u8, String, BTreeSet<String>)> {
    text.lines().filter_map(|line| {
        let (level, rest) = line.strip_prefix('L')?.split_once(' ')?;
        let (name, targets) = rest.split_once("->")?;
        let targets = targets.split_whitespace().map(str::to_owned).collect();
        Some((level.parse().ok()?, name.trim().to_owned(), targets))
    })
}

/// Arrows that do not lead to a lower level.
fn upward(text: &str, real: &Arrows) -> Vec<String> {
    let levels: BTreeMap<String, u8> = rows(text).map(|(level, name, _)| (name, level)).collect();
    let mut problems = Vec::new();
    for (from, targets) in real {
        for to in targets {
            if levels.get(from) <= levels.get(to) {
                problems.push(format!("{from} -> {to} does not go down"));
            }
        }
    }
    problems
}

/// The arrows of the manifests, development dependencies left out.
fn real() -> Result<Arrows, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version=1"])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let short = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        name.strip_prefix("skiff-").unwrap_or(name).to_owned()
    };
    let ours: BTreeSet<String> = packages.iter().map(|package| short(&package["name"])).collect();
    let arrows = packages.iter().map(|package| {
        let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        let targets = normal.map(|dependency| short(&dependency["name"])).filter(|name| ours.contains(name)).collect();
        (short(&package["name"]), targets)
    });
    Ok(arrows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "words\nL1 ssh -> runner\nL0 runner ->\nL2 bootstrap -> runner ssh\n";

    fn arrows(pairs: &[(&str, &[&str])]) -> Arrows {
        pairs.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(ToString::to_string).collect())).collect()
    }

    #[test]
    fn the_map_is_read_from_its_lines() {
        assert_eq!(drawn(TEXT), arrows(&[("bootstrap", &["runner", "ssh"]), ("runner", &[]), ("ssh", &["runner"])]));
    }

    #[test]
    fn an_arrow_that_goes_up_is_found() {
        assert_eq!(upward(TEXT, &arrows(&[("runner", &["ssh"])])), ["runner -> ssh does not go down"]);
        assert!(upward(TEXT, &arrows(&[("bootstrap", &["ssh"])])).is_empty());
    }
}
