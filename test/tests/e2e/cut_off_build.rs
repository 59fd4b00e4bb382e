//! Building what a node is made of, cut off at its longest steps.

use std::{fs, io::Write as _, path::Path, process::Command};

use skiff_test::{Cluster, Finished, Running, Sandbox, binary, eventually};

/// A copy of the agent that makes another node image than everybody else's.
fn other_agent(sandbox: &Sandbox) -> std::path::PathBuf {
    let copy = sandbox.path().join("agent");
    let _ = fs::copy(binary().with_file_name("skiff-agent"), &copy).expect("the agent");
    let mut file = fs::File::options().append(true).open(&copy).expect("a copy of the agent");
    // What follows the program's own end is not read by anybody.
    file.write_all(sandbox.path().to_string_lossy().as_bytes()).expect("other bytes");
    copy
}

/// Processes that have something to do with a folder.
fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy();
    let entries = fs::read_dir("/proc").expect("the processes").flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&*folder)).collect()
}

fn mounts_in(folder: &Path) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    mounts.lines().filter(|line| line.contains(&*folder.to_string_lossy())).map(str::to_owned).collect()
}

fn nothing_works_there(cache: &Path) {
    eventually("the end of the build's processes", || {
        let left = [processes_in(cache), mounts_in(cache)].concat();
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    });
}

pub(crate) fn a_build_that_is_cut_off_leaves_only_what_the_next_one_goes_on_with() {
    let sandbox = Sandbox::new();
    let (cluster, agent) = (sandbox.cluster(), other_agent(&sandbox));
    let cache = sandbox.home().join("cache");
    let start = |cluster: &Cluster<'_>, moment: &str| {
        let mut command = cluster.skiff("start", &[]);
        let mut start = Running::start(command.env("SKIFF_AGENT", &agent).env("SKIFF_CACHE", &cache));
        assert!(start.wrote(moment), "never said `{moment}`: {}", start.output());
        start
    };
    let first = start(&cluster, "unpacking the Kubernetes source");
    first.signal("INT");
    let _ = first.finish().code(130).says("MK_INTERRUPTED");
    nothing_works_there(&cache);
    cluster.is_gone();

    let second = start(&cluster, "generating the code");
    assert!(!second.output().contains("downloading the"), "{}", second.output());
    second.signal("KILL");
    let _ = second.finish().code(128 + 9);
    nothing_works_there(&cache);
    let _ = cluster.run("delete", &[]).ok();
    cluster.is_gone();
}

pub(crate) fn a_killed_node_image_is_made_by_the_next_build() {
    let sandbox = Sandbox::new();
    let agent = other_agent(&sandbox);
    let build = || {
        let mut command = sandbox.skiff(&["node-image", "build"]);
        let _ = command.env("SKIFF_AGENT", &agent);
        command
    };
    for moment in ["assembling the node image", "importing the node image"] {
        let mut first = Running::start(&mut build());
        assert!(first.wrote(moment), "never said `{moment}`: {}", first.output());
        first.signal("KILL");
        let _ = first.finish().code(128 + 9);
    }
    let built = Finished::of(&mut build()).ok();
    let name = built.text().lines().last().expect("a name").to_owned();
    let size = Finished::of(Command::new("docker").args(["image", "inspect", "--format", "{{.Size}}", &name])).ok();
    assert!(size.text().parse::<u64>().is_ok_and(|size| size > 500_000_000), "half an image: {size:?}");
    let _ = sandbox.run(&["node-image", "rm", &name]).ok();
}
