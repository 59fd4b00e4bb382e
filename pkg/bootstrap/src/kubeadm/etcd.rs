//! Who is a member of etcd.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use skiff_config::NodeName;
use skiff_runner::{Command, Runner};

use crate::BootstrapError;

/// etcdctl of the etcd that runs on a node, with a certificate that etcd trusts. It lies in etcd's own
/// image, so its own root is entered; no API server is needed for that.
const ETCDCTL: &str = "nsenter --target \"$(pgrep -xo etcd)\" --mount --root etcdctl \
    --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
    --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key";
/// Pause between two tries: etcd takes no new member while it is not sure of the last one.
const PAUSE: Duration = Duration::from_millis(500);

/// A control plane as others of etcd know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name of its node.
    pub name: NodeName,
    /// Address of its node.
    pub address: Ipv4Addr,
}

impl Member {
    fn peer_url(&self) -> String {
        format!("https://{}:2380", self.address)
    }
}

/// With whom an etcd begins that has no data. One that has data knows by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtcdStart {
    /// Alone, or on its data.
    Alone,
    /// With others that have no data either.
    Founding(Vec<Member>),
    /// As a new member of those that are there; the list holds itself too.
    Joining(Vec<Member>),
}

impl EtcdStart {
    /// etcd's flags.
    pub(crate) fn flags(&self) -> Option<[(&'static str, String); 2]> {
        let (members, state) = match self {
            Self::Alone => return None,
            Self::Founding(members) => (members, "new"),
            Self::Joining(members) => (members, "existing"),
        };
        let members: Vec<_> = members.iter().map(|member| format!("{}={}", member.name, member.peer_url())).collect();
        Some([("initial-cluster", members.join(",")), ("initial-cluster-state", state.to_owned())])
    }
}

/// True if the node has data of an etcd that has begun before.
///
/// # Errors
/// [`BootstrapError::Node`] if the node cannot be reached.
pub async fn has_etcd_data<R: Runner>(runner: &R) -> Result<bool, BootstrapError> {
    let output = runner.output(Command::new(["test", "-e", "/var/lib/etcd/member/snap/db"])).await;
    let output = output.map_err(|source| BootstrapError::Node { action: "looking for etcd's data".into(), source })?;
    Ok(output.status == 0)
}

/// Makes a node a member of etcd, through another one where etcd runs, and tells with whom it begins.
/// A member of that address that was there before counts for nothing: its data is gone.
///
/// # Errors
/// [`BootstrapError::Etcd`] when etcd still refuses as `patience` ends.
pub async fn add_member<R: Runner>(through: &R, new: &Member, patience: Duration) -> Result<EtcdStart, BootstrapError> {
    let deadline = Instant::now() + patience;
    loop {
        match try_to_add(through, new).await {
            Err(BootstrapError::Etcd { .. }) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            result => return result,
        }
    }
}

async fn try_to_add<R: Runner>(through: &R, new: &Member) -> Result<EtcdStart, BootstrapError> {
    let url = new.peer_url();
    let (old, others): (Vec<Entry>, Vec<Entry>) = members(through).await?.into_iter().partition(|one| one.peer == url);
    for gone in old.iter().filter(|member| member.started) {
        etcdctl(through, &format!("member remove {}", gone.id)).await?;
    }
    // One that never started is what a join that was cut off left behind: it serves as well.
    if !old.iter().any(|member| !member.started) {
        let name = Command::quote(new.name.as_str());
        etcdctl(through, &format!("member add {name} --peer-urls={url}")).await?;
    }
    let known = others.iter().filter_map(Entry::member);
    Ok(EtcdStart::Joining(known.chain([new.clone()]).collect()))
}

/// Ends a node's membership of etcd, through another one. Nothing happens if it has none.
///
/// # Errors
/// [`BootstrapError::Etcd`] if etcd refuses.
pub async fn remove_member<R: Runner>(through: &R, gone: &Member) -> Result<(), BootstrapError> {
    let url = gone.peer_url();
    for member in members(through).await?.into_iter().filter(|member| member.peer == url) {
        etcdctl(through, &format!("member remove {}", member.id)).await?;
    }
    Ok(())
}

/// A line of etcd's list of members.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    id: String,
    started: bool,
    name: String,
    peer: String,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(',').map(|word| word.trim().to_owned());
        let (id, state, name, peer) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (!id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit())).then(|| Self {
            id,
            started: state == "started",
            name,
            peer,
        })
    }

    fn member(&self) -> Option<Member> {
        let address = self.peer.strip_prefix("https://")?.strip_suffix(":2380")?.parse().ok()?;
        Some(Member { name: self.name.parse().ok()?, address })
    }
}

