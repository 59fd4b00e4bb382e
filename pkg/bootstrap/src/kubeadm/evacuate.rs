//! Nodes that are away for a while.
//!
//! `kubectl drain` ends pods without a controller as well, for good, and all pods of a controller at
//! once where no disruption budget stands in the way. A node that comes back on its data still has
//! its pods, so those that nobody would make again are left alone here, like those of daemon sets;
//! and of what a controller runs one goes at a time, when the others are ready.

use std::time::Duration;

use skiff_config::{KubeVersion, NodeName};
use skiff_runner::{Command, Runner};

use crate::BootstrapError;

/// How much longer than the pods' own limit the command may take.
const GRACE: Duration = Duration::from_secs(30);
/// Seconds without a pod that went after which nobody waits any longer for others to be ready.
const CALM: u64 = 60;
/// On nodes that skiff itself keeps pods away from.
const AWAY: &str = "skiff.dev/away";

/// A line for each controller that runs several pods: its id, and how many.
const CONTROLLERS: &str = "{{range .items}}controller {{.metadata.uid}} {{or .spec.replicas 0}}{{\"\\n\"}}{{end}}";
/// A line for each pod that has an owner: node, owner's kind and id, readiness, `ending` if it is, namespace and name.
const PODS: &str = "{{range .items}}{{$pod := .}}{{$ready := \"False\"}}{{range .status.conditions}}{{if eq .type \"Ready\"}}\
    {{$ready = .status}}{{end}}{{end}}{{if and (ne .status.phase \"Succeeded\") (ne .status.phase \"Failed\")}}\
    {{range .metadata.ownerReferences}}{{if .controller}}pod {{$pod.spec.nodeName}} {{.kind}} {{.uid}} {{$ready}} \
    {{if $pod.metadata.deletionTimestamp}}ending{{else}}living{{end}} {{$pod.metadata.namespace}} {{$pod.metadata.name}}\
    {{\"\\n\"}}{{end}}{{end}}{{end}}{{end}}";
/// What to do now with each pod of the node: one that is not ready is missed by nobody, one that is
/// may go if there are as many ready ones as there shall be.
const CHOICE: &str = r#"
    $1 == "controller" { wanted[$2] = $3 }
    $1 == "pod" { lines[++count] = $0; if ($5 == "True" && $6 == "living") ready[$4]++ }
    END {
        for (i = 1; i <= count; i++) {
            split(lines[i], pod, " ")
            if (pod[2] != node || pod[3] == "DaemonSet" || pod[3] == "Node") continue
            what = "evict"
            if (pod[6] == "ending") what = "ending"
            else if (calm && pod[5] == "True" && (pod[4] in wanted) && ready[pod[4]] < wanted[pod[4]]) what = "wait"
            else if (pod[5] == "True") ready[pod[4]]--
            print what, pod[7], pod[8]
        }
    }"#;

/// How long pods may take to go elsewhere, and whether disruption budgets are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evacuation {
    /// How long.
    pub patience: Duration,
    /// Ask no budget.
    pub force: bool,
}

/// Lets no new pod come to a node and moves those away that have a controller, through a control
/// plane. `oldest` is the oldest version of an API server in the cluster.
///
/// # Errors
/// [`BootstrapError::Drain`] with what stood in the way.
pub async fn evacuate<R: Runner>(
    through: &R,
    node: &NodeName,
    oldest: &KubeVersion,
    how: Evacuation,
) -> Result<(), BootstrapError> {
    let telling = |line: &&str| line.contains("disruption budget") || line.starts_with("pod ");
    ask(through, node, Command::sh(&leave(node, oldest, how)).timeout(how.patience + GRACE), telling).await
}

/// Lets pods come to a node again. One that somebody else keeps them away from stays so.
///
/// # Errors
/// [`BootstrapError::Drain`] if the API server refuses.
pub async fn come_back<R: Runner>(through: &R, node: &NodeName) -> Result<(), BootstrapError> {
    let node_word = Command::quote(node.as_str());
    let script = format!(
        "{KUBECTL}\naway=$(k get node {node_word} -o jsonpath='{{.metadata.annotations.{}}}')\n\
         [ -z \"$away\" ] || {{ k uncordon {node_word} >/dev/null; k annotate node {node_word} {AWAY}- >/dev/null; }}",
        AWAY.replace('.', "\\.")
    );
    ask(through, node, Command::sh(&script), |_| false).await
}

const KUBECTL: &str = "k() { kubectl --kubeconfig /etc/kubernetes/admin.conf \"$@\"; }";

async fn ask<R: Runner>(
    through: &R,
    node: &NodeName,
    command: Command,
    telling: impl Fn(&&str) -> bool,
) -> Result<(), BootstrapError> {
    let action = || format!("asking the API server about node {node}");
    let output = through.output(command).await.map_err(|source| BootstrapError::Node { action: action(), source })?;
    if output.status == 0 {
        return Ok(());
    }
    let printed = output.stderr_text();
    let lines = || printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let detail = lines().find(telling).or_else(|| lines().next_back()).unwrap_or("kubectl said nothing");
    Err(BootstrapError::Drain { node: node.clone(), detail: detail.to_owned() })
}

