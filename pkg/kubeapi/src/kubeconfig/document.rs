//! One kubeconfig file as a tree. Pure.

use std::path::Path;

use serde_saphyr::{Options, SerializerOptions};
use serde_yaml::{Mapping, Value};

use crate::KubeError;

/// The three lists of a kubeconfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Cluster,
    Context,
    User,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::Cluster, Self::Context, Self::User];

    /// What an item is called, and the key of its body.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Context => "context",
            Self::User => "user",
        }
    }

    /// The key of the list.
    fn list(self) -> &'static str {
        match self {
            Self::Cluster => "clusters",
            Self::Context => "contexts",
            Self::User => "users",
        }
    }
}

const CURRENT: &str = "current-context";

/// A kubeconfig file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Document {
    root: Mapping,
}

impl Document {
    /// A kubeconfig with nothing in it, its keys in kubectl's order.
    pub(super) fn new() -> Self {
        let pairs = [
            ("apiVersion", Value::from("v1")),
            (Part::Cluster.list(), Value::Sequence(Vec::new())),
            (Part::Context.list(), Value::Sequence(Vec::new())),
            (CURRENT, Value::from("")),
            ("kind", Value::from("Config")),
            ("preferences", Value::Mapping(Mapping::new())),
            (Part::User.list(), Value::Sequence(Vec::new())),
        ];
        Self { root: pairs.into_iter().map(|(key, value)| (key.into(), value)).collect() }
    }

    /// Reads a file's text; `path` is for errors. An empty file is an empty kubeconfig.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, KubeError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.lines().all(|line| line.trim().is_empty() || line.starts_with('#')) {
            return Ok(Self::new());
        }
        let wrong = |line: u64, problem: String| KubeError::KubeconfigSyntax { path: path.to_owned(), line, problem };
        let root: Value = serde_saphyr::from_str_with_options(text, reading()).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            wrong(line, explain(&error))
        })?;
        let root = match root {
            Value::Null => return Ok(Self::new()),
            Value::Mapping(root) => root,
            _ => return Err(wrong(1, "a kubeconfig is a mapping".to_owned())),
        };
        let place = |key: &str| text.lines().position(|line| line.starts_with(key)).map_or(1, |index| index as u64 + 1);
        if root.get("kind").is_some_and(|kind| kind.as_str() != Some("Config")) {
            return Err(wrong(place("kind"), "its `kind` is not `Config`".to_owned()));
        }
        for part in Part::ALL {
            let list = part.list();
            let is_right = match root.get(list) {
                None | Some(Value::Null) => true,
                Some(Value::Sequence(items)) => items.iter().all(|item| item.get("name").is_some_and(Value::is_string)),
                Some(_) => false,
            };
            if !is_right {
                return Err(wrong(place(list), format!("`{list}` is not a list of named entries")));
            }
        }
        Ok(Self { root })
    }

    /// Adds what kubectl asks of every kubeconfig.
    pub(super) fn complete(&mut self) {
        for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
            self.root.entry(key.into()).or_insert(value.into());
        }
    }

    /// The text of the file, such that Go programs read the same tree.
    pub(super) fn render(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string_with_options(&self.root, writing())
    }

    /// The current context, unless it is empty.
    pub(super) fn current_context(&self) -> Option<&str> {
        self.root.get(CURRENT).and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    /// Sets the current context; empty for none.
    pub(super) fn set_current_context(&mut self, name: &str) {
        self.root.insert(CURRENT.into(), name.into());
    }

    /// The body of the entry of that name.
    pub(super) fn body(&self, part: Part, name: &str) -> Option<&Mapping> {
        let items = self.root.get(part.list())?.as_sequence()?;
        items.iter().find(|item| is_named(item, name))?.get(part.word())?.as_mapping()
    }

    /// The body of the entry of that name, made if absent.
    pub(super) fn body_mut(&mut self, part: Part, name: &str) -> &mut Mapping {
        let list = self.root.entry(part.list().into()).or_insert(Value::Null);
        let items = as_sequence(list);
        let index = items.iter().position(|item| is_named(item, name)).unwrap_or_else(|| {
            let pairs = [(part.word(), Value::Mapping(Mapping::new())), ("name", name.into())];
            items.push(Value::Mapping(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect()));
            items.len() - 1
        });
        as_mapping(as_mapping(&mut items[index]).entry(part.word().into()).or_insert(Value::Null))
    }

    /// Removes the entries of that name whose body `is_ours`.
    pub(super) fn remove(&mut self, part: Part, name: &str, is_ours: impl Fn(&Mapping) -> bool) {
        if let Some(Value::Sequence(items)) = self.root.get_mut(part.list()) {
            let body = |item: &Value| item.get(part.word()).and_then(Value::as_mapping).is_some_and(&is_ours);
            items.retain(|item| !(is_named(item, name) && body(item)));
        }
    }
}

/// What is wrong, without the reader's advice to programmers and without the place, which is told apart.
fn explain(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    match error {
        serde_saphyr::Error::MultipleDocuments { .. } => "there is more than one document".to_owned(),
        _ => text.rsplit_once(" at line ").map_or(text.clone(), |(problem, _)| problem.to_owned()),
    }
}

fn is_named(item: &Value, name: &str) -> bool {
    item.get("name").and_then(Value::as_str) == Some(name)
}

/// The value as a sequence; anything else (only null, after `parse`) becomes an empty one.
fn as_sequence(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_sequence() {
        *value = Value::Sequence(Vec::new());
    }
    match value {
        Value::Sequence(items) => items,
        _ => unreachable!("made a sequence above"),
    }
}

/// The value as a mapping; anything else becomes an empty one.
pub(super) fn as_mapping(value: &mut Value) -> &mut Mapping {
    if !value.is_mapping() {
        *value = Value::Mapping(Mapping::new());
    }
    match value {
        Value::Mapping(fields) => fields,
        _ => unreachable!("made a mapping above"),
    }
}

/// YAML as Go's readers understand it.
fn reading() -> Options {
    serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false }
}

/// Long certificates stay on one line, as kubectl writes them.
fn writing() -> SerializerOptions {
    serde_saphyr::ser_options! { prefer_block_scalars: false, compact_list_indent: true }
}
