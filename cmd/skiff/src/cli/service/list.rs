//! `skiff service list`.

use serde::Serialize;
use skiff_cluster::{Endpoint, Found, ServiceApi, Way, list_services};
use skiff_report::ExitCode;

use super::urls::{DEFAULT_FORMAT, Urls};
use crate::{
    cli::output::{ListFormat, json},
    context::{Context, print, print_line},
    failure::Failure,
    ui::table,
};

/// What stands in the place of a port that the host does not reach; scripts know minikube's words.
const NO_NODE_PORT: &str = "No node port";

/// Lists services and their URLs.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "ls")]
pub(super) struct Args {
    /// Only the services of this namespace; all of them if not given.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Format of the output.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ListFormat,
    /// How to write a URL; there are {{.IP}}, {{.Port}} and {{.Name}}.
    #[arg(long, value_name = "TEMPLATE", default_value = DEFAULT_FORMAT)]
    format: String,
}

/// A service in JSON, under minikube's names.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    namespace: String,
    name: String,
    #[serde(rename = "URLs")]
    urls: Vec<String>,
    port_names: Vec<String>,
}

impl Args {
    /// `namespace` is what was named before the word `list`.
    pub(super) async fn run(self, context: &Context, namespace: Option<String>) -> Result<ExitCode, Failure> {
        let urls = Urls::new(&self.format, false)?;
        let host = context.host_in_use("skiff service list").await?;
        let found = list_services(&host, &context.cluster, self.namespace.or(namespace).as_deref()).await?;
        let items: Vec<Item> = found.iter().map(|found| item(found, &urls)).collect();
        match self.output {
            ListFormat::Json => print(&json(&items)?)?,
            ListFormat::Table => print_line(&to_table(&items))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn item<A: ServiceApi>(found: &Found<A>, urls: &Urls) -> Item {
    let direct = |endpoint: &Endpoint| match endpoint.way {
        Way::Direct(address) => Some(urls.of(address, endpoint)),
        Way::Forward | Way::No => None,
    };
    // A port of nodes that the host does not reach has no URL, but it is there.
    let named = found.endpoints.iter().filter(|port| port.port.node_port.is_some() || direct(port).is_some());
    let mut port_names: Vec<String> = named.map(Endpoint::label).collect();
    if port_names.is_empty() {
        port_names.push(NO_NODE_PORT.to_owned());
    }
    let urls = found.endpoints.iter().filter_map(direct).collect();
    Item { namespace: found.service.namespace.clone(), name: found.service.name.clone(), urls, port_names }
}

fn to_table(items: &[Item]) -> String {
    let cells =
        |item: &Item| [item.namespace.clone(), item.name.clone(), item.port_names.join("\n"), item.urls.join("\n")];
    table(["NAMESPACE", "NAME", "TARGET PORT", "URL"], items.iter().map(cells)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_minikubes_shape() {
        let item = Item {
            namespace: "default".to_owned(),
            name: "web".to_owned(),
            urls: vec!["http://192.0.2.2:30080".to_owned()],
            port_names: vec!["http/80".to_owned()],
        };
        assert_eq!(
            json(&[item]).unwrap().trim(),
            r#"[{"Namespace":"default","Name":"web","URLs":["http://192.0.2.2:30080"],"PortNames":["http/80"]}]"#
        );
    }
}
