//! Names that somebody may have meant: pure.

/// How many are offered.
const MOST: usize = 3;

/// The names that look most like `wanted`, the best first.
pub(super) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let allowed = (wanted.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let distance = strsim::damerau_levenshtein(wanted, name);
            let part = wanted.len() > 2 && (name.contains(wanted) || wanted.contains(name));
            (distance <= allowed || part).then_some((distance, name))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MOST).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_parts_of_names_are_near() {
        let names = ["web", "web-admin", "database", "kubernetes"];
        assert_eq!(nearest("wbe", names), ["web"]);
        assert_eq!(nearest("admin", names), ["web-admin"]);
        assert_eq!(nearest("databsae", names), ["database"]);
        assert!(nearest("queue", names).is_empty());
    }
}