fn leave(node: &NodeName, oldest: &KubeVersion, how: Evacuation) -> String {
    let node = Command::quote(node.as_str());
    let policy = if oldest.at_least(22) { "policy/v1" } else { "policy/v1beta1" };
    // A pod that is gone by the time it is asked to go is no trouble; one that stays is told at last.
    let go = if how.force {
        "k delete pod --namespace \"$namespace\" \"$pod\" --grace-period=1 --wait=false >/dev/null || true".to_owned()
    } else {
        format!(
            "printf '{{\"apiVersion\":\"{policy}\",\"kind\":\"Eviction\",\"metadata\":{{\"namespace\":\"%s\",\"name\":\"%s\"}}}}' \
             \"$namespace\" \"$pod\" | k create --raw \"/api/v1/namespaces/$namespace/pods/$pod/eviction\" -f - \
             >/dev/null || true"
        )
    };
    let patience = how.patience.as_secs().max(1);
    format!(
        "{KUBECTL}\n\
         [ -n \"$(k get node {node} -o jsonpath='{{.spec.unschedulable}}')\" ] || {{\n\
         k annotate --overwrite node {node} {AWAY}=true >/dev/null\nk cordon {node} >/dev/null; }}\n\
         now=$(date +%s) end=$((now + {patience})) calm=$((now + {CALM}))\n\
         while :; do\n\
         all=$(k get replicasets,statefulsets,replicationcontrollers --all-namespaces -o go-template='{CONTROLLERS}'\n\
         k get pods --all-namespaces -o go-template='{PODS}')\n\
         now=$(date +%s)\n\
         pods=$(printf '%s\\n' \"$all\" | awk -v node={node} -v calm=$((now < calm)) '{CHOICE}')\n\
         [ -n \"$pods\" ] || exit 0\n\
         case $pods in *evict*) calm=$((now + {CALM})) ;; esac\n\
         said=$(printf '%s\\n' \"$pods\" | while read -r what namespace pod; do\n\
         if [ $what = evict ]; then {go}; else echo \"pod $namespace/$pod is still there\"; fi\n\
         done 2>&1)\n\
         if [ $now -ge $end ]; then printf '%s\\n' \"$said\" >&2; exit 1; fi\n\
         sleep 1\n\
         done"
    )
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, process};

    use skiff_runner::FakeRunner;

    use super::*;

    fn how(force: bool) -> Evacuation {
        Evacuation { patience: Duration::from_secs(90), force }
    }

    async fn line(oldest: KubeVersion, force: bool) -> String {
        let runner = FakeRunner::default();
        evacuate(&runner, &"dev-m02".parse().unwrap(), &oldest, how(force)).await.unwrap();
        runner.commands()[0].argv[2].clone()
    }

    /// What is to be done on node `a` with these controllers and pods.
    fn choice(calm: bool, lines: &str) -> String {
        let mut awk = process::Command::new("awk");
        awk.args(["-v", "node=a", "-v", &format!("calm={}", u8::from(calm)), CHOICE]);
        let mut child = awk.stdin(process::Stdio::piped()).stdout(process::Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[tokio::test]
    async fn pods_are_asked_in_words_that_every_api_server_of_the_cluster_knows() {
        assert!(line(KubeVersion::new(1, 21, 14), false).await.contains("\"policy/v1beta1\""));
        assert!(line(KubeVersion::new(1, 22, 17), false).await.contains("\"policy/v1\""));
        let forced = line(KubeVersion::new(1, 22, 17), true).await;
        assert!(!forced.contains("eviction") && forced.contains("k delete pod"), "{forced}");
    }

    #[test]
    fn one_of_two_replicas_goes_when_both_are_ready() {
        let pods = "controller r 2\npod a ReplicaSet r True living default web-1\n";
        let both_here = format!("{pods}pod a ReplicaSet r True living default web-2\n");
        assert_eq!(choice(true, &both_here), "evict default web-1\nwait default web-2\n");
        let other_starts = format!("{pods}pod b ReplicaSet r False living default web-2\n");
        assert_eq!(choice(true, &other_starts), "wait default web-1\n");
        assert_eq!(choice(false, &other_starts), "evict default web-1\n", "not for ever");
        let other_ends = format!("{pods}pod b ReplicaSet r True ending default web-2\n");
        assert_eq!(choice(true, &other_ends), "wait default web-1\n");
        let other_runs = format!("{pods}pod b ReplicaSet r True living default web-2\n");
        assert_eq!(choice(true, &other_runs), "evict default web-1\n");
    }

    #[test]
    fn what_nobody_misses_goes_and_what_belongs_to_the_node_stays() {
        let pods = "controller r 1\n\
                    pod a ReplicaSet r False living default broken\n\
                    pod a DaemonSet d True living kube-system proxy\n\
                    pod a Node n True living kube-system etcd-a\n\
                    pod a Job j True living default job\n\
                    pod a ReplicaSet x True ending default leaving\n\
                    pod b ReplicaSet y True living default elsewhere\n";
        assert_eq!(choice(true, pods), "evict default broken\nevict default job\nending default leaving\n");
    }

    #[tokio::test]
    async fn what_stood_in_the_way_is_told() {
        let said = "Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget.\n\
                    pod default/web-1 is still there\n";
        let runner = FakeRunner::default().reply("cordon", 1, "", said);
        let node = "dev-m02".parse().unwrap();
        let error = evacuate(&runner, &node, &KubeVersion::new(1, 20, 2), how(false)).await.unwrap_err();
        assert!(error.to_string().contains("disruption budget"), "{error}");
    }
}
