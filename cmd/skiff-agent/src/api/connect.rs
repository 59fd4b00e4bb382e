//! A client for the API server, from the pod's service account or from a kubeconfig file.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::net::TcpStream;

use crate::Error;

/// How long one attempt to connect may take once the API server has been seen.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The first and the last patience of the probes before that.
const PROBE_TIMES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The pause after a refused probe.
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// How to reach the API server.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Access {
    /// A kubeconfig file to use instead of the pod's service account.
    #[arg(long, value_name = "PATH")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// Waits until the API server accepts connections and returns a client for it.
pub(crate) async fn connect(access: &Access) -> Result<Client, Error> {
    connect_with_config(access).await.map(|(_, client)| client)
}

/// The same, with the settings behind the client: kubelets take them, too.
pub(crate) async fn connect_with_config(access: &Access) -> Result<(Config, Client), Error> {
    // A second call finds the provider in place, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = match &access.kubeconfig {
        None => Config::incluster_env().map_err(Error::NotInCluster)?,
        Some(path) => {
            let failed = |source| Error::Kubeconfig { path: path.clone(), source };
            let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)?
        }
    };
    config.connect_timeout = Some(CONNECT_TIME);
    wait_until_reachable(&config).await;
    let client = Client::try_from(config.clone()).map_err(Error::Client)?;
    Ok((config, client))
}

/// Connects again and again, each time from a new port and with little patience.
///
/// Right after a node's start its service rules may not be in place yet. The first packet of a connection
/// decides whether it is translated, so one that was sent too early never arrives, however often it is
/// repeated; a new connection does.
async fn wait_until_reachable(config: &Config) {
    let uri = &config.cluster_url;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let Ok(address) = host.parse::<IpAddr>() else { return };
    let port = uri.port_u16().unwrap_or(443);
    let mut patience = PROBE_TIMES.0;
    let mut logged = false;
    loop {
        match tokio::time::timeout(patience, TcpStream::connect((address, port))).await {
            Ok(Ok(_)) => return,
            Ok(Err(_)) => tokio::time::sleep(PROBE_PAUSE).await,
            Err(_) => patience = patience.mul_f32(1.5).min(PROBE_TIMES.1),
        }
        if !std::mem::replace(&mut logged, true) {
            tracing::info!(%address, port, "waiting for the API server");
        }
    }
}
