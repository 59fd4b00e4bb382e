//! From an addon and what is wanted of it to objects for one cluster. Pure.

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnet::Ipv4Net;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use skiff_config::{AddonWish, KubeVersion};
use skiff_kubeapi::{Condition, Manifest, ObjectRef};

use crate::{
    Addon, AddonError,
    catalog::nearest,
    entry::{AGENT, Reference, check_registry, within},
};

/// The label that says which addon an object belongs to.
pub(crate) const LABEL: &str = "skiff.dev/addon";
/// The label of everything that skiff applies.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The placeholders for facts about the cluster.
pub(crate) const FACTS: [&str; 9] = [
    "domain",
    "cluster_dns_ip",
    "cluster_networks",
    "service_network",
    "pod_network",
    "api_host",
    "api_port",
    "node_network",
    "node_gateway",
];

/// What manifests may need to know of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Its version of Kubernetes.
    pub kubernetes: KubeVersion,
    /// The image of skiff-agent on its nodes.
    pub agent: String,
    /// Its domain.
    pub domain: String,
    /// Address of its DNS.
    pub dns_ip: Ipv4Addr,
    /// Addresses of services.
    pub service_network: Ipv4Net,
    /// Addresses of pods.
    pub pod_network: Ipv4Net,
    /// Host of the control plane's endpoint.
    pub api_host: String,
    /// Its port.
    pub api_port: u16,
    /// Addresses of nodes.
    pub node_network: Ipv4Net,
    /// The host's address among them.
    pub node_gateway: Ipv4Addr,
}

impl Context {
    fn fact(&self, name: &str) -> Option<String> {
        Some(match name {
            "domain" => self.domain.clone(),
            "cluster_dns_ip" => self.dns_ip.to_string(),
            "cluster_networks" => format!("{},{}", self.service_network, self.pod_network),
            "service_network" => self.service_network.to_string(),
            "pod_network" => self.pod_network.to_string(),
            "api_host" => self.api_host.clone(),
            "api_port" => self.api_port.to_string(),
            "node_network" => self.node_network.to_string(),
            "node_gateway" => self.node_gateway.to_string(),
            _ => return None,
        })
    }
}

/// One thing wrong with what is wanted of an addon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsProblem {
    /// What it is about, as it would be written: `--set http-port=0`.
    pub setting: String,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.setting, self.message)
    }
}

/// An addon as objects for one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The addon.
    pub name: String,
    /// Its objects.
    pub objects: Vec<Manifest>,
    /// What proves that it works.
    pub ready: Vec<Condition>,
    /// Tells one rendering from another.
    pub digest: String,
}

impl Rendered {
    /// Which objects belong to it.
    #[must_use]
    pub fn list(&self) -> Vec<ObjectRef> {
        self.objects.iter().map(Manifest::object).collect()
    }

    /// True if every container of its workloads says by a readiness probe that it works.
    pub(crate) fn is_probed(&self) -> bool {
        let containers = |object: &Manifest| object.body().pointer("/spec/template/spec/containers").cloned();
        let containers = self.objects.iter().filter_map(containers).flat_map(|list| match list {
            Json::Array(containers) => containers,
            _ => Vec::new(),
        });
        containers.into_iter().all(|container| container.get("readinessProbe").is_some())
    }
}

impl Addon {
    /// Everything that is wrong with what is wanted of this addon.
    #[must_use]
    pub fn problems(&self, wish: &AddonWish) -> Vec<SettingsProblem> {
        let mut problems = Vec::new();
        let mut tell = |setting: String, message: String| problems.push(SettingsProblem { setting, message });
        let names: Vec<&str> = self.values.iter().map(|value| value.name.as_str()).collect();
        for (name, text) in &wish.values {
            let setting = format!("--set {name}={text}");
            match self.values.iter().find(|value| value.name == *name) {
                Some(value) => {
                    if let Err(message) = value.check(text) {
                        tell(setting, message);
                    }
                }
                None => tell(setting, unknown(&self.name, "value", name, &names)),
            }
        }
        let images: Vec<&str> = self.images.iter().map(|image| image.name.as_str()).collect();
        let known = |name: &str| self.images.iter().any(|image| image.name == name);
        for (name, text) in &wish.images {
            match Reference::parse(text) {
                _ if !known(name) => {
                    tell(format!("--images {name}={text}"), unknown(&self.name, "image", name, &images))
                }
                Err(message) => tell(format!("--images {name}={text}"), message),
                Ok(_) => {}
            }
        }
        for (name, text) in &wish.registries {
            match check_registry(text) {
                _ if !known(name) => {
                    tell(format!("--registries {name}={text}"), unknown(&self.name, "image", name, &images));
                }
                Err(message) => tell(format!("--registries {name}={text}"), message),
                Ok(()) => {}
            }
        }
        problems
    }

