//! What the Engine knows about a node, as files.

use std::path::{Path, PathBuf};

use bollard::{container::LogOutput, models::ContainerInspectResponse, query_parameters::LogsOptionsBuilder};
use futures_util::TryStreamExt;
use skiff_config::{ClusterName, NodeName};
use tokio::{
    fs::{self, File},
    io::{AsyncWriteExt, BufWriter},
};

use crate::{DockerDriver, Error, failure, node::Found};

/// Variables whose values are no secrets.
const HARMLESS: [&str; 2] = ["container", "PATH"];

impl DockerDriver {
    pub(crate) async fn write_logs(
        &self,
        cluster: &ClusterName,
        node: &NodeName,
        folder: &Path,
    ) -> Result<Vec<PathBuf>, Error> {
        let absent = || Error::NodeAbsent { node: node.clone() };
        let found = self.find(cluster, node).await?.ok_or_else(absent)?;
        let console = folder.join(format!("{node}.console.log"));
        self.write_console(&found, &console).await?;
        let inspect = folder.join(format!("{node}.inspect.json"));
        let text = inspection(found.inspected).map_err(|error| file(&inspect)(error.into()))?;
        fs::write(&inspect, text).await.map_err(file(&inspect))?;
        Ok(vec![console, inspect])
    }

    async fn write_console(&self, found: &Found, path: &Path) -> Result<(), Error> {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).build();
        let mut console = BufWriter::new(File::create(path).await.map_err(file(path))?);
        let mut chunks = self.docker.logs(&found.id, Some(options));
        while let Some(chunk) = chunks.try_next().await.map_err(failure::engine("reading the console"))? {
            let bytes = LogOutput::into_bytes(chunk);
            console.write_all(&bytes).await.map_err(file(path))?;
        }
        console.flush().await.map_err(file(path))
    }
}

fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::File { path, source }
}

/// The Engine's inspection as JSON. Values of variables are left out, as people put secrets there.
fn inspection(mut inspected: ContainerInspectResponse) -> Result<String, serde_json::Error> {
    for variable in inspected.config.iter_mut().filter_map(|config| config.env.as_mut()).flatten() {
        let name = variable.split('=').next().unwrap_or_default();
        if !HARMLESS.contains(&name) {
            *variable = format!("{name}=<left out>");
        }
    }
    serde_json::to_string_pretty(&inspected)
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerConfig;

    use super::*;

    #[test]
    fn values_of_variables_are_left_out() {
        let env = ["container=docker", "TOKEN=a=b", "EMPTY"].map(str::to_owned).to_vec();
        let config = ContainerConfig { env: Some(env), ..Default::default() };
        let text = inspection(ContainerInspectResponse { config: Some(config), ..Default::default() }).unwrap();
        assert!(text.contains("container=docker") && text.contains("TOKEN=<left out>"), "{text}");
        assert!(!text.contains("a=b"), "{text}");
    }
}
