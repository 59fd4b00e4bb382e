//! The order of things: both ways in turn, round by round.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    baseline::Baseline,
    docker::Node,
    figures::{Figure, Figures, Unit},
    ingress::{self, Ingress},
    janitor::Janitor,
    machine, many,
    options::Options,
    processes,
    skiff::Skiff,
};

/// A new cluster is busy with itself for a while before it can be called idle.
const SETTLE: Duration = Duration::from_secs(20);

/// What every bench begins with, until the janitor removes it.
pub(super) struct Bench {
    pub(super) folder: PathBuf,
    pub(super) skiff: Skiff,
    pub(super) machine: String,
    pub(super) janitor: Janitor,
}

impl Bench {
    /// Makes the folder, and one cluster to warm up, which is still there.
    pub(super) fn begin() -> Result<Self, String> {
        // The janitor removes it: a destructor would not run on Ctrl-C.
        let folder =
            tempfile::Builder::new().prefix("skiff-bench-").tempdir().map_err(|error| error.to_string())?.keep();
        let janitor = Janitor::employ(&folder, &Skiff::cluster())?;
        let skiff = Skiff::copy_to(&folder)?;
        let machine = machine::describe();
        eprintln!("{machine}\nwarming up: the node image is made now if it is not there yet");
        skiff.show("start")?;
        Ok(Self { folder, skiff, machine, janitor })
    }
}

/// Measures and gives the table.
pub(crate) fn run(arguments: impl IntoIterator<Item = String>) -> Result<String, String> {
    let options = Options::parse(arguments)?;
    let Bench { folder, skiff, machine, janitor: _janitor } = Bench::begin()?;
    let mut figures = Figures::default();
    let node = Node::of(&Skiff::cluster())?;
    sizes(&skiff, &node, &mut figures)?;
    skiff.run("delete")?;
    let baseline = options.baseline.then(|| Baseline::prepare(&folder.join("naive"), &node)).transpose()?;

    for round in 1..=options.runs {
        eprintln!("round {round} of {}", options.runs);
        if let Some(baseline) = &baseline {
            settle_disk();
            figures.add(Figure::baseline(), baseline.measure()?);
        }
        settle_disk();
        clusters_life(&skiff, &mut figures)?;
        if round == options.runs {
            idle(&Node::of(&Skiff::cluster())?, options.idle, &mut figures)?;
            addons(&skiff, &folder, &mut figures)?;
        }
        time(&skiff, "delete", "delete", 2.0, &mut figures)?;
    }
    many::measure(&skiff, options.runs.min(many::ROUNDS), options.idle, &mut figures)?;
    Ok(format!("{machine}\nmedians of {}\n\n{}", options.runs, figures.table()))
}

/// What one way has left to write is not to slow down the other.
pub(super) fn settle_disk() {
    rustix::fs::sync();
}

/// What holds before anything has run.
fn sizes(skiff: &Skiff, node: &Node, figures: &mut Figures) -> Result<(), String> {
    let image =
        node.shell("set -- $(grep '/skiff-agent:' /usr/lib/skiff/images.txt); du -sb /usr/lib/skiff/layers/$2/fs")?;
    let image: u64 = image.split_whitespace().next().and_then(|size| size.parse().ok()).unwrap_or_default();
    let mut add = |name: &str, at_most: f64, size: u64| {
        figures.add(Figure::new(name, Unit::Megabytes, at_most), megabytes(size));
    };
    add("size of skiff", 25.0, skiff.size("skiff")?);
    add("size of skiff-agent's image", 15.0, image);
    add("size of the node image", 900.0, node.image_size);
    Ok(())
}

