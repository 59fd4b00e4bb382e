//! The command tree as users meet it: clap's, with the environment, the settings file and the way
//! Go programs read booleans added to every flag.

use std::ffi::OsString;

use clap::{ArgAction, Args, Command, CommandFactory, FromArgMatches, builder::BoolishValueParser};
use skiff_config::{ClusterName, SpecFile};

use super::{Cli, spec::SpecArgs, start};
use crate::{
    failure::Failure,
    settings::{PROFILE, Settings, as_flags},
};

/// Flags of `start` that make sense for one call only.
const ONE_CALL_ONLY: [&str; 8] =
    ["dry-run", "download-only", "force", "owner-pid", "told", "set", "images", "registries"];

/// The whole tree.
pub(crate) fn command(settings: &Settings) -> Command {
    decorate(Cli::command().max_term_width(100), settings, true)
}

fn decorate(command: Command, settings: &Settings, is_root: bool) -> Command {
    let keeps_settings = command.get_name() == "start";
    command
        .args_override_self(true)
        .mut_args(|arg| {
            let Some(long) = arg.get_long().map(str::to_owned) else { return arg };
            if matches!(arg.get_action(), ArgAction::Help | ArgAction::Version | ArgAction::HelpLong) {
                return arg;
            }
            let arg = from_environment(like_go(arg), &long);
            match settings.get(&long) {
                // The cluster's own settings are laid over the stored cluster, not taken as defaults.
                Some(value) if keeps_settings && !is_root && !is_spec(&long) => arg.default_value(value.to_owned()),
                _ => arg,
            }
        })
        .mut_subcommands(|sub| decorate(sub, settings, false))
}

/// `--keep`, `--keep=false` and `--keep=1` are all understood.
fn like_go(arg: clap::Arg) -> clap::Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .value_parser(BoolishValueParser::new())
        .value_name("BOOL")
        .hide_default_value(true)
        .hide_possible_values(true)
}

/// `--wait-timeout` is also `SKIFF_WAIT_TIMEOUT`. An empty variable is none.
fn from_environment(arg: clap::Arg, long: &str) -> clap::Arg {
    let name = format!("SKIFF_{}", long.to_uppercase().replace('-', "_"));
    if std::env::var_os(&name).is_some_and(|value| value.is_empty()) { arg } else { arg.env(name).hide_env(true) }
}

/// The command that a line is about, so far as it can be told: `skiff config set`.
pub(crate) fn verb_of(tree: &Command, args: &[OsString]) -> String {
    let (mut verb, mut command) = ("skiff".to_owned(), tree);
    for word in args.iter().skip(1).filter_map(|arg| arg.to_str()) {
        if let Some(sub) = command.find_subcommand(word) {
            verb = format!("{verb} {}", sub.get_name());
            command = sub;
        }
    }
    verb
}

fn spec_command() -> Command {
    SpecArgs::augment_args(Command::new("settings").no_binary_name(true))
}

/// `start` alone: its flags are the settings. The whole tree would not do, for it lists the
/// settings in its help.
fn start_command() -> Command {
    start::Args::augment_args(Command::new("start"))
}

fn start_flag(key: &str) -> Option<clap::Arg> {
    start_command().get_arguments().find(|arg| arg.get_long() == Some(key)).cloned().map(like_go)
}

fn is_spec(long: &str) -> bool {
    spec_command().get_arguments().any(|arg| arg.get_long() == Some(long))
}

/// The flags that the settings file may hold, by name.
pub(crate) fn setting_keys() -> Vec<String> {
    let mut keys: Vec<String> = start_command()
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .filter(|long| !ONE_CALL_ONLY.contains(long))
        .chain([PROFILE])
        .map(str::to_owned)
        .collect();
    keys.sort();
    keys
}

/// What a flag of `start` that is not about the cluster itself defaults to.
pub(super) fn default_values(key: &str) -> Option<Vec<String>> {
    let values =
        start_flag(key)?.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    Some(values)
}

/// Whether a key exists and its flag takes this value.
pub(crate) fn check_setting(key: &str, value: &str) -> Result<(), Failure> {
    if !setting_keys().iter().any(|known| known == key) {
        return Err(Failure::usage(
            format!("`{key}` is not a setting"),
            "`skiff config --help` lists the settings.".to_owned(),
        ));
    }
    if key == PROFILE {
        let name = value.parse::<ClusterName>();
        return name.map(drop).map_err(|error| Failure::usage(format!("{PROFILE}: {error}"), ""));
    }
    let one = Command::new("setting").no_binary_name(true).args(start_flag(key));
    one.try_get_matches_from(as_flags(key, value)).map_err(|error| Failure::from_clap(&error, "skiff start"))?;
    if is_spec(key) {
        let spec = parse_spec(as_flags(key, value))?;
        if let Err(problems) = spec.resolve(ClusterName::default()) {
            let details: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return Err(Failure::usage(details.join("; "), ""));
        }
    }
    Ok(())
}

/// The cluster's settings in the file, in the form a cluster is laid over.
pub(crate) fn spec_defaults(settings: &Settings) -> Result<SpecFile, Failure> {
    parse_spec(settings.iter().filter(|(key, _)| is_spec(key)).flat_map(|(key, value)| as_flags(key, value)).collect())
}

fn parse_spec(flags: Vec<String>) -> Result<SpecFile, Failure> {
    let matches =
        spec_command().try_get_matches_from(flags).map_err(|error| Failure::from_clap(&error, "skiff start"))?;
    SpecArgs::from_arg_matches(&matches).map(Into::into).map_err(|error| Failure::from_clap(&error, "skiff start"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        command(&Settings::default()).debug_assert();
    }

    #[test]
    fn a_setting_is_checked_like_its_flag() {
        let check = |key: &str, value: &str| check_setting(key, value);
        for (key, value) in
            [("memory", "4g"), ("wait-timeout", "1m30s"), ("keep", "yes"), ("profile", "dev"), ("ports", "80:80,81:81")]
        {
            assert_eq!(check(key, value), Ok(()), "{key} {value}");
        }
        for (key, value) in [
            ("memory", "4 elephants"),
            ("memory", "1m"),
            ("wait-timeout", "soon"),
            ("keep", "perhaps"),
            ("profile", "-"),
            ("dry-run", "true"),
            ("nothing", "x"),
        ] {
            assert_eq!(check(key, value).unwrap_err().exit.0, 14, "{key} {value}");
        }
    }

    #[test]
    fn settings_of_the_cluster_become_its_defaults() {
        let settings = Settings::from([("memory", "4g"), ("ports", "80:80,443:443"), ("keep", "true")]);
        let spec = spec_defaults(&settings).unwrap();
        assert_eq!(spec.memory.as_deref(), Some("4g"));
        assert_eq!(spec.ports, Some(vec!["80:80".to_owned(), "443:443".to_owned()]));
        assert_eq!(spec.cpus, None);
    }
}
