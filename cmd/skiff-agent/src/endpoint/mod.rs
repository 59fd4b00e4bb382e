//! The role `endpoint`: where a worker, and all that runs on it, finds an API server.
//!
//! It listens at an address that is the same on every node and passes each connection on to a control
//! plane that takes it. It runs as a service of the node and not as a pod, for the kubelet needs it
//! before there are pods. What is passed on stays encrypted: certificates are the business of both ends.

mod keepalive;
mod servers;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::timeout,
};

use self::servers::Servers;
use crate::{Error, runtime};

/// A control plane that takes longer to accept is passed over. In a network of one host it takes far
/// less than a millisecond.
const CONNECT_TIME: Duration = Duration::from_secs(1);
/// The pause when no more connections can be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Pass connections on to an API server that lives.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct EndpointArgs {
    /// Where to listen.
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,
    /// The file that lists the API servers, one IP:PORT a line; read again for each connection.
    #[arg(long, value_name = "PATH")]
    servers: PathBuf,
}

/// Runs the role until the process is told to end.
pub(crate) fn run(args: EndpointArgs) -> Result<(), Error> {
    runtime::block_on(async {
        let address = args.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        runtime::until_told_to_end(serve(listener, Servers::new(args.servers))).await
    })
}

async fn serve(listener: TcpListener, servers: Servers) -> Result<(), Error> {
    let servers = Arc::new(servers);
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(pass_on(client, Arc::clone(&servers)));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Connects a client with the first server that takes the connection, until either hangs up.
async fn pass_on(mut client: TcpStream, servers: Arc<Servers>) {
    for address in servers.candidates() {
        let server = match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
            Ok(Ok(server)) => server,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "passed over");
                continue;
            }
            Err(_) => {
                tracing::debug!(%address, "passed over: it does not answer");
                continue;
            }
        };
        servers.works(address);
        // Without it clients of a machine that is gone would wait for minutes for its answers.
        if let Err(error) = keepalive::end_when_peer_is_gone(&server) {
            tracing::warn!(%error, "cannot watch over a connection");
        }
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut server = server;
        if let Err(error) = copy_bidirectional(&mut client, &mut server).await {
            tracing::debug!(%address, %error, "connection ended");
        }
        return;
    }
    tracing::warn!("no API server takes connections");
}
