//! The life of one skiff process: read the command line, run the command, end.

use std::{ffi::OsString, path::Path, sync::Arc};

use clap::error::ErrorKind;
use skiff_config::ClusterName;
use skiff_report::ExitCode;

use crate::{
    cli::{self, Cli, Command},
    context::{Context, print},
    environment::Environment,
    failure::Failure,
    interrupt::Interrupt,
    settings::Settings,
    ui::{self, Mode, Ui},
};

/// Runs skiff with a command line and returns the code to exit with.
pub(crate) fn main(args: Vec<OsString>) -> std::process::ExitCode {
    let code = match begin(as_skiff(args)) {
        Ok(code) => code,
        Err(failure) => {
            show(&*ui::renderer(Mode::Plain), &failure);
            failure.exit
        }
    };
    std::process::ExitCode::from(code.0)
}

/// A skiff that is called `kubectl` (by a link) is `skiff kubectl --`; a `--context` names the cluster.
fn as_skiff(mut args: Vec<OsString>) -> Vec<OsString> {
    let called = args.first().and_then(|name| Path::new(name).file_name());
    if called.is_none_or(|name| name != "kubectl") {
        return args;
    }
    let rest = args.split_off(1);
    let mut skiff: Vec<OsString> = vec!["skiff".into()];
    if let Some(context) = context_of(&rest) {
        skiff.extend(["--profile".into(), context]);
    }
    skiff.extend(["kubectl".into(), "--".into()]);
    skiff.extend(rest);
    skiff
}

fn context_of(args: &[OsString]) -> Option<OsString> {
    let mut args = args.iter().take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if arg == "--context" {
            return args.next().cloned();
        }
        if let Some(value) = arg.to_str().and_then(|text| text.strip_prefix("--context=")) {
            return Some(value.into());
        }
    }
    None
}

fn begin(args: Vec<OsString>) -> Result<ExitCode, Failure> {
    let environment = Environment::read()?;
    let (settings, broken) = match Settings::load(&environment.home) {
        Ok(settings) => (settings, None),
        Err(failure) => (Settings::default(), Some(failure)),
    };
    let tree = cli::command(&settings);
    let cli = match Cli::parse(tree.clone(), &args) {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            print(&error.render().to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(Failure::from_clap(&error, &cli::verb_of(&tree, &args))),
    };
    let Some(command) = cli.command else {
        print(&tree.clone().render_help().to_string())?;
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(failure) = broken.filter(|_| !command.works_without_settings()) {
        return Err(failure);
    }
    let cluster = cluster_name(cli.global.profile.as_deref().unwrap_or(settings.profile()));
    let cluster = cluster.map_err(|failure| command.with_problems(failure, &settings))?;
    log_to_stderr(cli.global.verbosity(), environment.log.as_deref());
    // Log lines would tear a live display apart.
    let live = environment.live && cli.global.verbosity() == 0 && environment.log.is_none();
    run(command, live, environment, settings, cluster)
}

fn cluster_name(text: &str) -> Result<ClusterName, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("--profile: {error}"), "Choose another name."))
}

fn run(
    command: Command,
    live: bool,
    environment: Environment,
    settings: Settings,
    cluster: ClusterName,
) -> Result<ExitCode, Failure> {
    let ui = ui::renderer(command.mode(live));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| host(&error))?;
    let result = runtime.block_on(async {
        let interrupt = Interrupt::listen().map_err(|error| host(&error))?;
        let machines = command.machine_wishes();
        let context = Context { environment, settings, cluster, ui: Arc::clone(&ui), interrupt, machines };
        command.run(&context).await
    });
    ui.finish();
    // A blocking call that hangs, e.g. in ssh, must not keep the process.
    runtime.shutdown_background();
    result.or_else(|failure| {
        show(&*ui, &failure);
        Ok(failure.exit)
    })
}

/// A failure without a message has nobody left to read it.
fn show(ui: &dyn Ui, failure: &Failure) {
    if !failure.message.is_empty() {
        ui.failure(failure);
    }
}

fn host(error: &std::io::Error) -> Failure {
    Failure::new("HOST_PROCESS", ExitCode::HOST_ERROR, format!("this process cannot be set up: {error}"), "")
}

fn log_to_stderr(verbosity: u8, filter: Option<&str>) {
    use tracing_subscriber::EnvFilter;
    let level = ["off", "warn", "info", "debug", "trace"][usize::from(verbosity.min(4))];
    let filter = filter.map_or_else(|| EnvFilter::new(level), EnvFilter::new);
    // Only fails if a logger is set already, and this is the only place that sets one.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_called_kubectl_speaks_for_the_cluster_of_its_context() {
        let call = |words: &str| {
            let args = as_skiff(words.split_whitespace().map(OsString::from).collect());
            args.into_iter().map(|arg| arg.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(call("skiff status"), "skiff status");
        assert_eq!(call("/bin/kubectl get pods"), "skiff kubectl -- get pods");
        assert_eq!(call("kubectl --context dev get pods"), "skiff --profile dev kubectl -- --context dev get pods");
        assert_eq!(call("kubectl get --context=dev"), "skiff --profile dev kubectl -- get --context=dev");
        assert_eq!(call("kubectl exec x -- y --context z"), "skiff kubectl -- exec x -- y --context z");
    }
}
