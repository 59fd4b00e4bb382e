//! What a killed Engine has left of a container that it was starting.
//!
//! An Engine that is killed in the middle of a start knows nothing of it afterwards: the container counts
//! as ended, while containerd's shim that keeps it, and perhaps all that runs in it, lives on. The Engine
//! then refuses to start the container, and a new one would share the node's data with the old one.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{
    errors::Error as EngineError,
    models::{HostConfig, HostConfigCgroupnsModeEnum},
    query_parameters::StartContainerOptions,
};
use skiff_config::ClusterName;

use crate::{
    DockerDriver, Error,
    errand::Errand,
    failure::{self, StartFailure},
    node::Found,
};

/// How often a container is tried whose leftovers have been ended: containerd has to notice.
const TRIES: u32 = 10;
/// Pause between two of these.
const PAUSE: Duration = Duration::from_millis(300);

/// Kills all that runs in the container `$1`, and the shim that keeps it, until nothing of that is left.
/// The brackets keep a search from finding itself.
const END: &str = r#"
left=20
while [ "$left" -gt 0 ]; do
    left=$((left - 1))
    killed=
    for process in /proc/[0-9]*; do
        if grep -qs "$1" "$process/cgroup" ||
            { tr '\0' ' ' <"$process/cmdline" | grep -q "[c]ontainerd-shim.* -id $1 "; } 2>/dev/null; then
            kill -9 "${process#/proc/}" 2>/dev/null || true
            killed=yes
        fi
    done
    [ -n "$killed" ] || exit 0
    sleep 0.1
done
"#;

impl DockerDriver {
    /// Starts a container; what an earlier start has left of it is ended first where that is in the way.
    /// Nothing happens to one that runs.
    pub(crate) async fn start_container(
        &self,
        cluster: &ClusterName,
        id: &str,
        image: Option<&String>,
    ) -> Result<(), EngineError> {
        let start =
            async || failure::unless(self.docker.start_container(id, None::<StartContainerOptions>).await, &[304]);
        let in_the_way = |tried: &Result<(), EngineError>| {
            tried.as_ref().is_err_and(|error| failure::start(error) == StartFailure::Leftover)
        };
        let mut tried = start().await;
        // Where they cannot be ended, the Engine's own words say more.
        if in_the_way(&tried) && self.end_leftovers(cluster, id, image).await.is_ok() {
            for _ in 0..TRIES {
                tried = start().await;
                if !in_the_way(&tried) {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        tried
    }

    /// Ends what lives on of a node's container that the Engine takes for ended. A new container must not
    /// share the node's data with it.
    pub(crate) async fn end_what_lives_on(&self, cluster: &ClusterName, found: &Found) -> Result<(), Error> {
        if found.is_off() && self.local && has_cgroup(Path::new("/sys/fs/cgroup"), &found.id) {
            self.end_leftovers(cluster, &found.id, found.inspected.image.as_ref()).await?;
        }
        Ok(())
    }

    async fn end_leftovers(&self, cluster: &ClusterName, id: &str, image: Option<&String>) -> Result<(), Error> {
        let host_config = HostConfig {
            pid_mode: Some("host".to_owned()),
            // Shows the cgroups of all processes by their whole names.
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::HOST),
            ..HostConfig::default()
        };
        let ended = self.run(Errand {
            cluster,
            image: image.cloned(),
            script: END,
            arguments: vec![id.to_owned()],
            host_config,
            purpose: "ends what a killed Engine has left",
        });
        ended.await.map(drop)
    }
}

/// True if a container has a cgroup, as only those have that something runs in. Docker's two ways to name
/// it, on either version of cgroups.
fn has_cgroup(root: &Path, id: &str) -> bool {
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let names = [PathBuf::from("docker").join(id), PathBuf::from("system.slice").join(format!("docker-{id}.scope"))];
    hierarchies.chain([root.to_owned()]).any(|hierarchy| names.iter().any(|name| hierarchy.join(name).exists()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_of_a_container_is_found_on_every_kind_of_host() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("docker/{id}"),
            format!("system.slice/docker-{id}.scope"),
            format!("memory/docker/{id}"),
            format!("memory/system.slice/docker-{id}.scope"),
        ] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("docker/other")).unwrap();
            assert!(!has_cgroup(root.path(), &id));
            fs::create_dir_all(root.path().join(&path)).unwrap();
            assert!(has_cgroup(root.path(), &id), "{path}");
        }
    }
}
