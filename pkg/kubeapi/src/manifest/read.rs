//! From YAML text to manifests.

use serde_json::Value;
use serde_saphyr::{Budget, Options};

use super::{Manifest, defaults};
use crate::KubeError;

/// Reads a stream of YAML documents. Empty documents are skipped, lists are taken apart.
pub(crate) fn read(text: &str) -> Result<Vec<Manifest>, KubeError> {
    let mut manifests = Vec::new();
    // The reader skips empty documents, so their numbers are of no use to a person: errors name the
    // object, or the line for broken YAML.
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options()).map_err(syntax)?;
    for document in documents {
        collect(document, &mut manifests)?;
    }
    Ok(manifests)
}

/// Reads a file. Its documents are read one by one, so that what is wrong with each can be told with
/// its line.
pub(crate) fn read_file(file: &str, text: &str) -> Result<Vec<Manifest>, Vec<KubeError>> {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for (line, document) in documents(text) {
        // Empty lines in place of the documents before keep the reader's own line numbers true.
        let placed = "\n".repeat(line - 1) + document;
        let parsed = serde_saphyr::from_multiple_with_options::<Value>(&placed, options());
        let before = manifests.len();
        let collected = match parsed {
            Ok(values) => values.into_iter().try_for_each(|value| collect(value, &mut manifests)),
            Err(error) => Err(syntax(error)),
        };
        let first = line + document.lines().take_while(|text| is_blank(text)).count();
        let origin = format!("{file}, line {first}");
        if let Err(KubeError::Manifest { place, problem }) = collected {
            let place = match place.strip_prefix("line ") {
                Some(line) => format!("{file}, line {line}"),
                None => format!("{origin}: {place}"),
            };
            problems.push(KubeError::Manifest { place, problem });
        }
        manifests[before..].iter_mut().for_each(|manifest| manifest.origin = Some(origin.clone()));
    }
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

/// Neither content nor the mark of a document.
fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// The documents of a file, each with the number of its first line.
fn documents(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut documents = vec![(1, 0..0)];
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let end = at + line.len();
        if line.trim_end() == "---" {
            documents.push((number + 2, end..end));
        } else if let Some((_, range)) = documents.last_mut() {
            range.end = end;
        }
        at = end;
    }
    documents.into_iter().map(|(line, range)| (line, &text[range]))
}

/// YAML as Go's readers understand it: `0644` is octal, `yes` is true.
fn options() -> Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        // Manifests are skiff's own or the user's: limits against hostile input only stop big bundles.
        budget: None::<Budget>,
        with_snippet: false,
    }
}

fn collect(document: Value, manifests: &mut Vec<Manifest>) -> Result<(), KubeError> {
    if document.is_null() {
        return Ok(());
    }
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let kind = text("/kind").ok_or_else(|| problem("an object", &document, "it has no `kind`"))?;
    let version = text("/apiVersion").ok_or_else(|| problem(&kind, &document, "it has no `apiVersion`"))?;
    if kind.ends_with("List") && document.get("items").is_some_and(Value::is_array) {
        let Value::Object(mut list) = document else { return Ok(()) };
        let Some(Value::Array(items)) = list.remove("items") else { return Ok(()) };
        return items.into_iter().try_for_each(|item| collect(item, manifests));
    }
    let name = text("/metadata/name").ok_or_else(|| problem(&kind, &document, "it has no `metadata.name`"))?;
    let namespace = text("/metadata/namespace").filter(|namespace| !namespace.is_empty());
    let mut manifest = Manifest { version, kind, namespace, name, body: document, origin: None };
    if manifest.place().is_some() {
        defaults::complete(&mut manifest.body);
    }
    manifests.push(manifest);
    Ok(())
}

fn problem(kind: &str, document: &Value, problem: &str) -> KubeError {
    let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name");
    KubeError::Manifest { place: format!("{kind} {name}"), problem: problem.to_owned() }
}

fn syntax(error: serde_saphyr::Error) -> KubeError {
    let line = error.location().map_or_else(|| "?".to_owned(), |location| location.line().to_string());
    KubeError::Manifest { place: format!("line {line}"), problem: error.to_string() }
}
