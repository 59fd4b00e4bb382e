//! What happens to a cluster and its host.

use std::{fs, process::Command, thread, time::Duration};

use super::{act::Act, process, world::World};
use crate::Finished;

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// skiff is killed.
    Skiff,
    /// dockerd is killed, and started again by the host.
    Engine,
    /// dockerd is killed while it starts a node, and started again by the host.
    Starting,
    /// The host loses power: everything is gone but disks.
    Host,
    /// A node is killed.
    Node,
    /// A node's container is removed; its volume stays.
    Container,
    /// etcd is killed while it writes.
    Etcd,
    /// Whatever the agent does in the cluster is killed.
    Agent,
    /// Some process of a node is killed.
    Process,
    /// The disk is full, until somebody makes room.
    Disk,
    /// The disk is nearly full, and stays so.
    NearlyFull,
    /// The wire to a node is cut for a while.
    Wire,
    /// A node is taken out of its network.
    Network,
    /// kubectl's configuration is lost.
    Kubeconfig,
    /// The certificates come to their end.
    Certificates,
}

impl Fault {
    /// Those that even the shortest run meets.
    pub(super) const CLASSIC: [Self; 8] =
        [Self::Skiff, Self::Engine, Self::Starting, Self::Node, Self::Etcd, Self::Agent, Self::Disk, Self::Wire];

    /// The others.
    pub(super) const OTHERS: [Self; 7] = [
        Self::Host,
        Self::Container,
        Self::Process,
        Self::NearlyFull,
        Self::Network,
        Self::Kubeconfig,
        Self::Certificates,
    ];

    /// True if it is no matter of time, but of a container that begins to run.
    pub(super) fn waits_for_a_container(self) -> bool {
        self == Self::Starting
    }

    /// Lets it happen, and tells to whom, if there was anybody.
    pub(super) fn strike(self, world: &World, cluster: &str, act: Act, pick: usize) -> Option<String> {
        let told = match self {
            Self::Skiff => kill_one(process::running("skiff"), pick)?,
            Self::Engine => {
                let mut engine = world.engine.borrow_mut();
                engine.kill();
                engine.revive();
                String::new()
            }
            Self::Starting => {
                // Of what starts a container, some 200 ms, another part is done each time.
                let part = Duration::from_millis(20) * u32::try_from(pick % 10).unwrap_or_default();
                thread::sleep(part);
                let mut engine = world.engine.borrow_mut();
                engine.kill();
                engine.revive();
                format!("{part:?} after it began")
            }
            Self::Host => {
                // It takes along who was logged in.
                process::running("skiff").iter().for_each(process::Process::kill);
                let mut engine = world.engine.borrow_mut();
                engine.kill_all();
                engine.revive();
                String::new()
            }
            Self::Node => on_a_node(pick, |node| docker(&["kill", node]))?,
            Self::Container => on_a_node(pick, |node| docker(&["rm", "--force", node]))?,
            Self::Etcd => kill_one(process::running("etcd"), pick)?,
            Self::Agent => kill_all(&process::running("skiff-agent"))?,
            Self::Process => {
                let inside = process::all().into_iter().filter(|process| process.container.is_some());
                kill_one(inside.collect(), pick)?
            }
            Self::Disk => {
                world.fill(0);
                String::new()
            }
            Self::NearlyFull => {
                world.fill(act.needs());
                String::new()
            }
            Self::Wire => on_a_node(pick, cut_for_a_while)?,
            Self::Network => on_a_node(pick, |node| docker(&["network", "disconnect", "--force", cluster, node]))?,
            Self::Kubeconfig => {
                world.forget_kubeconfig();
                String::new()
            }
            // Nobody else may write the profile while skiff does.
            Self::Certificates => String::new(),
        };
        Some(told)
    }

    /// What happens on the host before skiff is asked again.
    pub(super) fn is_over(self, world: &World, cluster: &str) {
        match self {
            Self::Disk => world.make_room(),
            Self::Certificates => age(world, cluster),
            _ => {}
        }
    }
}

fn kill_one(processes: Vec<process::Process>, pick: usize) -> Option<String> {
    let chosen = processes.get(pick % processes.len().max(1))?;
    chosen.kill();
    Some(chosen.line.chars().take(60).collect())
}

fn kill_all(processes: &[process::Process]) -> Option<String> {
    processes.iter().for_each(process::Process::kill);
    (!processes.is_empty()).then(|| format!("{} processes", processes.len()))
}

fn docker(args: &[&str]) -> bool {
    Finished::of(Command::new("docker").args(args)).code == 0
}

/// Does something to one of the nodes that run. They may go at any moment.
fn on_a_node(pick: usize, strike: impl FnOnce(&str) -> bool) -> Option<String> {
    let listed = Finished::of(Command::new("docker").args(["ps", "--format", "{{.Names}}"]));
    let nodes: Vec<&str> = listed.stdout.lines().collect();
    let node = *nodes.get(pick % nodes.len().max(1))?;
    strike(node).then(|| node.to_owned())
}

/// Takes the host's end of a node's wire down, and up again after a while.
fn cut_for_a_while(node: &str) -> bool {
    let inside = Command::new("docker").args(["exec", node, "cat", "/sys/class/net/eth0/iflink"]).output();
    let number = inside.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    // Lines such as `7: veth12ab@if6: <UP>`; /sys is that of the world outside.
    let wires = Finished::of(Command::new("ip").args(["-o", "link"])).ok().stdout;
    let wire = wires.lines().find_map(|line| line.strip_prefix(&format!("{number}: "))?.split(['@', ':']).next());
    let Some(wire) = wire else { return false };
    let turn = |state: &str| Finished::of(Command::new("ip").args(["link", "set", wire, state])).code == 0;
    let cut = turn("down");
    thread::sleep(Duration::from_secs(3));
    turn("up");
    cut
}

/// Lets the nodes' certificates look as old as they are in ten years. A profile that is not there has none.
fn age(world: &World, cluster: &str) {
    let file = world.sandbox.home().join("profiles").join(cluster).join("cluster.yaml");
    let Ok(text) = fs::read_to_string(&file) else { return };
    let older = |line: &str| {
        let (before, after) = line.split_once(" made: ")?;
        let (quote, date) = after.split_at(after.find(|letter: char| letter.is_ascii_digit())?);
        let year: u32 = date.get(..4)?.parse().ok()?;
        Some(format!("{before} made: {quote}{}{}", year - 10, &date[4..]))
    };
    let aged: Vec<String> = text.lines().map(|line| older(line).unwrap_or_else(|| line.to_owned())).collect();
    fs::write(&file, aged.join("\n") + "\n").expect("the profile");
}
