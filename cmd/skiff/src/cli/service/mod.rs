//! `skiff service`: the URLs of services, in a browser or on standard output.

mod browser;
mod list;
mod urls;

use std::{
    io::{self, IsTerminal},
    sync::Arc,
    time::Duration,
};

use clap::Subcommand;
use skiff_cluster::{Forward, Found, ServiceApi, ServiceQuery, Way, cluster_away, find_services};
use skiff_report::{ExitCode, Reporter};

use self::urls::{DEFAULT_FORMAT, Urls};
use super::duration::go_duration;
use crate::{
    context::{Context, print, print_line},
    failure::Failure,
    ui::table,
    wiring::SkiffHost,
};

/// Opens services in the browser, or prints their URLs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Names of the services.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Namespace of the services; `default` if not given.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// All services of the namespace.
    #[arg(long)]
    all: bool,
    /// Only print the URLs, one a line.
    #[arg(long)]
    url: bool,
    /// Write https instead of http.
    #[arg(long)]
    https: bool,
    /// How to write a URL; there are {{.IP}}, {{.Port}} and {{.Name}}.
    #[arg(long, value_name = "TEMPLATE", default_value = DEFAULT_FORMAT)]
    format: String,
    /// How long to wait for the service and a pod of it, in seconds or such as 1m.
    #[arg(long, value_name = "TIME", default_value = "2", value_parser = seconds)]
    wait: Duration,
    /// How long to rest between two looks, in seconds or such as 500ms.
    #[arg(long, value_name = "TIME", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Only the port of this name or number.
    #[arg(skip)]
    pub(super) port: Option<String>,
    /// What follows the port in a URL.
    #[arg(skip)]
    pub(super) path: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::Args),
}

/// A port of a service, ready to be shown.
struct Row {
    namespace: String,
    name: String,
    port: String,
    url: Option<String>,
    /// Whether a browser can do something with it.
    tcp: bool,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        if let Some(Action::List(list)) = self.action {
            return context.interrupt.unless(list.run(context, self.namespace)).await;
        }
        self.check()?;
        let urls = Urls::new(&self.format, self.https)?;
        let host = context.interrupt.unless(context.host_in_use("skiff service")).await?;
        let (rows, forwards) = context.interrupt.unless(self.prepare(context, &host, &urls)).await?;
        self.show(context, &rows)?;
        if !forwards.is_empty() {
            let text = "Ports of this host lead to the service while this command runs; Ctrl-C ends it";
            // Standard output belongs to the URLs.
            if self.url {
                context.ui.warn(text)
            } else {
                context.ui.info(text)
            }
            tokio::select! {
                _ = context.interrupt.came() => {}
                away = cluster_away(&host, &context.cluster) => return Err(away.into()),
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn check(&self) -> Result<(), Failure> {
        match (self.names.is_empty(), self.all) {
            (true, false) => Err(Failure::usage(
                "which service? None is named",
                "Name one, or say --all; `skiff service list` shows what there is.",
            )),
            (false, true) => Err(Failure::usage("--all means all services, yet some are named", "Leave out either.")),
            _ => Ok(()),
        }
    }

    async fn prepare(
        &self,
        context: &Context,
        host: &SkiffHost,
        urls: &Urls,
    ) -> Result<(Vec<Row>, Vec<Forward>), Failure> {
        let query = ServiceQuery {
            namespace: self.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            names: self.names.clone(),
            wait: self.wait,
            interval: self.interval,
        };
        let (mut rows, mut forwards) = (Vec::new(), Vec::new());
        for mut found in find_services(host, &context.cluster, &query).await? {
            found.endpoints.retain(|endpoint| self.port.as_ref().is_none_or(|port| endpoint.is_called(port)));
            add(context, urls, &found, &mut rows, &mut forwards).await?;
        }
        if self.format == DEFAULT_FORMAT {
            rows.iter_mut().filter_map(|row| row.url.as_mut()).for_each(|url| url.push_str(&self.path));
        }
        Ok((rows, forwards))
    }

    fn show(&self, context: &Context, rows: &[Row]) -> Result<(), Failure> {
        if self.url {
            let lines: String = rows.iter().filter_map(|row| row.url.as_ref()).map(|url| format!("{url}\n")).collect();
            return print(&lines);
        }
        print_line(&to_table(rows))?;
        if !io::stdout().is_terminal() {
            return Ok(());
        }
        for row in rows.iter().filter(|row| row.tcp) {
            if let Some(url) = &row.url {
                context.ui.info(&format!("Opening {}/{} in the browser", row.namespace, row.name));
                browser::open(url)?;
            }
        }
        Ok(())
    }
}

/// Adds the rows of one service, with a forward for each port that needs one.
async fn add<A: ServiceApi>(
    context: &Context,
    urls: &Urls,
    found: &Found<A>,
    rows: &mut Vec<Row>,
    forwards: &mut Vec<Forward>,
) -> Result<(), Failure> {
    let service = &found.service;
    if service.kind == "ClusterIP" && found.endpoints.iter().any(|endpoint| endpoint.way == Way::Forward) {
        context.ui.warn(&format!(
            "service {}/{} has the type ClusterIP, which is for pods only: a port of this host is opened for it",
            service.namespace, service.name
        ));
    }
    for endpoint in &found.endpoints {
        let address = match endpoint.way {
            Way::Direct(address) => Some(address),
            Way::Forward => {
                let forward = found.forward(&endpoint.port, Arc::clone(&context.ui) as Arc<dyn Reporter>).await?;
                let local = forward.as_ref().map(|forward| forward.local);
                forwards.extend(forward);
                local
            }
            Way::No => {
                let (namespace, name) = (&service.namespace, &service.name);
                let (port, protocol) = (endpoint.port.port, &endpoint.port.protocol);
                context.ui.warn(&format!("{namespace}/{name} port {port}/{protocol} cannot be reached from this host"));
                None
            }
        };
        rows.push(Row {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            port: endpoint.label(),
            url: address.map(|address| urls.of(address, endpoint)),
            tcp: endpoint.port.protocol == "TCP",
        });
    }
    Ok(())
}

fn to_table(rows: &[Row]) -> String {
    let cells =
        |row: &Row| [row.namespace.clone(), row.name.clone(), row.port.clone(), row.url.clone().unwrap_or_default()];
    table(["NAMESPACE", "NAME", "TARGET PORT", "URL"], rows.iter().map(cells)).to_string()
}

/// A time as minikube's scripts write it, in plain seconds, or as everywhere else.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => go_duration(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_as_in_go() {
        assert_eq!(seconds("20"), Ok(Duration::from_secs(20)));
        assert_eq!(seconds("1m30s"), Ok(Duration::from_secs(90)));
        assert!(seconds("soon").is_err());
    }
}
