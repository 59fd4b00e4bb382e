//! What cannot be is refused at once, with a name, a fix and the right exit code; nothing is made.

use std::fs;

use skiff_test::{Cluster, Sandbox};

/// A refused start: its flags, exit code and reason, and what must be in the text.
type Case = (&'static [&'static str], i32, &'static str, &'static str);

/// Refused from the settings alone.
const SETTINGS: &[Case] = &[
    (&["--memory", "lots"], 14, "MK_USAGE", "`lots` is not a size"),
    (&["--memory", "1m"], 23, "RSRC_INSUFFICIENT_REQ_MEMORY", "at least 1800m"),
    (&["--cpus", "many"], 14, "MK_USAGE", "--cpus"),
    (&["--disk-size=-3g"], 14, "MK_USAGE", "--disk-size"),
    (&["--kubernetes-version", "newest"], 14, "MK_USAGE", "`newest` is not a Kubernetes version"),
    (&["--kubernetes-version", "v1.10.0"], 106, "K8S_OLD_UNSUPPORTED", "v1.20.0"),
    (&["--kubernetes-version", "v1.99.0"], 106, "K8S_NEW_UNSUPPORTED", "v1.99.0"),
    (&["--subnet", "10.0.0.0/33"], 14, "MK_USAGE", "10.0.0.0/33"),
    (&["--subnet", "8.8.8.0/24"], 14, "MK_USAGE", "private"),
    (&["--subnet", "192.168.9.0/30"], 14, "MK_USAGE", "prefix"),
    (&["--static-ip", "192.168.9.255"], 14, "MK_USAGE", "reserved"),
    (&["--service-cluster-ip-range", "10.244.0.0/16"], 14, "MK_USAGE", "overlaps"),
    (&["--service-cluster-ip-range", "ten"], 14, "MK_USAGE", "`ten`"),
    (&["--dns-domain", "no_name"], 14, "MK_USAGE", "`no_name` is not a DNS name"),
    (&["--apiserver-port", "70000"], 14, "MK_USAGE", "`70000` is not a port"),
    (&["--apiserver-ips", "here"], 14, "MK_USAGE", "`here` is not an IP address"),
    (&["--listen-address", "1.2.3"], 14, "MK_USAGE", "`1.2.3` is not an IP address"),
    (&["--ports", "80:80,80:81"], 14, "MK_USAGE", "same port"),
    (&["--extra-config", "kubelte.max-pods=5"], 14, "MK_USAGE", "`kubelte`"),
    (&["--extra-config", "kubelet"], 14, "MK_USAGE", "`kubelet`"),
    (&["--feature-gates", "Gate=perhaps"], 14, "MK_USAGE", "`Gate=perhaps`"),
    (&["--wait", "weather"], 14, "MK_USAGE", "'weather'"),
    (&["--wait-timeout", "soon"], 14, "MK_USAGE", "'soon'"),
    (&["--memroy", "4g"], 14, "MK_USAGE", "'--memory'"),
];

/// Refused because of what this host is.
const HOST: &[Case] = &[
    (&["--driver", "nope"], 55, "DRV_NOT_FOUND", "`nope`"),
    (&["--driver", "hyperkit"], 56, "DRV_UNSUPPORTED_OS", "--driver=docker"),
    (&["--memory", "90000g"], 23, "RSRC_INSUFFICIENT", "--memory 90000g"),
    (&["--cpus", "4000"], 29, "RSRC_INSUFFICIENT", "--cpus 4000"),
    (&["--kubernetes-version", "v1.20.99"], 106, "K8S_VERSION_UNAVAILABLE", "v1.20.99"),
];

fn refused(cluster: &Cluster<'_>, &(flags, code, reason, text): &Case) {
    let start = cluster.run("start", flags).code(code);
    let headline = format!("Exiting due to {reason}");
    assert!(start.stderr.starts_with(&headline), "{start:?}");
    assert!(start.stderr.contains(text), "{start:?}");
    assert!(start.stderr.contains("\nHint: "), "no fix in {start:?}");
    let _ = cluster.run("status", &[]).code(85);
}

