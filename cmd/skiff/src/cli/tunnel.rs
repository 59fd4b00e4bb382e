//! `skiff tunnel`.

use std::net::{IpAddr, Ipv4Addr};

use skiff_cluster::{TunnelOptions, tunnel};
use skiff_report::ExitCode;

use crate::{context::Context, failure::Failure};

/// Brings services of type LoadBalancer to this host, until Ctrl-C.
///
/// Each port of such a service, TCP or UDP, gets a listener on this host, added and removed as services come and go.
/// Nothing needs a privilege: where a port is not to be had, another one is taken and told. On hosts that
/// reach the nodes directly, services have addresses of their own, and the tunnel is not needed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Clear what a tunnel left that was killed, before this one starts.
    #[arg(short, long, value_name = "BOOL", default_value = "true", default_missing_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    #[arg(value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    cleanup: bool,
    /// Address of this host to listen at; * means every one.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", value_parser = address)]
    bind_address: IpAddr,
}

impl Args {
    /// Works until the user has enough of it, which is a good end.
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let options = TunnelOptions { bind: self.bind_address, cleanup: self.cleanup };
        let host = context.host_in_use("skiff tunnel").await?;
        let interrupted = async {
            context.interrupt.came().await;
        };
        tunnel(&host, &context.cluster, options, interrupted).await?;
        Ok(ExitCode::SUCCESS)
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    match text {
        "" | "*" => Ok(Ipv4Addr::UNSPECIFIED.into()),
        text => text.parse().map_err(|_| format!("`{text}` is not an address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_means_every_address() {
        assert_eq!(address("*"), Ok(Ipv4Addr::UNSPECIFIED.into()));
        assert_eq!(address("::1").map(|address| address.is_ipv6()), Ok(true));
        assert!(address("everywhere").is_err());
    }
}
