//! Auto-pause: a cluster that nobody uses is frozen, and goes on with the next use.
//!
//! A process of skiff's stays behind and looks at the host's own connections. It is not in their way:
//! those who connect to a frozen cluster are taken in by the kernel, and get their answer as soon as
//! this process has let the cluster go on. Should it die, a cluster that runs just runs on, and one that
//! is frozen is let go by `unpause` or `start`, which leaves another one behind.
//!
//! As with scheduled stops, the note in the profile is the truth: who is not named there ends. It is written and
//! obeyed under the cluster's lock only, so that nobody freezes a cluster that was just taken from it.

mod sockets;

use std::{collections::BTreeSet, fs, time::Duration};

use skiff_config::{ClusterFile, ClusterName};
use skiff_driver::Driver;
use skiff_runner::Connect;
use skiff_store::{Lock, Process, Store};
use tokio::time::Instant;

use self::sockets::{Doors, Socket, Use};
use crate::{
    ClusterError, ConnectApi, Host, PauseScope, identity,
    pause::{freeze, let_go_on, was_paused},
};

/// File of the profile: who attends, and whether the cluster is frozen by it.
const FILE: &str = "auto-pause";
/// What stands there while it is.
const FROZEN: &str = "frozen";
/// How often to look at a cluster that runs: a connection that was there is seen for a minute.
const LOOK: Duration = Duration::from_secs(2);
/// How often to look at one that is frozen: somebody may wait.
const LOOK_FROZEN: Duration = Duration::from_millis(200);
/// Where Linux tells of connections.
const LISTS: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Whether this system tells who is connected.
#[must_use]
pub fn can_auto_pause() -> bool {
    fs::exists(LISTS[0]).unwrap_or(false)
}

/// A cluster that nobody attends, and that nobody else works on.
#[derive(Debug)]
pub struct Unattended<'a> {
    store: &'a Store,
    name: &'a ClusterName,
    _lock: Lock,
}

impl Unattended<'_> {
    /// Notes who attends it from now on.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn hand_to(self, attendant: &Process) -> Result<(), ClusterError> {
        write(self.store, self.name, attendant, false)
    }
}

/// Takes a cluster from whoever attends it, who ends. What that has frozen goes on.
///
/// # Errors
/// When the note cannot be read or removed, or the driver fails.
pub async fn take_from_attendant<'a, D: Driver, C: Connect, K: ConnectApi>(
    host: &'a Host<D, C, K>,
    name: &'a ClusterName,
) -> Result<Unattended<'a>, ClusterError> {
    let lock = host.lock(name).await?;
    wake_locked(host, name).await?;
    end_auto_pause(&host.store, name)?;
    Ok(Unattended { store: &host.store, name, _lock: lock })
}

/// Nobody attends the cluster any more, whose lock the caller has.
pub(crate) fn end_auto_pause(store: &Store, name: &ClusterName) -> Result<(), ClusterError> {
    let noted = noted(store, name)?;
    store.remove_file(name, FILE)?;
    if let Some((attendant, _)) = noted
        && attendant != Process::me()
    {
        attendant.terminate();
    }
    Ok(())
}

/// True if the cluster is frozen only until somebody uses it. Whether or not it is attended still: whoever
/// uses it must not be told to thaw it first.
fn wakes_by_use(store: &Store, name: &ClusterName) -> Result<bool, ClusterError> {
    Ok(noted(store, name)?.is_some_and(|(_, frozen)| frozen))
}

/// Lets a cluster go on that is frozen because nobody used it, for somebody who is about to. One that was
/// paused by hand stays so. True if there was anything to do.
///
/// # Errors
/// When the profile cannot be read, or the driver fails.
pub async fn wake<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<bool, ClusterError> {
    // Nobody who uses a cluster that runs waits for who works on it.
    if !wakes_by_use(&host.store, name)? || !was_paused(&host.store, name)? {
        return Ok(false);
    }
    let _lock = host.lock(name).await?;
    wake_locked(host, name).await
}

