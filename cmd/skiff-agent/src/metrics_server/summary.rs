//! What a kubelet's `/stats/summary` says about usage. Pure.
//!
//! Of the kubelet's pages this is the one that all versions have and that names a rate by itself: one look
//! is enough for an answer, where counters would need two looks a while apart.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;

/// Kubelets look at each cgroup about this often.
const USUAL_WINDOW: Duration = Duration::from_secs(10);
/// Two looks that are further apart than this are not those that a rate was made from.
const LONGEST_WINDOW: Duration = Duration::from_secs(60);
/// The name under which a node's own counter is remembered.
const NODE: (&str, &str, &str) = ("", "", "");

/// A kubelet's page, cut down to what is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Summary {
    node: Stats,
    pods: Vec<PodStats>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStats {
    pod_ref: PodRef,
    containers: Vec<Stats>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodRef {
    name: String,
    namespace: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stats {
    name: String,
    cpu: Option<Cpu>,
    memory: Option<Memory>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    time: Timestamp,
    usage_nano_cores: Option<u64>,
    usage_core_nano_seconds: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    working_set_bytes: Option<u64>,
}

/// What something uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// When this was measured.
    pub(super) at: Timestamp,
    /// The time before that over which the processor's use is an average.
    pub(super) window: Duration,
    /// Billionths of a processor.
    pub(super) nano_cores: u64,
    /// Memory that cannot be taken away.
    pub(super) bytes: u64,
}

/// A pod's containers and what each of them uses.
pub(super) type Containers = Vec<(String, Usage)>;

/// Namespace and name of a pod.
pub(super) type PodKey = (String, String);

/// The counters of one look at a node, for the next look to compare with.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(HashMap<(String, String, String), (Timestamp, Option<u64>)>);

/// What is known about a node and all that runs there.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// The node as a whole.
    pub(super) node: Option<Usage>,
    /// Pods of which all containers have been measured.
    pub(super) pods: HashMap<PodKey, Containers>,
    /// For the next reading.
    pub(super) counters: Counters,
}

impl Summary {
    /// Makes a reading of the page, with the counters of the look before it.
    pub(super) fn reading(&self, before: &Counters) -> Reading {
        let mut counters = Counters::default();
        let node = counters.usage(before, NODE, &self.node);
        let mut pods = HashMap::new();
        for pod in &self.pods {
            let (namespace, name) = (&pod.pod_ref.namespace, &pod.pod_ref.name);
            let containers: Vec<Option<(String, Usage)>> = (pod.containers.iter())
                .map(|one| Some((one.name.clone(), counters.usage(before, (namespace, name, &one.name), one)?)))
                .collect();
            // Half a pod would look to an autoscaler like one that has little to do.
            if let Some(containers) = containers.into_iter().collect::<Option<Containers>>()
                && !containers.is_empty()
            {
                pods.insert((namespace.clone(), name.clone()), containers);
            }
        }
        Reading { node, pods, counters }
    }
}

impl Counters {
    /// The usage behind `stats`, whose counter is noted.
    fn usage(&mut self, before: &Self, key: (&str, &str, &str), stats: &Stats) -> Option<Usage> {
        let cpu = stats.cpu.as_ref()?;
        let key = (key.0.to_owned(), key.1.to_owned(), key.2.to_owned());
        let last = before.0.get(&key).copied();
        let (time, total) = (cpu.time, cpu.usage_core_nano_seconds);
        self.0.insert(key, (time, total));
        let since = last.and_then(|(at, _)| Duration::try_from(time.duration_since(at)).ok());
        let since = since.filter(|since| !since.is_zero());
        let counted = || {
            let gained = total?.checked_sub(last?.1?)?;
            u64::try_from(u128::from(gained) * 1000 / since?.as_millis()).ok()
        };
        Some(Usage {
            at: time,
            window: since.filter(|since| *since <= LONGEST_WINDOW).unwrap_or(USUAL_WINDOW),
            nano_cores: cpu.usage_nano_cores.or_else(counted)?,
            bytes: stats.memory.as_ref()?.working_set_bytes?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stats(name: &str, time: &str, rate: Option<u64>, total: u64) -> Value {
        let mut stats = json!({
            "name": name,
            "cpu": {"time": time, "usageCoreNanoSeconds": total},
            "memory": {"time": time, "workingSetBytes": 4096, "usageBytes": 9999},
        });
        if let Some(rate) = rate {
            stats["cpu"]["usageNanoCores"] = rate.into();
        }
        stats
    }

    fn summary(node: Value, containers: Value) -> Summary {
        let pod = json!({"podRef": {"name": "p", "namespace": "n", "uid": "u"}, "containers": containers});
        serde_json::from_value(json!({"node": node, "pods": [pod]})).unwrap()
    }

    fn pod() -> PodKey {
        ("n".to_owned(), "p".to_owned())
    }

    #[test]
    fn one_look_is_enough_where_the_kubelet_names_a_rate() {
        let page = summary(
            stats("", "2026-01-01T00:00:00Z", Some(250), 1),
            json!([stats("c", "2026-01-01T00:00:03Z", Some(7), 1)]),
        );
        let reading = page.reading(&Counters::default());
        let node = reading.node.unwrap();
        assert_eq!((node.nano_cores, node.bytes, node.window), (250, 4096, USUAL_WINDOW));
        let containers = &reading.pods[&pod()];
        assert_eq!((containers[0].0.as_str(), containers[0].1.nano_cores), ("c", 7));
        assert_eq!(containers[0].1.at.to_string(), "2026-01-01T00:00:03Z");
    }

    #[test]
    fn without_a_rate_two_looks_make_one() {
        let look = |time, total| summary(stats("", time, None, total), json!([stats("c", time, None, total)]));
        let first = look("2026-01-01T00:00:00Z", 1_000_000_000).reading(&Counters::default());
        assert!(first.node.is_none() && first.pods.is_empty());
        let second = look("2026-01-01T00:00:20Z", 11_000_000_000).reading(&first.counters);
        let node = second.node.unwrap();
        assert_eq!((node.nano_cores, node.window), (500_000_000, Duration::from_secs(20)));
        // The same measurement again, and a counter that began anew, are no rate.
        assert!(look("2026-01-01T00:00:20Z", 11_000_000_000).reading(&second.counters).node.is_none());
        assert!(look("2026-01-01T00:00:30Z", 5).reading(&second.counters).node.is_none());
    }

    #[test]
    fn a_pod_with_a_container_that_was_not_measured_is_left_out() {
        let known = stats("a", "2026-01-01T00:00:00Z", Some(1), 1);
        for unknown in [
            json!({"name": "b"}),
            json!({"name": "b", "cpu": {"time": "2026-01-01T00:00:00Z"}, "memory": {"workingSetBytes": 1}}),
            json!({"name": "b", "cpu": {"time": "2026-01-01T00:00:00Z", "usageNanoCores": 1}, "memory": {}}),
        ] {
            assert!(summary(known.clone(), json!([known, unknown])).reading(&Counters::default()).pods.is_empty());
        }
        assert!(summary(known, json!([])).reading(&Counters::default()).pods.is_empty());
    }

    #[test]
    fn a_look_long_ago_says_nothing_about_the_window() {
        let look = |time| summary(stats("", time, Some(1), 1), json!([]));
        let first = look("2026-01-01T00:00:00Z").reading(&Counters::default());
        let later = look("2026-01-01T01:00:00Z").reading(&first.counters);
        assert_eq!(later.node.unwrap().window, USUAL_WINDOW);
    }
}
