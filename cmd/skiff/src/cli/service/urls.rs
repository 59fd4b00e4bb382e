//! URLs of services as `--format` wants them.

use std::net::SocketAddr;

use skiff_cluster::Endpoint;

use crate::{failure::Failure, template::Template};

/// What a URL looks like unless somebody wants it otherwise; minikube's.
pub(super) const DEFAULT_FORMAT: &str = "http://{{.IP}}:{{.Port}}";

/// Writes URLs.
pub(super) struct Urls {
    template: Template,
    https: bool,
    default: bool,
}

impl Urls {
    /// Reads a format.
    pub(super) fn new(format: &str, https: bool) -> Result<Self, Failure> {
        let template = Template::parse(format, &["IP", "Port", "Name"])?;
        Ok(Self { template, https, default: format == DEFAULT_FORMAT })
    }

    /// The URL of a port that is reached at an address.
    pub(super) fn of(&self, address: SocketAddr, endpoint: &Endpoint) -> String {
        let url = self.template.render(|field| match field {
            "IP" if address.is_ipv6() => format!("[{}]", address.ip()),
            "IP" => address.ip().to_string(),
            "Port" => address.port().to_string(),
            _ => endpoint.port.name.clone().unwrap_or_default(),
        });
        let scheme = match endpoint.port.protocol.as_str() {
            "TCP" if self.https => "https".to_owned(),
            // Nobody speaks HTTP there.
            protocol if protocol != "TCP" && self.default => protocol.to_lowercase(),
            _ => return url,
        };
        url.strip_prefix("http://").map_or(url.clone(), |rest| format!("{scheme}://{rest}"))
    }
}

#[cfg(test)]
mod tests {
    use skiff_cluster::Way;
    use skiff_kubeapi::ServicePort;

    use super::*;

    fn url(format: &str, https: bool, protocol: &str) -> String {
        let address: SocketAddr = "192.0.2.2:30080".parse().unwrap();
        let port = ServicePort {
            name: Some("web".to_owned()),
            protocol: protocol.to_owned(),
            port: 80,
            ..ServicePort::default()
        };
        Urls::new(format, https).unwrap().of(address, &Endpoint { port, way: Way::Direct(address) })
    }

    #[test]
    fn urls_are_minikubes_unless_told_otherwise() {
        assert_eq!(url(DEFAULT_FORMAT, false, "TCP"), "http://192.0.2.2:30080");
        assert_eq!(url(DEFAULT_FORMAT, true, "TCP"), "https://192.0.2.2:30080");
        assert_eq!(url(DEFAULT_FORMAT, true, "UDP"), "udp://192.0.2.2:30080");
        assert_eq!(url("{{.Name}}={{.IP}}", true, "UDP"), "web=192.0.2.2");
    }

    #[test]
    fn a_field_that_is_not_there_is_a_usage_error() {
        assert_eq!(Urls::new("{{.Host}}", false).err().map(|failure| failure.exit.0), Some(14));
    }
}
