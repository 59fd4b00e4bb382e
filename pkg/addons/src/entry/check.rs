//! From the files of a folder to an addon, or to all that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use semver::VersionReq;
use serde_saphyr::{Budget, Options};
use skiff_kubeapi::Condition;

use super::{
    AGENT, Addon, Image, Open, Template, Value,
    file::{File, ImageFile, ManifestFile, OpenFile, Spec, Text, ValueFile},
    image::Reference,
    kind::{Kind, is_host},
};
use crate::render;

/// The file that describes an addon.
const ENTRY: &str = "addon.yaml";
const API_VERSION: &str = "skiff.dev/v1alpha1";
const KIND: &str = "Addon";

/// Reads an addon from the files of its folder, by name. Problems name the file as `place/file`.
pub(crate) fn read(place: &str, folder: &str, files: &BTreeMap<&str, &str>) -> Result<Addon, Vec<String>> {
    let path = format!("{place}/{ENTRY}");
    let Some(text) = files.get(ENTRY) else { return Err(vec![format!("{path} is missing")]) };
    let file: File = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let line = error.location().map_or_else(String::new, |at| format!(", line {}", at.line()));
        vec![format!("{path}{line}: {error}")]
    })?;
    let mut reading = Reading { problems: Vec::new() };
    let addon = reading.addon(place, folder, file, files);
    if reading.problems.is_empty() {
        Ok(addon)
    } else {
        Err(reading.problems.into_iter().map(|problem| format!("{path}: {problem}")).collect())
    }
}

fn options() -> Options {
    serde_saphyr::options! { budget: None::<Budget>, with_snippet: false }
}

/// Collects what is wrong.
struct Reading {
    problems: Vec<String>,
}

