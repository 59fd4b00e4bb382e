//! The role `lookup`: resolves a name from inside a pod the way the C library would, and prints what it
//! finds. Plain blocking sockets: one question at a time is what the C library asks, too.

mod exchange;
mod search;

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use hickory_proto::rr::{Name, RecordType};

use crate::{Error, resolv::ResolvConf};

/// The pause between two tries while waiting.
const WAIT_PAUSE: Duration = Duration::from_millis(50);
/// While waiting, no server gets more time than this: the next try may find the way open.
const WAIT_PATIENCE: Duration = Duration::from_millis(500);

/// Resolve a name as the C library does, and print its addresses.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LookupArgs {
    /// The name, or with `--type PTR` possibly an address.
    name: String,
    /// The type of records: A, AAAA, SRV, PTR, TXT, CNAME and so on.
    #[arg(long = "type", value_name = "TYPE", default_value = "A", value_parser = parse_type)]
    kind: RecordType,
    /// Go on trying for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    wait: f64,
    /// How long to wait for one server, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    timeout: f64,
    /// The file that names servers and search list.
    #[arg(long, value_name = "PATH", default_value = "/etc/resolv.conf")]
    resolv_conf: PathBuf,
    /// Ask this server instead of those of the file.
    #[arg(long, value_name = "IP:PORT")]
    server: Option<SocketAddr>,
}

/// Resolves and prints one line for each record. The exit code says whether there were any.
pub(crate) fn run(args: &LookupArgs, out: &mut dyn Write) -> Result<ExitCode, Error> {
    let Some(name) = parse_name(&args.name, args.kind) else {
        tracing::error!(name = args.name, "this is no domain name");
        return Ok(ExitCode::FAILURE);
    };
    let end = Instant::now() + seconds(args.wait);
    loop {
        // The file is read for each try: it may be the file that is not ready.
        let conf = ResolvConf::read(&args.resolv_conf)
            .map_err(|source| Error::Read { path: args.resolv_conf.clone(), source })?;
        let servers = match args.server {
            Some(server) => vec![server],
            None => conf.servers.iter().map(|ip| SocketAddr::new(*ip, 53)).collect(),
        };
        let left = end.saturating_duration_since(Instant::now());
        let patience = if left.is_zero() { seconds(args.timeout) } else { WAIT_PATIENCE };
        let ask = |name: &Name| exchange::ask_all(&servers, name, args.kind, patience);
        match search::resolve(&conf.candidates(&name), args.kind, ask) {
            Ok(lines) => {
                for line in lines {
                    writeln!(out, "{line}").map_err(Error::Output)?;
                }
                return Ok(ExitCode::SUCCESS);
            }
            Err(reason) if left.is_zero() => {
                tracing::error!(name = args.name, "{reason}");
                return Ok(ExitCode::FAILURE);
            }
            Err(_) => thread::sleep(WAIT_PAUSE),
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn parse_type(text: &str) -> Result<RecordType, String> {
    text.to_ascii_uppercase().parse().map_err(|_| format!("{text} is no record type"))
}

/// The name to look up; for PTR an address stands for its name in the reverse tree.
fn parse_name(text: &str, kind: RecordType) -> Option<Name> {
    match text.parse::<IpAddr>() {
        Ok(address) if kind == RecordType::PTR => Some(Name::from(address)),
        _ => Name::from_utf8(text).ok().filter(|name| !name.is_root()),
    }
}