async fn members<R: Runner>(through: &R) -> Result<Vec<Entry>, BootstrapError> {
    Ok(etcdctl(through, "member list --write-out=simple").await?.lines().filter_map(Entry::parse).collect())
}

async fn etcdctl<R: Runner>(through: &R, words: &str) -> Result<String, BootstrapError> {
    let action = || format!("etcdctl {words}");
    let output = through.output(Command::sh(&format!("exec {ETCDCTL} {words}"))).await;
    let output = output.map_err(|source| BootstrapError::Node { action: action(), source })?;
    if output.status == 0 {
        return Ok(output.stdout_text());
    }
    let printed = output.stderr_text();
    let detail = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(BootstrapError::Etcd { action: action(), detail: detail.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use skiff_runner::FakeRunner;

    use super::*;

    const LIST: &str = "8e9e05c52164694d, started, dev, https://192.168.49.2:2380, https://192.168.49.2:2379, false\n\
                        91bc3c398fb3c146, started, dev-m02, https://192.168.49.3:2380, https://192.168.49.3:2379, false\n";

    fn member(number: u8) -> Member {
        let name = if number == 1 { "dev".to_owned() } else { format!("dev-m{number:02}") };
        Member { name: name.parse().unwrap(), address: Ipv4Addr::new(192, 168, 49, number + 1) }
    }

    fn asked(runner: &FakeRunner) -> Vec<String> {
        let lines = runner.commands().into_iter().map(|command| command.argv.last().cloned().unwrap_or_default());
        lines.map(|line| line.rsplit(".key ").next().unwrap_or_default().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_new_member_learns_who_is_there() {
        let runner = FakeRunner::default().reply("member list", 0, LIST, "");
        let start = add_member(&runner, &member(3), Duration::ZERO).await.unwrap();
        assert_eq!(start, EtcdStart::Joining(vec![member(1), member(2), member(3)]));
        assert_eq!(
            asked(&runner),
            ["member list --write-out=simple", "member add dev-m03 --peer-urls=https://192.168.49.4:2380"]
        );
    }

    #[tokio::test]
    async fn a_member_whose_data_is_gone_is_taken_in_anew() {
        let runner = FakeRunner::default().reply("member list", 0, LIST, "");
        let start = add_member(&runner, &member(2), Duration::ZERO).await.unwrap();
        assert_eq!(start, EtcdStart::Joining(vec![member(1), member(2)]));
        assert_eq!(asked(&runner)[1], "member remove 91bc3c398fb3c146");
        assert!(asked(&runner)[2].starts_with("member add dev-m02 "));
    }

    #[tokio::test]
    async fn a_join_that_was_cut_off_is_picked_up() {
        let list = format!("{LIST}a1, unstarted, , https://192.168.49.4:2380, , false\n");
        let runner = FakeRunner::default().reply("member list", 0, &list, "");
        let start = add_member(&runner, &member(3), Duration::ZERO).await.unwrap();
        assert_eq!(start, EtcdStart::Joining(vec![member(1), member(2), member(3)]));
        assert_eq!(asked(&runner).len(), 1);
    }

    #[tokio::test]
    async fn refusals_are_tried_again_and_told_at_last() {
        let runner = FakeRunner::default()
            .reply("member list", 0, LIST, "")
            .reply("member add", 1, "", "Error: etcdserver: unhealthy cluster\n")
            .reply("member list", 0, LIST, "");
        add_member(&runner, &member(3), Duration::from_secs(5)).await.unwrap();
        let runner = FakeRunner::default().reply("member list", 1, "", "Error: context deadline exceeded\n");
        let error = add_member(&runner, &member(3), Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().ends_with("Error: context deadline exceeded"), "{error}");
    }

    #[tokio::test]
    async fn only_who_is_a_member_is_removed() {
        let runner = FakeRunner::default().reply("member list", 0, LIST, "").reply("member list", 0, LIST, "");
        remove_member(&runner, &member(3)).await.unwrap();
        remove_member(&runner, &member(1)).await.unwrap();
        assert_eq!(asked(&runner).iter().filter(|line| line.contains("remove")).count(), 1);
        assert!(asked(&runner).contains(&"member remove 8e9e05c52164694d".to_owned()));
    }
}
