//! The role `relay`: standard input and output become a connection inside the cluster's network.
//!
//! skiff runs it in a pod of cluster DNS, through the API server, where it has no other way to an address: for
//! datagrams, and for what is at an address of a node instead of in a pod.

mod datagrams;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy},
    net::TcpStream,
    time::timeout,
};

use crate::{Error, runtime};

/// How long a server may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a server may go on after the other side has ended: whether anybody still listens cannot be told.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// Pass standard input and output on to an address.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RelayArgs {
    /// What is spoken there.
    protocol: Protocol,
    /// Where to.
    #[arg(value_name = "IP:PORT")]
    to: SocketAddr,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Protocol {
    /// Bytes as they come.
    Tcp,
    /// Datagrams, each behind its sender's number (4 bytes) and its length (2 bytes), the highest byte first.
    Udp,
}

/// Runs the role until standard input ends.
pub(crate) fn run(args: &RelayArgs) -> Result<(), Error> {
    let (input, output) = (tokio::io::stdin, tokio::io::stdout);
    let relay = async {
        match args.protocol {
            Protocol::Tcp => connection(args.to, input(), output()).await,
            Protocol::Udp => datagrams::carry(args.to, input(), output()).await,
        }
    };
    let address = args.to;
    runtime::block_on(async { relay.await.map_err(|source| Error::Relay { address, source }) })
}

/// Carries bytes both ways until the server has ended.
async fn connection(
    to: SocketAddr,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let server = timeout(CONNECT_TIME, TcpStream::connect(to)).await;
    let server = server.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    // A connection that does not want it works without it.
    let _ = server.set_nodelay(true);
    let (mut from_server, mut to_server) = server.into_split();
    let down = async {
        let copied = copy(&mut from_server, &mut output).await;
        output.flush().await.and(copied)
    };
    let mut down = std::pin::pin!(down);
    tokio::select! {
        done = &mut down => return done.map(drop),
        sent = copy(&mut input, &mut to_server) => drop(sent?),
    }
    to_server.shutdown().await?;
    timeout(LAST_WORDS, down).await.map_or(Ok(()), |done| done.map(drop))
}