    /// The image that manifests get by this name.
    #[must_use]
    pub fn image(&self, name: &str, wish: &AddonWish, agent: &str) -> Option<String> {
        let own = self.images.iter().find(|image| image.name == name)?;
        let asked = wish.images.get(name).and_then(|text| Reference::parse(text).ok());
        let reference = match (asked, &own.reference) {
            (Some(asked), _) => asked,
            (None, Some(own)) => own.clone(),
            (None, None) if wish.registries.contains_key(name) => Reference::parse(agent).ok()?,
            (None, None) => return Some(agent.to_owned()),
        };
        let moved = match wish.registries.get(name) {
            Some(registry) => reference.at(registry),
            None => reference,
        };
        Some(moved.to_string())
    }

    /// The addon as objects for a cluster.
    ///
    /// # Errors
    /// Everything that is wrong with the settings, or else with the manifests.
    pub fn render(&self, wish: &AddonWish, context: &Context) -> Result<Rendered, AddonError> {
        let problems = self.problems(wish);
        if !problems.is_empty() {
            return Err(AddonError::Settings { addon: self.name.clone(), problems });
        }
        let mut values = self.defaults();
        values.extend(wish.values.clone());
        let (mut objects, mut problems) = (Vec::new(), Vec::new());
        let mut hash = Sha256::new();
        for template in &self.templates {
            let is_set = |name: &String| values.get(name).is_some_and(|text| !text.is_empty() && text != "false");
            let wanted = template.when.as_ref().is_none_or(is_set)
                && template.kubernetes.as_ref().is_none_or(|range| within(range, &context.kubernetes));
            if !wanted {
                continue;
            }
            let text = fill(&template.text, |name| self.fill_in(name, &values, wish, context));
            hash.update(&text);
            match Manifest::read(&template.file, &text) {
                Ok(read) => objects.extend(read),
                Err(errors) => problems.extend(errors),
            }
        }
        if !problems.is_empty() {
            return Err(AddonError::Manifests { addon: self.name.clone(), problems });
        }
        for object in &mut objects {
            mark(object.body_mut(), &self.name);
        }
        let digest = hash.finalize().iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        Ok(Rendered { name: self.name.clone(), objects, ready: self.ready.clone(), digest })
    }

    fn fill_in(
        &self,
        name: &str,
        values: &BTreeMap<String, String>,
        wish: &AddonWish,
        context: &Context,
    ) -> Option<String> {
        match name.split_once('.') {
            None if name == "image" => self.image(AGENT, wish, &context.agent),
            None => context.fact(name),
            Some(("image", image)) => self.image(image, wish, &context.agent),
            Some(("value", value)) => Some(escaped(values.get(value)?)),
            Some(_) => None,
        }
    }
}

/// As it must be inside double quotes. What needs no quotes has nothing to escape.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn unknown(addon: &str, what: &str, name: &str, known: &[&str]) -> String {
    let near = nearest(name, known.iter().copied());
    match (near.as_slice(), known) {
        ([near, ..], _) => format!("{addon} has no {what} `{name}`; did you mean `{near}`?"),
        (_, []) => format!("{addon} has no {what} that can be set"),
        _ => format!("{addon} has no {what} `{name}`: use {}", known.join(", ")),
    }
}

/// Labels an object as skiff's and as the addon's.
fn mark(body: &mut Json, addon: &str) {
    let Some(metadata) = body.get_mut("metadata").and_then(Json::as_object_mut) else { return };
    let labels = metadata.entry("labels").or_insert_with(|| Json::Object(serde_json::Map::new()));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(MANAGED_BY.to_owned(), "skiff".into());
        labels.insert(LABEL.to_owned(), addon.into());
    }
}

/// Every placeholder of a template, with its line.
pub(crate) fn placeholders(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else { break };
            found.push((index + 1, name));
            rest = after;
        }
    }
    found
}

/// Puts what `value` knows in place of placeholders; the others stay.
fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled += before;
        let end = after.split_once("}}").filter(|(name, _)| !name.contains('\n'));
        match end.and_then(|(name, after)| Some((value(name)?, after))) {
            Some((value, after)) => {
                filled += &value;
                rest = after;
            }
            None => {
                filled += "{{";
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
pub(crate) mod tests;
