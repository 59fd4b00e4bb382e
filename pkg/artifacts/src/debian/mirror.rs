//! Which Debian mirror to use: the one that this host's apt is configured with, or a given one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use skiff_runner::{Command, LocalRunner, Runner};

use super::recipe::SUITE;
use crate::{ArtifactError, set::Arch};

/// Where Debian's own package puts the keys of its archive.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Releases and aliases that mark an entry as Debian's where apt has fetched no lists yet, and so
/// cannot tell the origin.
const RELEASES: [&str; 10] =
    ["buster", "bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"];

/// Part of an archive that packages are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Address as in apt's sources.
    pub(crate) uri: String,
    /// Suite, e.g. `bookworm-security`.
    pub(crate) suite: String,
}

/// A mirror and the keys it is verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// The release itself first, then its updates.
    pub(crate) archives: Vec<Archive>,
    /// Keys that must have signed it.
    pub(crate) keyring: PathBuf,
    /// Lines of apt configuration that say which proxy to use.
    pub(crate) proxies: Vec<String>,
}

impl Mirror {
    /// Finds the mirror.
    ///
    /// # Errors
    /// When none is given and the host's apt has none of Debian's, or when there is no keyring.
    pub(crate) async fn find(given: Option<&str>, keyring: Option<&Path>) -> Result<Self, ArtifactError> {
        let archives = match given {
            Some(uri) => vec![Archive { uri: uri.to_owned(), suite: SUITE.to_owned() }],
            None => archives(&ask(&["apt-get", "indextargets", "Created-By: Packages"]).await),
        };
        if archives.is_empty() {
            return Err(ArtifactError::MirrorUnknown);
        }
        let keyring = keyring.unwrap_or(Path::new(KEYRING)).to_owned();
        if !keyring.is_file() {
            return Err(ArtifactError::KeyringMissing { path: keyring });
        }
        Ok(Self { archives, keyring, proxies: proxies(&ask(&["apt-config", "dump"]).await) })
    }

    /// The address of the release itself, for people: without a user's name and password.
    pub(crate) fn shown(&self) -> String {
        let uri = self.archives.first().map_or("", |archive| &archive.uri);
        let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{scheme}://{host}{path}")
    }

    /// Host and port to try a connection to; `None` where apt reaches the mirror in another way.
    pub(crate) fn address(&self) -> Option<(String, u16)> {
        if !self.proxies.is_empty() {
            return None;
        }
        let uri = self.shown();
        let (scheme, rest) = uri.split_once("://")?;
        let default = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = rest.split('/').next()?;
        match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') => Some((name.to_owned(), port.parse().ok()?)),
            _ => Some((host.to_owned(), default)),
        }
    }

    /// The mirror as apt's sources, with source packages.
    pub(crate) fn sources(&self, arch: Arch) -> String {
        self.entries("deb deb-src", arch)
    }

    /// The mirror as apt's sources of packages to install.
    pub(crate) fn binary_sources(&self, arch: Arch) -> String {
        self.entries("deb", arch)
    }

    fn entries(&self, types: &str, arch: Arch) -> String {
        let entry = |archive: &Archive| {
            format!(
                "Types: {types}\nURIs: {}\nSuites: {}\nComponents: main\nArchitectures: {}\nSigned-By: {}\n\n",
                archive.uri,
                archive.suite,
                arch.name(),
                self.keyring.display()
            )
        };
        self.archives.iter().map(entry).collect()
    }
}

/// What a program prints; nothing if it cannot be run, which is what a host without apt answers.
async fn ask(argv: &[&str]) -> String {
    let argv = ["env", "LC_ALL=C"].iter().chain(argv).copied();
    LocalRunner.output(Command::new(argv)).await.map(|output| output.stdout_text()).unwrap_or_default()
}

/// The archives of `SUITE` on the mirrors in the output of `apt-get indextargets`: whatever release
/// the host itself uses, its mirror has the others too.
fn archives(targets: &str) -> Vec<Archive> {
    let mut found = BTreeMap::new();
    for target in targets.split("\n\n") {
        let fields: BTreeMap<&str, &str> = target.lines().filter_map(|line| line.split_once(": ")).collect();
        let field = |name| fields.get(name).copied().unwrap_or_default();
        if field("Created-By") != "Packages" || field("Component") != "main" {
            continue;
        }
        let release = field("Release").trim_end_matches('/');
        let (name, pocket) = release.split_once(['-', '/']).map_or((release, ""), |(name, pocket)| (name, pocket));
        let debian = match field("Origin") {
            "" => RELEASES.contains(&name),
            origin => origin == "Debian",
        };
        // The lowest number is the first in the list; the first mirror of each kind is enough.
        let suite = match pocket {
            "" => (0, SUITE.to_owned()),
            "updates" => (1, format!("{SUITE}-updates")),
            "security" => (2, format!("{SUITE}-security")),
            _ => continue,
        };
        if debian && !field("Repo-URI").is_empty() {
            found.entry(suite).or_insert_with(|| field("Repo-URI").to_owned());
        }
    }
    if !found.contains_key(&(0, SUITE.to_owned())) {
        return Vec::new();
    }
    found.into_iter().map(|((_, suite), uri)| Archive { uri, suite }).collect()
}

