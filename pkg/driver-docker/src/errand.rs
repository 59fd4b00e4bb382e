//! Errands: short-lived containers of a node image that do what only the Engine's host can do.

use bollard::{
    container::LogOutput,
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{
        CreateContainerOptions, LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
        WaitContainerOptions,
    },
};
use futures_util::TryStreamExt;
use skiff_config::ClusterName;

use crate::{DockerDriver, Error, failure, labels};

/// A script to run.
pub(crate) struct Errand<'a> {
    /// The cluster that it is for. Should skiff be killed, its deletion removes the container.
    pub(crate) cluster: &'a ClusterName,
    /// A node image, by name or id: it has a shell.
    pub(crate) image: Option<String>,
    /// The script, which ends at its first failure.
    pub(crate) script: &'static str,
    /// What the script knows as `$1` and so on.
    pub(crate) arguments: Vec<String>,
    /// What the container needs beside what every errand has.
    pub(crate) host_config: HostConfig,
    /// Completes the sentence `docker failed while making a container that`.
    pub(crate) purpose: &'static str,
}

/// How an errand ended.
pub(crate) struct Ended {
    /// True if its script did.
    pub(crate) well: bool,
    /// What it printed.
    pub(crate) printed: String,
}

impl DockerDriver {
    /// Runs a script to its end, and leaves nothing of it behind.
    pub(crate) async fn run(&self, errand: Errand<'_>) -> Result<Ended, Error> {
        let purpose = errand.purpose;
        let (docker, body) = (self.docker.clone(), body(errand));
        let making = async move { docker.create_container(None::<CreateContainerOptions>, body).await };
        let made = self.making.finish(making).await;
        let id = made.map_err(failure::engine(format!("making a container that {purpose}")))?.id;
        let ended = self.run_to_its_end(&id, purpose).await;
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self.docker.remove_container(&id, Some(force)).await;
        let ended = ended?;
        failure::unless(removed, &[404, 409])
            .map_err(failure::engine(format!("removing the container that {purpose}")))?;
        Ok(ended)
    }

    async fn run_to_its_end(&self, id: &str, purpose: &str) -> Result<Ended, Error> {
        let started = self.docker.start_container(id, None::<StartContainerOptions>).await;
        started.map_err(failure::engine(format!("starting a container that {purpose}")))?;
        let waited: Result<Vec<_>, _> =
            self.docker.wait_container(id, None::<WaitContainerOptions>).try_collect().await;
        let well = match waited {
            Ok(_) => true,
            Err(bollard::errors::Error::DockerContainerWaitError { .. }) => false,
            Err(error) => return Err(failure::engine(format!("waiting for a container that {purpose}"))(error)),
        };
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let logs: Result<Vec<LogOutput>, _> = self.docker.logs(id, Some(options)).try_collect().await;
        let logs = logs.map_err(failure::engine(format!("reading what a container printed that {purpose}")))?;
        let text = |chunk: LogOutput| String::from_utf8_lossy(&chunk.into_bytes()).into_owned();
        Ok(Ended { well, printed: logs.into_iter().map(text).collect() })
    }
}

fn body(errand: Errand<'_>) -> ContainerCreateBody {
    // What follows the script is its name for itself, then its arguments.
    let words = ["/bin/sh", "-ec", errand.script, "errand"].map(str::to_owned).into_iter();
    ContainerCreateBody {
        image: errand.image,
        entrypoint: Some(words.chain(errand.arguments).collect()),
        network_disabled: Some(true),
        labels: Some([(labels::PROBE.to_owned(), errand.cluster.to_string())].into()),
        host_config: Some(HostConfig {
            security_opt: Some(
                ["seccomp=unconfined", "apparmor=unconfined", "label=disable"].map(str::to_owned).to_vec(),
            ),
            userns_mode: Some("host".to_owned()),
            ..errand.host_config
        }),
        ..ContainerCreateBody::default()
    }
}
