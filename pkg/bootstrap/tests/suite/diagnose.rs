//! Real output of kubeadm and of nodes, and the causes told from it.
//!
//! Each file below `tests/golden/diagnose` holds what kubeadm printed, the node's log (lines that
//! add nothing are left out) and, last, what must come of them.
//! `SKIFF_UPDATE_GOLDEN=1 cargo test -p skiff-bootstrap diagnose` writes the last part anew.

use std::{fs, path::PathBuf};

use skiff_bootstrap::diagnose;

use crate::diff;

/// The three parts of a file.
struct Case {
    printed: String,
    node_log: String,
    outcome: String,
}

const MARKS: [&str; 3] = ["--- printed\n", "--- node log\n", "--- cause\n"];

impl Case {
    fn parse(text: &str) -> Self {
        let (printed, rest) = text.strip_prefix(MARKS[0]).unwrap().split_once(MARKS[1]).unwrap();
        let (node_log, outcome) = rest.split_once(MARKS[2]).unwrap();
        Self { printed: printed.to_owned(), node_log: node_log.to_owned(), outcome: outcome.to_owned() }
    }

    fn told(&self) -> String {
        let cause = diagnose::cause(&self.printed, &self.node_log);
        let reason = cause.reason();
        let hopeless = diagnose::hopeless(&self.node_log).map_or("", |_| "waiting does not help\n");
        format!("{cause}\n{} {}\n{}\n{hopeless}", reason.id, reason.exit.0, reason.advice)
    }
}

#[test]
fn causes_are_told_from_real_output() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diagnose");
    let update = std::env::var_os("SKIFF_UPDATE_GOLDEN").is_some();
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 20, "the files are there");
    let mut failures = String::new();
    for path in paths {
        let case = Case::parse(&fs::read_to_string(&path).unwrap());
        let told = case.told();
        if update {
            let text = [MARKS[0], &case.printed, MARKS[1], &case.node_log, MARKS[2], &told].concat();
            fs::write(&path, text).unwrap();
        } else if told != case.outcome {
            failures += &format!("{}\n{}\n", path.display(), diff::lines(&case.outcome, &told));
        }
    }
    assert!(failures.is_empty(), "SKIFF_UPDATE_GOLDEN=1 accepts these differences:\n{failures}");
}

#[test]
fn a_field_that_kubeadm_only_warns_of_is_an_error_if_somebody_asked_for_it() {
    let printed = "W1122 14:31:02.229504   16559 strict.go:54] error unmarshaling configuration \
        schema.GroupVersionKind{Group:\"kubelet.config.k8s.io\", Version:\"v1beta1\", Kind:\"KubeletConfiguration\"}: \
        error unmarshaling JSON: while decoding JSON: json: unknown field \"maxPodz\"\n";
    let told = |settings: &[&str]| {
        let settings: Vec<_> = settings.iter().map(|text| text.parse().unwrap()).collect();
        diagnose::unknown_setting(printed, &settings).map(|cause| cause.to_string())
    };
    let expected = "this version of Kubernetes has no setting kubelet.maxPodz";
    assert_eq!(told(&["kubelet.maxPods=1", "kubelet.maxPodz=2"]).as_deref(), Some(expected));
    assert_eq!(told(&["kubelet.maxPods=1", "apiserver.maxPodz=2"]), None, "skiff's own are not the user's fault");
}

#[test]
fn nothing_known_still_gives_the_last_words() {
    assert_eq!(diagnose::cause("", "").to_string(), "the control plane did not answer in time");
    let printed =
        "[certs] all is well\nsomething new went wrong\nTo see the stack trace of this error execute with --v=5";
    assert_eq!(diagnose::cause(printed, "").to_string(), "something new went wrong");
}

#[test]
fn a_part_that_only_waited_for_others_in_vain_is_slow_and_not_broken() {
    let log = |words: &str| {
        format!(
            "==> /var/log/pods/kube-system_kube-apiserver-dev_0/kube-apiserver/0.log <==\n\
             2026-11-22T12:00:00Z stderr F Error: {words}\n"
        )
    };
    let slow = diagnose::cause("", &log("context deadline exceeded"));
    assert!(slow.is_slowness() && slow.reason().id == "K8S_APISERVER_TIMEOUT", "{slow:?}");
    assert!(slow.to_string().contains("context deadline exceeded"), "{slow}");
    let broken = diagnose::cause("", &log("no such key"));
    assert!(!broken.is_slowness() && broken.reason().id == "K8S_CONTROL_PLANE_CRASH", "{broken:?}");
    assert!(diagnose::cause("", "").is_slowness());
}