pub(crate) fn settings_that_cannot_be_are_refused_before_anything_is_made() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    for case in SETTINGS {
        refused(&cluster, case);
    }
    assert!(!sandbox.kubeconfig().exists());
}

pub(crate) fn what_this_host_cannot_give_is_refused_and_undone() {
    let sandbox = Sandbox::new();
    let cluster = sandbox.cluster();
    for case in HOST {
        refused(&cluster, case);
    }
}

pub(crate) fn all_problems_are_told_at_once() {
    let sandbox = Sandbox::new();
    let flags = ["--memory", "1m", "--cpus", "many", "--subnet", "ten", "--extra-config", "kubelte.x=y"];
    let start = sandbox.cluster().run("start", &flags).code(14);
    for problem in ["--memory: 1m is too little", "--cpus: `many`", "--subnet: `ten`", "--extra-config: `kubelte`"] {
        assert!(start.stderr.contains(problem), "{problem} is missing in {start:?}");
    }
}

pub(crate) fn names_that_cannot_be_are_refused_by_every_verb() {
    let sandbox = Sandbox::new();
    for name in ["A", "No_Good", "-x", "x-", "../x", "a/b", "delete", &"x".repeat(41)] {
        for verb in ["start", "stop", "delete", "status", "ip", "logs"] {
            let _ = sandbox.run(&[verb, &format!("--profile={name}")]).code(14).says("MK_USAGE");
        }
    }
}

pub(crate) fn unknown_verbs_and_flags_exit_with_14_and_a_suggestion() {
    let sandbox = Sandbox::new();
    let _ = sandbox.run(&["strat"]).code(14).says("'start'");
    let _ = sandbox.run(&["status", "--layuot", "nodes"]).code(14).says("'--layout'");
    let _ = sandbox.run(&["image"]).code(14).says("--help");
}

pub(crate) fn clusters_that_are_not_there_exit_with_85() {
    let sandbox = Sandbox::new();
    for verb in ["status", "stop", "ip", "ssh", "ssh-key", "logs", "update-context"] {
        let _ = sandbox.run(&[verb, "-p", "nobody"]).code(85).says("there is no cluster `nobody`");
    }
    let _ = sandbox.run(&["image", "-p", "nobody", "ls"]).code(85);
    let _ = sandbox.run(&["kubectl", "-p", "nobody", "--", "get", "pods"]).code(85);
    // What shall be gone and is gone is no failure.
    let _ = sandbox.run(&["delete", "-p", "nobody"]).ok().says("nothing to delete");
}

pub(crate) fn failures_are_events_for_programs() {
    let sandbox = Sandbox::new();
    let start = sandbox.cluster().run("start", &["-o", "json", "--memory", "1m"]).code(23);
    let event: serde_json::Value = start.stdout.lines().last().map(|line| serde_json::from_str(line).unwrap()).unwrap();
    assert_eq!(event["data"]["name"], "RSRC_INSUFFICIENT_REQ_MEMORY", "{start:?}");
    assert_eq!(event["data"]["exitcode"], "23", "{start:?}");
}

pub(crate) fn a_settings_file_with_mistakes_is_named_and_can_be_repaired() {
    let sandbox = Sandbox::new();
    let _ = sandbox.run(&["config", "set", "memory", "lots"]).code(10).says("`lots` is not a size");
    let _ = sandbox.run(&["config", "set", "memroy", "4g"]).code(10).says("`memroy` is not a setting");
    let _ = sandbox.run(&["config", "set", "memory", "4g"]).ok();
    let file = sandbox.home().join("config/config.yaml");
    fs::write(&file, "memory: lots\n").expect("the settings");
    let _ = sandbox.cluster().run("start", &["--dry-run"]).code(38).says(&file.to_string_lossy());
    let _ = sandbox.run(&["config", "unset", "memory"]).ok();
    let _ = sandbox.cluster().run("start", &["--dry-run"]).ok();
}
