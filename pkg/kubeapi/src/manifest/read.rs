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
    let mut manifest = Manifest { version, kind, namespace, name, body: document };
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
