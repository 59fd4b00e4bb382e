//! Where the upstream servers come from: fixed ones, or a `resolv.conf` that may change under us.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use crate::resolv::ResolvConf;

/// The port that a `resolv.conf` means.
const DNS_PORT: u16 = 53;
/// How often a look at the file is worth it.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// The origin of the list of upstreams.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// These servers, always.
    Fixed(Vec<SocketAddr>),
    /// The name servers of this file.
    File(PathBuf),
}

/// Follows a source and reports its servers when they may have changed.
#[derive(Debug)]
pub(crate) struct Follower {
    source: Source,
    checked: Option<Instant>,
    modified: Option<SystemTime>,
}

impl Follower {
    /// A follower that reports at the first look.
    pub(crate) fn new(source: Source) -> Self {
        Self { source, checked: None, modified: None }
    }

    /// The servers, if this is the first look or the file changed since the last one.
    /// A file that cannot be read keeps the servers as they were.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Vec<SocketAddr>> {
        let first = self.checked.is_none();
        if self.checked.is_some_and(|checked| now < checked + CHECK_EVERY) {
            return None;
        }
        self.checked = Some(now);
        match &self.source {
            Source::Fixed(servers) => first.then(|| servers.clone()),
            Source::File(path) => {
                let modified = std::fs::metadata(path).and_then(|data| data.modified()).ok();
                if !first && modified == self.modified {
                    return None;
                }
                self.modified = modified;
                match ResolvConf::read(path) {
                    Ok(conf) => Some(conf.servers.into_iter().map(|ip| SocketAddr::new(ip, DNS_PORT)).collect()),
                    Err(error) => {
                        tracing::warn!(path = %path.display(), %error, "cannot read the upstream servers");
                        None
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        let (mut follower, now) = (Follower::new(Source::File(path.clone())), Instant::now());
        assert_eq!(follower.poll(now), Some(vec!["192.0.2.1:53".parse().unwrap()]));
        assert_eq!(follower.poll(now + CHECK_EVERY), None, "nothing changed");

        std::fs::write(&path, "nameserver 192.0.2.2\n").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(follower.poll(now + CHECK_EVERY), None, "too soon");
        assert_eq!(follower.poll(now + 2 * CHECK_EVERY), Some(vec!["192.0.2.2:53".parse().unwrap()]));

        std::fs::remove_file(&path).unwrap();
        assert_eq!(follower.poll(now + 3 * CHECK_EVERY), None, "the old servers stay");
    }

    #[test]
    fn fixed_servers_are_reported_once() {
        let servers = vec!["192.0.2.1:5353".parse().unwrap()];
        let (mut follower, now) = (Follower::new(Source::Fixed(servers.clone())), Instant::now());
        assert_eq!(follower.poll(now), Some(servers));
        assert_eq!(follower.poll(now + CHECK_EVERY), None);
    }
}