async fn wake_locked<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<bool, ClusterError> {
    if !wakes_by_use(&host.store, name)? || !was_paused(&host.store, name)? {
        return Ok(false);
    }
    host.reporter.info(&format!("Cluster `{name}` was paused because nobody used it: it goes on"));
    match let_go_on(host, name, PauseScope::Machines).await {
        Ok(_) => Ok(true),
        // It was stopped meanwhile, which whoever wants to use it tells better.
        Err(ClusterError::NotRunning(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn noted(store: &Store, name: &ClusterName) -> Result<Option<(Process, bool)>, ClusterError> {
    let text = identity::read(store, name, FILE)?.unwrap_or_default();
    let mut lines = text.lines();
    let process = lines.next().and_then(|line| line.parse().ok());
    Ok(process.map(|process| (process, lines.next() == Some(FROZEN))))
}

fn write(store: &Store, name: &ClusterName, attendant: &Process, frozen: bool) -> Result<(), ClusterError> {
    let state = if frozen { FROZEN } else { "" };
    store.write_file(name, FILE, format!("{attendant}\n{state}\n").as_bytes())?;
    Ok(())
}

/// Attends a cluster until somebody else does, it asks for it no more, or it is stopped or gone.
/// `told` learns what becomes of it.
///
/// # Errors
/// When the profile cannot be read.
pub async fn attend_cluster<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
    told: &(dyn Fn(&str) + Sync),
) -> Result<(), ClusterError> {
    let file = host.load(name)?;
    let spec = file.to_spec().map_err(|problems| ClusterError::Settings { problems })?;
    let Some(interval) = spec.auto_pause else { return Ok(()) };
    let mut attendant = Attendant { host, name, used: Use::of(doors(&file)), frozen: false, last: Instant::now() };
    loop {
        tokio::time::sleep(if attendant.frozen { LOOK_FROZEN } else { LOOK }).await;
        if !attendant.is_noted()? {
            return Ok(());
        }
        match attendant.turn(&connections(), interval).await {
            Ok(None) => {}
            Ok(Some(news)) => told(news),
            Err(ClusterError::NotRunning(_) | ClusterError::NotFound(_)) => return Ok(()),
            // The driver may be restarting; whoever waits is let in when it is back.
            Err(error) => {
                told(&skiff_report::chain(&error));
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Ports and addresses that lead into a cluster.
fn doors(file: &ClusterFile) -> Doors {
    let nodes = file.status.nodes.iter();
    let own = nodes.flat_map(|node| [Some(node.ssh_port), node.apiserver_port]).flatten();
    let published = file.to_spec().map(|spec| spec.ports).unwrap_or_default();
    let own = own.chain(file.status.entrance.map(|entrance| entrance.port));
    let ports: BTreeSet<u16> = own.chain(published.iter().map(|port| port.value.host_port)).collect();
    Doors { ports, subnet: file.status.subnet }
}

fn connections() -> Vec<Socket> {
    LISTS.iter().flat_map(|list| sockets::read(&fs::read_to_string(list).unwrap_or_default())).collect()
}

struct Attendant<'a, D, C, K> {
    host: &'a Host<D, C, K>,
    name: &'a ClusterName,
    used: Use,
    /// It is frozen, and by this process.
    frozen: bool,
    /// When it was used last.
    last: Instant,
}

impl<D: Driver, C: Connect, K: ConnectApi> Attendant<'_, D, C, K> {
    fn is_noted(&self) -> Result<bool, ClusterError> {
        Ok(noted(&self.host.store, self.name)?.is_some_and(|(noted, _)| noted == Process::me()))
    }

    /// One look at the connections, and what follows from it, in words for the log.
    async fn turn(&mut self, sockets: &[Socket], interval: Duration) -> Result<Option<&'static str>, ClusterError> {
        if self.frozen {
            return self.turn_frozen(sockets).await;
        }
        // A cluster that somebody works on, or has paused by hand, is left alone.
        let busy = self.host.store.is_locked(self.name) || was_paused(&self.host.store, self.name)?;
        if self.used.look(sockets) || busy {
            self.last = Instant::now();
        }
        if self.last.elapsed() < interval {
            return Ok(None);
        }
        let Some(_lock) = self.host.store.try_lock(self.name, &self.host.command)? else { return Ok(None) };
        if was_paused(&self.host.store, self.name)? || !self.is_noted()? {
            return Ok(None);
        }
        // Noted first: whoever finds it frozen must find out why. Should this fail, the next turn lets it go on.
        write(&self.host.store, self.name, &Process::me(), true)?;
        self.frozen = true;
        freeze(self.host, self.name, PauseScope::Machines).await?;
        Ok(Some("paused: nobody used it"))
    }

    async fn turn_frozen(&mut self, sockets: &[Socket]) -> Result<Option<&'static str>, ClusterError> {
        if was_paused(&self.host.store, self.name)? && !self.used.came(sockets) {
            return Ok(None);
        }
        // Should this fail, the next turn must not take who waits for one who was there before.
        let waiting = std::mem::replace(&mut self.used, Use::of(doors(&self.host.load(self.name)?)));
        let _lock = self.host.lock(self.name).await?;
        if !self.is_noted()? {
            return Ok(None);
        }
        let by_hand = !was_paused(&self.host.store, self.name)?;
        if !by_hand {
            let_go_on(self.host, self.name, PauseScope::Machines).await?;
        }
        self.used = waiting;
        write(&self.host.store, self.name, &Process::me(), false)?;
        (self.frozen, self.last) = (false, Instant::now());
        Ok(Some(if by_hand { "goes on: it was unpaused" } else { "goes on: somebody uses it" }))
    }
}

#[cfg(test)]
mod tests {
    use skiff_config::SpecFile;

    use super::*;
    use crate::schedule::tests::place;

    #[test]
    fn who_attends_ends_when_nobody_shall() {
        let (_folder, store, name) = place();
        let mut attendant = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        write(&store, &name, &Process::of(attendant.id()).unwrap(), true).unwrap();
        assert!(wakes_by_use(&store, &name).unwrap());
        end_auto_pause(&store, &name).unwrap();
        assert!(!attendant.wait().unwrap().success());
        assert!(!wakes_by_use(&store, &name).unwrap());
    }

    #[test]
    fn ports_that_lead_to_a_cluster_are_doors() {
        let mut file = ClusterFile::new(
            "dev".parse().unwrap(),
            SpecFile { ports: Some(vec!["8080:80".into()]), ..SpecFile::default() },
        );
        let node = "{name: dev, role: control-plane, index: 0, address: 10.0.0.2, sshPort: 20022, apiserverPort: 20443, \
                    image: x}";
        file.status.nodes.push(serde_yaml::from_str(node).unwrap());
        assert_eq!(doors(&file).ports, [8080, 20022, 20443].into());
    }
}
