//! From a host to its paths.

use std::{collections::HashMap, sync::Arc};

use super::{
    Asked,
    paths::{PathRule, Paths},
    route::Route,
};

/// The host of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum HostName {
    /// Every host.
    Any,
    /// One host.
    Exact(String),
    /// The hosts below a domain, which is written without the star and its dot.
    Below(String, Depth),
}

/// How far below a domain a wildcard reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// One label, as ingresses have it.
    One,
    /// Any number of labels, as the Gateway API has it.
    Many,
}

impl HostName {
    /// The host that a rule names; nothing or nothing but a star means every host.
    pub(crate) fn parse(text: Option<&str>, depth: Depth) -> Self {
        let text = text.unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        match text.strip_prefix("*.") {
            _ if text.is_empty() || text == "*" => Self::Any,
            Some(domain) => Self::Below(domain.to_owned(), depth),
            None => Self::Exact(text),
        }
    }
}

/// The paths of all hosts. What a host's own paths do not match is tried with the wildcards above it, the nearest
/// first, and then with the rules for every host.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    exact: HashMap<String, Paths>,
    one_below: HashMap<String, Paths>,
    below: HashMap<String, Paths>,
    any: Paths,
}

impl Hosts {
    /// Adds a route. Of two routes that match the same requests the first stays in force.
    pub(crate) fn add(&mut self, host: HostName, rule: PathRule, route: Arc<Route>) {
        let paths = match host {
            HostName::Any => &mut self.any,
            HostName::Exact(host) => self.exact.entry(host).or_default(),
            HostName::Below(domain, Depth::One) => self.one_below.entry(domain).or_default(),
            HostName::Below(domain, Depth::Many) => self.below.entry(domain).or_default(),
        };
        paths.add(rule, route);
    }

    /// Puts things in the order they are looked through. To be called once all routes have been added.
    pub(crate) fn finish(&mut self) {
        let maps = [&mut self.exact, &mut self.one_below, &mut self.below];
        maps.into_iter().flat_map(HashMap::values_mut).chain([&mut self.any]).for_each(Paths::finish);
    }

    /// The route for a request.
    pub(crate) fn find(&self, asked: &Asked<'_>) -> Option<&Arc<Route>> {
        if let Some(found) = self.exact.get(asked.host).and_then(|paths| paths.find(asked)) {
            return Some(found);
        }
        let mut domain = asked.host;
        let mut depth = Depth::One;
        while !(self.below.is_empty() && (self.one_below.is_empty() || depth == Depth::Many)) {
            let Some((_, rest)) = domain.split_once('.') else { break };
            domain = rest;
            let nearest = (depth == Depth::One).then(|| self.one_below.get(domain)).flatten();
            let found = nearest.and_then(|paths| paths.find(asked));
            let found = found.or_else(|| self.below.get(domain).and_then(|paths| paths.find(asked)));
            if found.is_some() {
                return found;
            }
            depth = Depth::Many;
        }
        self.any.find(asked)
    }

    /// How many routes there are.
    pub(crate) fn len(&self) -> usize {
        let maps = [&self.exact, &self.one_below, &self.below];
        maps.into_iter().flat_map(HashMap::values).chain([&self.any]).map(Paths::len).sum()
    }
}
