//! A run: rounds one after another on one cluster.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{
    act::Act,
    counter::Counter,
    plan::{Plan, Round},
    process, tidy,
    world::World,
};
use crate::{Cluster, Running};

/// Longer takes no command, whatever happens to it.
const HANGS: Duration = Duration::from_secs(15 * 60);
/// Between two looks at a command.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a plan, and tells about each round.
///
/// # Panics
/// When anything acknowledged is lost, anything is left behind, or a start does not bring the cluster
/// back.
pub fn run(plan: Plan, world: &World, tell: &dyn Fn(&str)) {
    let cluster = world.sandbox.cluster();
    let _ = cluster.run("start", &[]).ok();
    let mut counter = Counter::deploy(&cluster);
    for (number, hits) in plan.rounds().iter().enumerate() {
        tell(&format!("round {} of {}: {:?}", number + 1, plan.rounds, hits[0].act));
        play(world, &cluster, &mut counter, hits, tell);
    }
    let _ = cluster.run("delete", &[]).ok();
    // One that was killed while it published ports keeps rules for them as long as it runs.
    world.engine.borrow_mut().restart();
    tidy::is_empty(world);
}

fn play(world: &World, cluster: &Cluster<'_>, counter: &mut Counter, hits: &[Round], tell: &dyn Fn(&str)) {
    let act = hits[0].act;
    let commands = commands(act, hits[0].pick, cluster);
    counter.during(|| {
        hit(world, cluster, act, commands, hits, tell);
        world.engine.borrow_mut().revive();
        for round in hits {
            round.fault.is_over(world, &cluster.name);
        }
        let begun = Instant::now();
        let started = cluster.run("start", &[]).ok();
        tell(&format!("  start took {:.1} s", begun.elapsed().as_secs_f32()));
        assert!(said_well(&started.stderr), "{started:?}");
    });
    if act.may_lose_data() {
        *counter = Counter::deploy(cluster);
    }
    tell(&format!("  {}", counter.is_whole(cluster)));
    tidy::is_whole(world, cluster);
    world.make_room();
}

/// Runs the commands, and lets the faults happen at their moments.
fn hit(world: &World, cluster: &Cluster<'_>, act: Act, commands: Vec<Command>, hits: &[Round], tell: &dyn Fn(&str)) {
    let begun = Instant::now();
    let mut commands = commands.into_iter();
    let mut running = commands.next().map(|mut command| Running::start(&mut command));
    let mut hits = hits.iter().peekable();
    let before = process::shims();
    let is_new = |shim: &process::Process| before.iter().all(|old| old.id != shim.id);
    let is_due = |hit: &Round| match hit.fault.waits_for_a_container() {
        true => process::shims().iter().any(is_new),
        false => begun.elapsed() >= act.usual().mul_f64(hit.moment),
    };
    while running.is_some() || hits.peek().is_some() {
        if let Some(round) = hits.next_if(|hit| running.is_none() || is_due(hit)) {
            let at = begun.elapsed().as_secs_f32();
            let struck = round.fault.strike(world, &cluster.name, act, round.pick);
            tell(&format!("  at {at:.1} s: {:?} {}", round.fault, struck.as_deref().unwrap_or("(nobody there)")));
        }
        if let Some(command) = running.take_if(Running::ended) {
            let ended = command.finish();
            tell(&format!("  ended with {} after {:.1} s", ended.code, begun.elapsed().as_secs_f32()));
            assert!(said_well(&ended.stderr), "{ended:?}");
            running = commands.next().map(|mut command| Running::start(&mut command));
        }
        assert!(begun.elapsed() < HANGS, "{act:?} does not end: {:?}", running.map(|left| left.output()));
        thread::sleep(LOOK);
    }
}

/// True if a program ended on purpose.
fn said_well(errors: &str) -> bool {
    !errors.contains("panicked at")
}

/// What is run, one after another.
fn commands(act: Act, pick: usize, cluster: &Cluster<'_>) -> Vec<Command> {
    let skiff = |verb: &str, args: &[&str]| cluster.skiff(verb, args);
    // What a fault has made impossible is given up soon; it is the next start that must not fail.
    let start = |args: &[&str]| skiff("start", &[&["--wait-timeout", "90s"], args].concat());
    let nodes = match act {
        Act::AddNode | Act::DeleteNode => tidy::nodes(cluster),
        _ => Vec::new(),
    };
    match act {
        Act::Start => vec![start(&[])],
        Act::Stop => vec![skiff("stop", &[])],
        Act::Restart => vec![skiff("stop", &[]), start(&[])],
        Act::Change => vec![start(&["--extra-config", &format!("kubelet.max-pods={}", 60 + pick % 40)])],
        Act::Pause => vec![skiff("pause", &[])],
        Act::Unpause => vec![skiff("pause", &[]), skiff("unpause", &[])],
        // Between one and three nodes: more would only be slower.
        Act::AddNode | Act::DeleteNode if nodes.len() > if act == Act::AddNode { 2 } else { 1 } => {
            let last = nodes.last().map(String::as_str).unwrap_or_default();
            vec![skiff("node", &["delete", last])]
        }
        Act::AddNode | Act::DeleteNode => {
            let kind = if pick.is_multiple_of(3) { "--control-plane" } else { "--worker" };
            vec![skiff("node", &["add", kind, "--wait-timeout", "90s"])]
        }
        Act::Addon => {
            vec![skiff("addons", &["disable", "load-balancer"]), skiff("addons", &["enable", "load-balancer"])]
        }
        Act::Image => vec![skiff("image", &["load", &cluster.sandbox().path().join("image.tar").to_string_lossy()])],
        Act::Apply => vec![cluster.kubectl_command(&["create", "namespace", &format!("space-{pick}")])],
        Act::Remake => {
            let shape: &[&str] = match pick % 5 {
                0 => &["--ha"],
                1 => &["--nodes", "2"],
                _ => &[],
            };
            vec![skiff("delete", &[]), start(shape)]
        }
    }
}