/// One round of skiff, up to and without the deletion.
fn clusters_life(skiff: &Skiff, figures: &mut Figures) -> Result<(), String> {
    let start = skiff.run("start")?;
    figures.add(Figure::start(), start.seconds);
    figures.add(Figure::new("peak memory of that start", Unit::Megabytes, 80.0), megabytes(start.peak));
    time(skiff, "start", "start of a running cluster", 1.0, figures)?;
    let status = skiff.run("status")?;
    figures.add(Figure::new("status", Unit::Milliseconds, 150.0), status.seconds * 1000.0);
    time(skiff, "stop", "stop", None, figures)?;
    settle_disk();
    time(skiff, "start", "restart to usable", 8.0, figures)?;
    memory_of_roles(20.0, figures, |_| true)
}

/// Resident memory of the agent's processes in the roles that count.
fn memory_of_roles(at_most: f64, figures: &mut Figures, counts: impl Fn(&str) -> bool) -> Result<(), String> {
    let node = Node::of(&Skiff::cluster())?;
    for (role, memory) in processes::agents(&processes::tree(node.pid)).into_iter().filter(|(role, _)| counts(role)) {
        let name = format!("memory of the agent as {role}, RSS");
        figures.add(Figure::new(&name, Unit::Megabytes, at_most), megabytes(memory));
    }
    Ok(())
}

fn time(
    skiff: &Skiff,
    verb: &str,
    name: &str,
    at_most: impl Into<Option<f64>>,
    figures: &mut Figures,
) -> Result<(), String> {
    figures.add(Figure::new(name, Unit::Seconds, at_most), skiff.run(verb)?.seconds);
    Ok(())
}

/// The addons that serve, and the ingress against nginx. Ratios, as nginx does more or less on another machine.
fn addons(skiff: &Skiff, folder: &Path, figures: &mut Figures) -> Result<(), String> {
    eprintln!("the ingress against nginx");
    let (kubeconfig, kubectl) = (folder.join("kubeconfig"), skiff.kubectl());
    let node = Node::of(&Skiff::cluster())?.address()?;
    let agent = folder.join("skiff-agent");
    let ingress = Ingress { agent: &agent, kubeconfig: &kubeconfig, node, folder, kubectl: &kubectl };
    let compared = ingress::compare(&ingress, 4)?;
    let (throughput, p99) = compared.ratios().ok_or("the ingress answered nothing")?;
    let mut add = |name: &str, at_most: f64, value: f64| figures.add(Figure::new(name, Unit::Times, at_most), value);
    // At least 0.8 times the requests of nginx, said the other way round.
    add("ingress: time a request takes of the machine, nginx = 1", 1.25, throughput.recip());
    add("ingress: 99th percentile of times, nginx = 1", 1.3, p99);
    let memory = Figure::new("memory of the ingress with 1000 rules at rest, RSS", Unit::Megabytes, 25.0);
    figures.add(memory, megabytes(compared.memory));
    // It is done when the pods say that they serve, and the metrics when the API hands them out.
    time(skiff, "addons enable ingress", "ingress: enable to working", 5.0, figures)?;
    time(skiff, "addons enable metrics-server", "metrics-server: enable to working", 20.0, figures)?;
    skiff.run("addons enable ingress-dns")?;
    memory_of_roles(25.0, figures, |role| ["ingress", "metrics-server", "ingress-dns"].contains(&role))
}

/// What a cluster costs that nobody uses.
fn idle(node: &Node, seconds: u64, figures: &mut Figures) -> Result<(), String> {
    if seconds == 0 {
        return Ok(());
    }
    eprintln!("watching the idle cluster for {seconds} s");
    thread::sleep(SETTLE);
    let before = processes::cpu_seconds(node.pid)?;
    thread::sleep(Duration::from_secs(seconds));
    let used = processes::cpu_seconds(node.pid)? - before;
    let memory = processes::proportional_memory(&processes::tree(node.pid));
    figures.add(
        Figure::new("idle: CPU, of one core", Unit::Percent, None),
        used / Duration::from_secs(seconds).as_secs_f64() * 100.0,
    );
    figures.add(Figure::new("idle: memory, PSS", Unit::Megabytes, None), megabytes(memory));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes have fewer digits than a float keeps")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