/// The proxy settings in the output of `apt-config dump`.
fn proxies(config: &str) -> Vec<String> {
    let proxy = |line: &&str| {
        let name = line.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        let transport = name.starts_with("acquire::http::") || name.starts_with("acquire::https::");
        transport && name.contains("proxy") && !line.ends_with("\"\";")
    };
    config.lines().filter(proxy).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(origin: &str, release: &str, uri: &str) -> String {
        let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\n") };
        format!("{origin}Component: main\nCreated-By: Packages\nRelease: {release}\nRepo-URI: {uri}\n\n")
    }

    fn suites(text: &str) -> Vec<String> {
        archives(text).into_iter().map(|archive| format!("{} {}", archive.uri, archive.suite)).collect()
    }

    #[test]
    fn the_hosts_debian_mirror_serves_whatever_release_the_host_runs() {
        let text = [
            target("Debian", "trixie", "http://mirror.test/debian/"),
            target("Debian", "trixie-updates", "http://mirror.test/debian/"),
            target("Debian", "trixie-security", "http://mirror.test/security/"),
            target("Debian", "trixie-backports", "http://mirror.test/debian/"),
            target("Node Source", "nodistro", "https://other.test/"),
        ]
        .concat();
        assert_eq!(
            suites(&text),
            [
                "http://mirror.test/debian/ bookworm",
                "http://mirror.test/debian/ bookworm-updates",
                "http://mirror.test/security/ bookworm-security"
            ]
        );
    }

    #[test]
    fn a_host_without_lists_is_known_by_its_releases() {
        assert_eq!(suites(&target("", "stable", "http://m.test/debian/")), ["http://m.test/debian/ bookworm"]);
        assert!(suites(&target("", "jammy", "http://m.test/ubuntu/")).is_empty());
    }

    #[test]
    fn other_distributions_have_no_debian_mirror() {
        assert!(suites(&target("Ubuntu", "jammy", "http://m.test/ubuntu/")).is_empty());
        assert!(suites("").is_empty());
        assert!(suites(&target("Debian", "trixie-security", "http://m.test/")).is_empty());
    }

    #[test]
    fn proxies_of_apt_are_kept_and_empty_ones_dropped() {
        let config = "Acquire::http::Proxy \"http://proxy.test:3128\";\nAcquire::https::Proxy \"\";\n\
                      Acquire::http::Proxy::m.test \"DIRECT\";\nAcquire::Languages \"en\";\n";
        assert_eq!(
            proxies(config),
            ["Acquire::http::Proxy \"http://proxy.test:3128\";", "Acquire::http::Proxy::m.test \"DIRECT\";"]
        );
    }

    #[test]
    fn the_address_to_try_follows_from_the_uri() {
        let mirror = |uri: &str| Mirror {
            archives: vec![Archive { uri: uri.to_owned(), suite: SUITE.to_owned() }],
            keyring: KEYRING.into(),
            proxies: vec![],
        };
        assert_eq!(mirror("http://m.test/debian").address(), Some(("m.test".to_owned(), 80)));
        assert_eq!(mirror("https://u:p@m.test:8443/debian").address(), Some(("m.test".to_owned(), 8443)));
        assert_eq!(mirror("https://u:p@m.test:8443/debian").shown(), "https://m.test:8443/debian");
        assert_eq!(mirror("http://m.test/@debian").shown(), "http://m.test/@debian");
        assert_eq!(mirror("file:///srv/debian").address(), None);
        assert_eq!(mirror("mirror+file:///etc/apt/mirrors").address(), None);
    }

    #[test]
    fn sources_demand_the_keyring() {
        let archives = vec![Archive { uri: "http://m.test/debian".to_owned(), suite: "bookworm".to_owned() }];
        let mirror = Mirror { archives, keyring: "/k.gpg".into(), proxies: vec![] };
        assert_eq!(
            mirror.sources(Arch::Arm64),
            "Types: deb deb-src\nURIs: http://m.test/debian\nSuites: bookworm\nComponents: main\n\
             Architectures: arm64\nSigned-By: /k.gpg\n\n"
        );
    }
}
