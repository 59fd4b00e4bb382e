//! `skiff config`.

use clap::Subcommand;
use skiff_config::{ClusterName, SpecFile, format_bytes};
use skiff_report::ExitCode;

use super::{DataFormat, check_setting, setting_keys};
use crate::{
    context::{Context, print, print_line},
    failure::Failure,
    settings::{PROFILE, Settings},
    template::Template,
};

/// Reads and changes settings that every start takes as its defaults.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = after_help())]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

fn after_help() -> String {
    format!("Settings, each named like its flag of `skiff start`:\n  {}", setting_keys().join("\n  "))
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Sets a setting.
    Set {
        /// Name of the setting.
        key: String,
        /// Its value.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Prints a setting.
    Get {
        /// Name of the setting.
        key: String,
    },
    /// Goes back to skiff's default for a setting.
    Unset {
        /// Name of the setting.
        key: String,
    },
    /// Prints all settings.
    View {
        /// Go template for each line, with the fields {{.ConfigKey}} and {{.ConfigValue}}.
        #[arg(long, value_name = "TEMPLATE", default_value = "- {{.ConfigKey}}: {{.ConfigValue}}")]
        format: String,
    },
    /// Prints what skiff does when a setting is not set.
    Defaults {
        /// Name of the setting.
        key: String,
        /// Format of the output.
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<DataFormat>,
    },
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        // What other commands refuse is shown here, as it can be mended here.
        let settings = || Settings::as_written(&context.environment.home);
        match self.action {
            Action::Set { key, value } => set(context, &key, &value),
            Action::Get { key } => get(&settings()?, &key),
            Action::Unset { key } => unset(context, &key),
            Action::View { format } => view(&settings()?, &format),
            Action::Defaults { key, output } => defaults(&key, output),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn set(context: &Context, key: &str, value: &str) -> Result<(), Failure> {
    check_setting(key, value).map_err(|failure| Failure {
        id: "MK_CONFIG_SET",
        exit: ExitCode::PROGRAM_ERROR,
        ..failure
    })?;
    context.store()?.set_setting(key, value)?;
    if ["driver", "cpus", "memory", "disk-size", "feature-gates"].contains(&key) {
        context.ui.warn("clusters that exist keep what they have: this counts for new ones, or after `skiff delete`");
    }
    Ok(())
}

fn get(settings: &Settings, key: &str) -> Result<(), Failure> {
    let value = settings.get(key).ok_or_else(|| {
        Failure::usage("specified key could not be found in config", "`skiff config view` shows what is set.")
    })?;
    print_line(value)
}

fn unset(context: &Context, key: &str) -> Result<(), Failure> {
    // A setting that an older skiff knew can still be taken out of the file.
    if context.store()?.unset_setting(key)? {
        return Ok(());
    }
    if setting_keys().iter().any(|known| known == key) {
        return Ok(());
    }
    Err(Failure::usage(format!("`{key}` is not a setting"), "`skiff config --help` lists the settings."))
}

fn view(settings: &Settings, format: &str) -> Result<(), Failure> {
    let template = Template::parse(format, &["ConfigKey", "ConfigValue"])?;
    let lines = settings
        .iter()
        .map(|(key, value)| template.render(|field| if field == "ConfigKey" { key } else { value }.to_owned()) + "\n");
    print(&lines.collect::<String>())
}

fn defaults(key: &str, output: Option<DataFormat>) -> Result<(), Failure> {
    let value = default_of(key).ok_or_else(|| {
        Failure::usage(format!("`{key}` is not a setting"), "`skiff config --help` lists the settings.")
    })?;
    match output {
        None => print(&value.iter().map(|item| format!("* {item}\n")).collect::<String>()),
        Some(format) => print(&format.render(&value)?),
    }
}

/// The value that counts when nothing is set: none, one, or several.
fn default_of(key: &str) -> Option<Vec<String>> {
    let Ok(spec) = SpecFile::default().resolve(ClusterName::default()) else { return None };
    let one = |text: &dyn ToString| Some(vec![text.to_string()]);
    match key {
        PROFILE => one(&ClusterName::DEFAULT),
        "kubernetes-version" => one(&spec.kubernetes_version),
        "disk-size" => one(&format_bytes(spec.disk_size)),
        "apiserver-port" => one(&spec.apiserver.port),
        "service-cluster-ip-range" => one(&spec.service_cidrs()),
        "pod-network-cidr" => one(&spec.pod_cidrs()),
        "ip-family" => one(&"ipv4"),
        "dns-domain" => one(&spec.dns_domain),
        "listen-address" => one(&spec.listen_address),
        "driver" | "cpus" | "memory" => one(&"auto"),
        _ => super::tree::default_values(key),
    }
}
