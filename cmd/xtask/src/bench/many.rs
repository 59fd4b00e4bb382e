//! Several nodes, and several clusters: what they cost compared with one.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    docker,
    figures::{Figure, Figures, Unit},
    janitor::PREFIX,
    options::Options,
    processes,
    run::{Bench, settle_disk},
    skiff::Skiff,
};

/// So many rounds are enough beside the other figures: each makes eleven clusters or more.
pub(super) const ROUNDS: usize = 3;
/// Clusters that are started at once.
const AT_ONCE: usize = 4;
/// What froze with a cluster has a moment to come to rest.
const SETTLE: Duration = Duration::from_secs(2);

/// `xtask bench-many`: these figures alone.
pub(crate) fn alone(arguments: impl IntoIterator<Item = String>) -> Result<String, String> {
    let options = Options::parse(arguments)?;
    let Bench { skiff, machine, janitor: _janitor, .. } = Bench::begin()?;
    let mut figures = Figures::default();
    skiff.run("delete")?;
    measure(&skiff, options.runs, options.idle, &mut figures)?;
    Ok(format!("{machine}\nmedians of {}\n\n{}", options.runs, figures.table()))
}

/// Measures so many rounds. Ratios are taken within a round: what slows a machine down for a while then slows
/// down both sides.
pub(super) fn measure(skiff: &Skiff, rounds: usize, idle: u64, figures: &mut Figures) -> Result<(), String> {
    for round in 1..=rounds {
        eprintln!("several nodes and clusters, round {round} of {rounds}");
        nodes(skiff, idle, figures)?;
        highly_available(skiff, figures)?;
        clusters(skiff, figures)?;
    }
    Ok(())
}

/// One node, and then three.
fn nodes(skiff: &Skiff, idle: u64, figures: &mut Figures) -> Result<(), String> {
    settle_disk();
    let one = skiff.run("start")?.seconds;
    skiff.run("delete")?;
    settle_disk();
    let three = skiff.run("start --nodes 3")?.seconds;
    figures.add(Figure::new("3 nodes usable", Unit::Seconds, None), three);
    figures.add(Figure::new("3 nodes usable, one node = 1", Unit::Times, 1.8), three / one);
    let add = skiff.run("node add")?.seconds;
    figures.add(Figure::new("node add", Unit::Seconds, 8.0), add);
    skiff.run("node delete m04")?;
    let pause = skiff.run("pause")?.seconds;
    figures.add(Figure::new("pause of 3 nodes", Unit::Seconds, 1.0), pause);
    if idle > 0 {
        thread::sleep(SETTLE);
        let used = cpu_while_idle(idle)?;
        figures.add(Figure::new("paused: CPU of 3 nodes, of one core", Unit::Percent, 0.0), used);
    }
    let unpause = skiff.run("unpause")?.seconds;
    figures.add(Figure::new("unpause of 3 nodes", Unit::Seconds, 1.0), unpause);
    skiff.run("delete").map(drop)
}

/// Of one core, all nodes of the cluster taken together.
fn cpu_while_idle(seconds: u64) -> Result<f64, String> {
    let nodes = docker::first_processes(&Skiff::cluster())?;
    let used = || nodes.iter().map(|pid| processes::cpu_seconds(*pid)).sum::<Result<f64, String>>();
    let (before, time) = (used()?, Duration::from_secs(seconds));
    thread::sleep(time);
    Ok((used()? - before) / time.as_secs_f64() * 100.0)
}

/// Three control planes.
fn highly_available(skiff: &Skiff, figures: &mut Figures) -> Result<(), String> {
    settle_disk();
    let usable = skiff.run("start --ha")?.seconds;
    figures.add(Figure::new("HA of 3 usable", Unit::Seconds, 35.0), usable);
    skiff.run("delete").map(drop)
}

/// Clusters one after another, and as many at once. All of them are there when the last one is ready.
fn clusters(skiff: &Skiff, figures: &mut Figures) -> Result<(), String> {
    let names: Vec<String> = (1..=AT_ONCE).map(|number| format!("{PREFIX}{number}")).collect();
    let delete = || names.iter().try_for_each(|name| skiff.run_on(name, "delete").map(drop));
    settle_disk();
    let begin = Instant::now();
    names.iter().try_for_each(|name| skiff.run_on(name, "start").map(drop))?;
    let in_turn = begin.elapsed().as_secs_f64();
    delete()?;
    settle_disk();
    let begin = Instant::now();
    thread::scope(|scope| {
        let starts: Vec<_> = names.iter().map(|name| scope.spawn(|| skiff.run_on(name, "start"))).collect();
        let ended = starts.into_iter().map(|start| start.join().unwrap_or_else(|_| Err("a start panicked".to_owned())));
        ended.collect::<Result<Vec<_>, _>>()
    })?;
    let at_once = begin.elapsed().as_secs_f64();
    for name in &names {
        skiff.run_on(name, "status")?;
    }
    figures.add(Figure::new("4 clusters one after another", Unit::Seconds, None), in_turn);
    figures.add(Figure::new("4 clusters at once, one after another = 1", Unit::Times, 1.3), at_once / in_turn);
    delete()
}
