//! From a path to its route: a look-up for each segment, however many paths there are.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use regex_lite::Regex;

use super::{Asked, route::Route};

/// How a path is compared.
#[derive(Clone, Debug)]
pub(crate) enum PathRule {
    /// The whole path.
    Exact(String),
    /// Whole segments from its beginning.
    Prefix(String),
    /// By an expression, of which `source` is what was written.
    Regex {
        /// The expression.
        regex: Regex,
        /// What was written, for its length.
        source: String,
    },
}

/// The paths of one host.
#[derive(Debug, Default)]
pub(super) struct Paths {
    exact: HashMap<String, Vec<Arc<Route>>>,
    /// Without the slash at the end.
    prefix: HashMap<String, Vec<Arc<Route>>>,
    /// Whether any prefix holds more than the root: most hosts have nothing else.
    has_deep_prefix: bool,
    regexes: Vec<RegexPath>,
}

#[derive(Debug)]
struct RegexPath {
    regex: Regex,
    /// What each match begins with, in lower case: a quick way to say no.
    literal: String,
    length: usize,
    route: Arc<Route>,
}

impl Paths {
    pub(super) fn add(&mut self, rule: PathRule, route: Arc<Route>) {
        match rule {
            PathRule::Exact(path) => self.exact.entry(path).or_default().push(route),
            PathRule::Prefix(path) => {
                let path = path.trim_end_matches('/');
                self.has_deep_prefix |= !path.is_empty();
                self.prefix.entry(path.to_owned()).or_default().push(route);
            }
            PathRule::Regex { regex, source } => {
                let literal = literal(&source);
                self.regexes.push(RegexPath { regex, literal, length: source.len(), route });
            }
        }
    }

    /// Sorts what is looked through in order. Sorting is stable: among equals the first added stays first.
    pub(super) fn finish(&mut self) {
        self.regexes.sort_by_key(|path| Reverse(path.length));
        for routes in self.exact.values_mut().chain(self.prefix.values_mut()) {
            routes.sort_by_key(|route| Reverse(route.conditions.weight()));
        }
    }

    /// Exact paths win, then the longest of prefixes and expressions.
    pub(super) fn find(&self, asked: &Asked<'_>) -> Option<&Arc<Route>> {
        if let Some(found) = self.exact.get(asked.path).and_then(|routes| first(routes, asked)) {
            return Some(found);
        }
        let prefix = self.find_prefix(asked);
        if self.regexes.is_empty() {
            return prefix.map(|(_, route)| route);
        }
        let length = prefix.map_or(0, |(length, _)| length);
        let longer = self.regexes.iter().take_while(|path| path.length >= length);
        let lower = asked.path.to_ascii_lowercase();
        let mut matching = longer.filter(|path| lower.starts_with(&path.literal) && path.regex.is_match(asked.path));
        matching.next().map(|path| &path.route).or(prefix.map(|(_, route)| route))
    }

    fn find_prefix(&self, asked: &Asked<'_>) -> Option<(usize, &Arc<Route>)> {
        if self.has_deep_prefix {
            let mut rest = asked.path;
            while !rest.is_empty() {
                if let Some(found) = self.prefix.get(rest).and_then(|routes| first(routes, asked)) {
                    return Some((rest.len(), found));
                }
                rest = &rest[..rest.rfind('/')?];
            }
        }
        self.prefix.get("").and_then(|routes| first(routes, asked)).map(|route| (1, route))
    }

    pub(super) fn len(&self) -> usize {
        self.exact.values().chain(self.prefix.values()).map(Vec::len).sum::<usize>() + self.regexes.len()
    }
}

fn first<'a>(routes: &'a [Arc<Route>], asked: &Asked<'_>) -> Option<&'a Arc<Route>> {
    routes.iter().find(|route| route.conditions.hold(asked.head))
}

/// The plain characters that every match of an expression begins with, in lower case.
fn literal(source: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
    let end = source.find(|c| !is_plain(c)).unwrap_or(source.len());
    let mut literal = source[..end].to_ascii_lowercase();
    // The last character may be optional.
    if source[end..].starts_with(['?', '*', '{']) {
        literal.pop();
    }
    if has_branches(source) { String::new() } else { literal }
}

/// Whether an expression has alternatives that begin differently. Brackets that are escaped are counted too, which
/// errs on the side of looking closer.
fn has_branches(source: &str) -> bool {
    let mut depth = 0_i32;
    source.chars().any(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == '|' && depth <= 0
    }) || source.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn the_quick_no_is_never_wrong() {
        for (source, expected) in [
            ("/api(/|$)(.*)", "/api"),
            ("/Api/v1", "/api/v1"),
            ("/ab?c", "/a"),
            ("/a.*", "/a"),
            ("/a|/b", ""),
            ("/(a|b)", "/"),
            ("/ab(c)|/x", ""),
            ("/ab\\(|/x", ""),
            ("^/a", ""),
        ] {
            assert_eq!(literal(source), expected, "{source}");
        }
    }
}