impl Reading {
    fn tell(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    fn addon(&mut self, place: &str, folder: &str, file: File, files: &BTreeMap<&str, &str>) -> Addon {
        let File { api_version, kind, metadata, spec } = file;
        if api_version != API_VERSION || kind != KIND {
            self.tell(format!("apiVersion `{api_version}`, kind `{kind}` should be {API_VERSION}, {KIND}"));
        }
        let name = metadata.name;
        if name != folder {
            self.tell(format!("metadata.name `{name}` is not the name of the folder, `{folder}`"));
        }
        if !is_host(&name) || name.contains('.') || name.len() > 40 {
            self.tell(format!("metadata.name `{name}` should be at most 40 lower case letters, digits and dashes"));
        }
        for (key, text) in [("description", &spec.description), ("maintainer", &spec.maintainer), ("docs", &spec.docs)]
        {
            if text.trim().is_empty() || text.contains('\n') || text.ends_with('.') {
                self.tell(format!("spec.{key} should be one line without a full stop"));
            }
        }
        let values = self.values(&spec.values);
        let images = self.images(&spec.images);
        let templates = self.templates(place, &spec, files, &values);
        self.placeholders(&templates, &values, &images);
        let ready = spec.ready.iter().filter_map(|proof| self.proof(proof)).collect();
        Addon {
            kubernetes: self.range("spec.kubernetes", &spec.kubernetes).unwrap_or(VersionReq::STAR),
            open: spec.open.as_ref().and_then(|open| self.open(open)),
            name,
            description: spec.description,
            maintainer: spec.maintainer,
            docs: spec.docs,
            catalog: None,
            default: spec.default,
            requires: spec.requires,
            after: spec.after,
            images,
            values,
            ready,
            templates,
        }
    }

    fn range(&mut self, key: &str, text: &str) -> Option<VersionReq> {
        let range = VersionReq::parse(text);
        range.map_err(|error| self.tell(format!("{key} `{text}`: {error}; write it like \">=1.20, <1.38\""))).ok()
    }

    fn values(&mut self, files: &[ValueFile]) -> Vec<Value> {
        let mut values: Vec<Value> = Vec::new();
        for file in files {
            let name = &file.name;
            if values.iter().any(|value| value.name == *name) {
                self.tell(format!("value `{name}` is there twice"));
            }
            if !is_host(name) || name.contains('.') {
                self.tell(format!("value `{name}` should be lower case letters, digits and dashes"));
            }
            let choices = file.choices.iter().map(|Text(choice)| choice.clone()).collect();
            let kind = match Kind::new(&file.kind, file.min, file.max, choices) {
                Ok(kind) => kind,
                Err(problem) => {
                    self.tell(format!("value `{name}`: {problem}"));
                    continue;
                }
            };
            let default = file.default.clone().map(|Text(text)| text);
            match &default {
                Some(_) if file.optional => self.tell(format!("value `{name}` has a default, so it is not optional")),
                Some(text) => {
                    if let Err(problem) = kind.check(text) {
                        self.tell(format!("value `{name}`: the default {problem}"));
                    }
                }
                None if file.optional => {}
                None => self.tell(format!("value `{name}` needs a default, or `optional: true`")),
            }
            values.push(Value { name: name.clone(), description: file.description.clone(), default, kind });
        }
        values
    }

    fn images(&mut self, files: &[ImageFile]) -> Vec<Image> {
        let mut images: Vec<Image> = Vec::new();
        for ImageFile { name, preloaded, image } in files {
            if images.iter().any(|image| image.name == *name) {
                self.tell(format!("image `{name}` is there twice"));
            }
            if !is_host(name) || name.contains('.') {
                self.tell(format!("image `{name}` should be lower case letters, digits and dashes"));
            }
            let reference = image.as_deref().map(Reference::parse).transpose().unwrap_or_else(|problem| {
                self.tell(format!("image `{name}`: {problem}"));
                None
            });
            match &reference {
                None if image.is_none() && (name != AGENT || !preloaded) => {
                    self.tell(format!("image `{name}` needs `image`; only `{AGENT}` is what each cluster has"));
                }
                Some(reference) if *preloaded && !reference.is_local() => {
                    self.tell(format!("image `{name}`: {reference} is none of skiff.local, so no node has it"));
                }
                Some(reference) if !preloaded && !reference.is_pinned() => {
                    self.tell(format!("image `{name}`: {reference} should have both a tag and a digest"));
                }
                _ => {}
            }
            images.push(Image { name: name.clone(), reference, preloaded: *preloaded });
        }
        images
    }

    fn templates(&mut self, place: &str, spec: &Spec, files: &BTreeMap<&str, &str>, values: &[Value]) -> Vec<Template> {
        let mut templates = Vec::new();
        for manifest in &spec.manifests {
            let (file, when, range) = match manifest {
                ManifestFile::Always(file) => (file, None, None),
                ManifestFile::Sometimes(it) => (&it.file, it.when.clone(), it.kubernetes.as_deref()),
            };
            if let Some(when) = when.as_ref().filter(|when| !values.iter().any(|value| value.name == **when)) {
                self.tell(format!("manifest {file}: there is no value `{when}`"));
            }
            let kubernetes = range.and_then(|text| self.range(&format!("manifest {file}: kubernetes"), text));
            match files.get(file.as_str()) {
                Some(text) => {
                    let text = (*text).to_owned();
                    templates.push(Template { file: format!("{place}/{file}"), text, when, kubernetes });
                }
                None => self.tell(format!("manifest {file} is missing")),
            }
        }
        let named: BTreeSet<_> = templates.iter().map(|template| template.file.clone()).collect();
        for file in files.keys().filter(|file| **file != ENTRY && !named.contains(&format!("{place}/{file}"))) {
            self.tell(format!("{file} is not among the manifests"));
        }
        templates
    }

    /// Placeholders that nothing would be put in place of.
    fn placeholders(&mut self, templates: &[Template], values: &[Value], images: &[Image]) {
        for template in templates {
            for (line, name) in render::placeholders(&template.text) {
                let known = match name.split_once('.') {
                    Some(("value", value)) => values.iter().any(|it| it.name == value),
                    Some(("image", image)) => images.iter().any(|it| it.name == image),
                    Some(_) => false,
                    None if name == "image" => images.iter().any(|it| it.name == AGENT),
                    None => render::FACTS.contains(&name),
                };
                if !known {
                    self.tell(format!("{}, line {line}: nothing is called {{{{{name}}}}}", template.file));
                }
            }
        }
    }

    fn proof(&mut self, proof: &BTreeMap<String, String>) -> Option<Condition> {
        let (Some((kind, name)), 1) = (proof.iter().next(), proof.len()) else {
            self.tell("each of `ready` is one kind and one name, as in `deployment: kube-system/skiff-example`");
            return None;
        };
        let cluster_wide = matches!(kind.as_str(), "apiservice" | "crd");
        let split = name.split_once('/').map(|(space, name)| (space.to_owned(), name.to_owned()));
        match (kind.as_str(), split) {
            ("apiservice", None) => Some(Condition::ApiService(name.clone())),
            ("crd", None) => Some(Condition::Kind(name.clone())),
            ("deployment", Some((namespace, name))) => Some(Condition::Deployment { namespace, name }),
            ("daemonset", Some((namespace, name))) => Some(Condition::DaemonSet { namespace, name }),
            ("statefulset", Some((namespace, name))) => Some(Condition::StatefulSet { namespace, name }),
            ("deployment" | "daemonset" | "statefulset", None) => {
                self.tell(format!("ready: {kind} `{name}` should be namespace/name"));
                None
            }
            _ if cluster_wide => {
                self.tell(format!("ready: {kind} `{name}` has no namespace"));
                None
            }
            _ => {
                self.tell(format!("ready: there is no proof `{kind}`"));
                None
            }
        }
    }

    fn open(&mut self, open: &OpenFile) -> Option<Open> {
        let Some((namespace, service)) = open.service.split_once('/') else {
            self.tell(format!("open.service `{}` should be namespace/name", open.service));
            return None;
        };
        let path = open.path.clone().unwrap_or_else(|| "/".to_owned());
        if !path.starts_with('/') {
            self.tell(format!("open.path `{path}` should begin with a slash"));
        }
        let port = open.port.clone().map(|Text(port)| port);
        Some(Open { namespace: namespace.to_owned(), service: service.to_owned(), port, path })
    }
}
