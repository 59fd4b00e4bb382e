//! Reads `resolv.conf(5)`, for the forwarder and for `lookup`.

use std::{net::IpAddr, path::Path};

use hickory_proto::rr::Name;

/// The C library looks at no more name servers than this.
const MAX_SERVERS: usize = 3;
/// The C library caps the option `ndots` here.
const MAX_NDOTS: usize = 15;

/// What a `resolv.conf` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    /// The name servers in order.
    pub(crate) servers: Vec<IpAddr>,
    /// The search list in order.
    pub(crate) search: Vec<Name>,
    /// Names with at least this many dots are tried as they are first.
    pub(crate) ndots: usize,
}

impl ResolvConf {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self::parse(&std::fs::read_to_string(path)?))
    }

    /// Parses the text of a `resolv.conf`; as in the C library, lines that make no sense are passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let mut conf = Self { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            if line.starts_with(['#', ';']) {
                continue;
            }
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server_address)),
                Some("search" | "domain") => {
                    conf.search = words.filter_map(|word| Name::from_utf8(word).ok()).map(absolute).collect();
                }
                Some("options") => {
                    for ndots in words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()) {
                        conf.ndots = MAX_NDOTS.min(ndots);
                    }
                }
                _ => {}
            }
        }
        conf.servers.truncate(MAX_SERVERS);
        conf
    }

    /// The full names to try for `name`, in order.
    pub(crate) fn candidates(&self, name: &Name) -> Vec<Name> {
        if name.is_fqdn() {
            return vec![name.clone()];
        }
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let bare = absolute(name.clone());
        let mut names: Vec<Name> =
            self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        if dots >= self.ndots {
            names.insert(0, bare);
        } else {
            names.push(bare);
        }
        names
    }
}

/// An address, possibly with a zone (`fe80::1%eth0`), which means nothing in another network namespace.
fn server_address(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

fn absolute(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(conf: &ResolvConf, name: &str) -> Vec<String> {
        conf.candidates(&Name::from_utf8(name).unwrap()).iter().map(Name::to_string).collect()
    }

    #[test]
    fn a_pods_file_is_understood() {
        let conf = ResolvConf::parse(
            "# by the kubelet\nnameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local\n\
             options ndots:5 timeout:1\n",
        );
        assert_eq!(conf.servers, ["10.96.0.10".parse::<IpAddr>().unwrap()]);
        assert_eq!(conf.ndots, 5);
        assert_eq!(names(&conf, "web"), ["web.default.svc.cluster.local.", "web.svc.cluster.local.", "web."]);
    }

    #[test]
    fn a_name_with_enough_dots_is_tried_as_it_is_first() {
        let conf = ResolvConf::parse("search a.test\noptions ndots:2\n");
        assert_eq!(names(&conf, "x.y"), ["x.y.a.test.", "x.y."]);
        assert_eq!(names(&conf, "x.y.z"), ["x.y.z.", "x.y.z.a.test."]);
    }

    #[test]
    fn a_final_dot_turns_the_search_list_off() {
        let conf = ResolvConf::parse("search a.test\n");
        assert_eq!(names(&conf, "x."), ["x."]);
    }

    #[test]
    fn nonsense_and_surplus_servers_are_passed_over() {
        let conf = ResolvConf::parse(
            "nameserver\nnameserver here\nnameserver ::1\nnameserver fe80::1%eth0\nfoo bar\n\
             nameserver 1.1.1.1\nnameserver 2.2.2.2\noptions ndots:x\n",
        );
        let servers: Vec<String> = conf.servers.iter().map(IpAddr::to_string).collect();
        assert_eq!(servers, ["::1", "fe80::1", "1.1.1.1"]);
        assert_eq!(conf.ndots, 1);
    }

    #[test]
    fn the_last_search_line_wins() {
        let conf = ResolvConf::parse("search a.test\ndomain b.test\n");
        assert_eq!(names(&conf, "x"), ["x.b.test.", "x."]);
    }
}
