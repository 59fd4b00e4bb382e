//! What the process's environment says. Nothing else reads it, except clap for `SKIFF_<FLAG>`.

use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal},
    path::PathBuf,
};

use skiff_report::ExitCode;

use skiff_doctor::Proxies;

use crate::{cli::proxies, failure::Failure};

/// A snapshot of the variables skiff knows.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// `$SKIFF_HOME`, or `~/.skiff`.
    pub(crate) home: PathBuf,
    /// `$SKIFF_CACHE`, or `cache` in the home.
    pub(crate) cache: PathBuf,
    /// The files of `$KUBECONFIG`, or `~/.kube/config`.
    pub(crate) kubeconfig: Vec<PathBuf>,
    /// `$DOCKER_HOST`.
    pub(crate) docker_host: Option<String>,
    /// `$SKIFF_AGENT`, or `skiff-agent` beside this program: the agent that nodes run.
    pub(crate) agent: PathBuf,
    /// `$SKIFF_HYPERKIT`: hyperkit, where it is not in one of its usual places.
    pub(crate) hyperkit: Option<PathBuf>,
    /// `$SKIFF_DHCP_LEASES`: the leases of the host's DHCP server, where they are not macOS' own.
    pub(crate) leases: Option<PathBuf>,
    /// This program.
    pub(crate) program: PathBuf,
    /// `$SKIFF_LOG`: which parts of skiff log what, e.g. `skiff_ssh=debug`.
    pub(crate) log: Option<String>,
    /// What the environment says of proxies.
    pub(crate) proxies: Proxies,
    /// Whether a live display may be drawn.
    pub(crate) live: bool,
}

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Result<Self, Failure> {
        Self::from_variables(|name| env::var_os(name).filter(|value| !value.is_empty()), env::home_dir())
            .map(|environment| Self { live: environment.live && both_are_terminals(), ..environment })
    }

    fn from_variables(get: impl Fn(&str) -> Option<OsString>, user_home: Option<PathBuf>) -> Result<Self, Failure> {
        let below_user_home = |path: &str| user_home.as_ref().map(|home| home.join(path));
        let home = get("SKIFF_HOME").map(PathBuf::from).or_else(|| below_user_home(".skiff")).ok_or_else(no_home)?;
        let cache = get("SKIFF_CACHE").map_or_else(|| home.join("cache"), PathBuf::from);
        let kubeconfig = match get("KUBECONFIG") {
            Some(list) => env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect(),
            None => below_user_home(".kube/config").into_iter().collect(),
        };
        let text = |name: &str| get(name).and_then(|value| value.into_string().ok());
        Ok(Self {
            home: absolute(home),
            cache: absolute(cache),
            kubeconfig,
            docker_host: text("DOCKER_HOST"),
            agent: get("SKIFF_AGENT").map_or_else(|| beside_this_program("skiff-agent"), PathBuf::from),
            hyperkit: get("SKIFF_HYPERKIT").map(PathBuf::from).map(absolute),
            leases: get("SKIFF_DHCP_LEASES").map(PathBuf::from).map(absolute),
            program: this_program(),
            log: text("SKIFF_LOG"),
            proxies: proxies(text),
            live: get("NO_COLOR").is_none() && get("CI").is_none() && get("TERM").is_none_or(|term| term != "dumb"),
        })
    }
}

/// Paths go into files and to other programs, which may run elsewhere.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn this_program() -> PathBuf {
    // A link to skiff leads to where skiff is.
    env::current_exe().and_then(std::fs::canonicalize).unwrap_or_default()
}

fn beside_this_program(name: &str) -> PathBuf {
    this_program().with_file_name(name)
}

fn both_are_terminals() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

fn no_home() -> Failure {
    Failure::new(
        "HOST_HOME",
        ExitCode::HOST_CONFIG,
        "the user's home folder is not known",
        "Set HOME, or SKIFF_HOME to the folder where skiff shall keep its files.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)], home: Option<&str>) -> Result<Environment, Failure> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Environment::from_variables(get, home.map(PathBuf::from))
    }

    #[test]
    fn files_are_below_the_home_folder_unless_told_otherwise() {
        let plain = with(&[], Some("/h")).unwrap();
        assert_eq!((plain.home, plain.cache), ("/h/.skiff".into(), "/h/.skiff/cache".into()));
        assert_eq!(plain.kubeconfig, [PathBuf::from("/h/.kube/config")]);
        let told = with(&[("SKIFF_HOME", "/s"), ("SKIFF_CACHE", "/c"), ("KUBECONFIG", "/a:/b:")], None).unwrap();
        assert_eq!((told.home, told.cache), ("/s".into(), "/c".into()));
        assert_eq!(told.kubeconfig, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(with(&[], None).unwrap_err().exit, ExitCode::HOST_CONFIG);
    }

    #[test]
    fn colours_and_spinners_can_be_refused() {
        assert!(with(&[], Some("/h")).unwrap().live);
        for variable in [("NO_COLOR", "1"), ("CI", "true"), ("TERM", "dumb")] {
            assert!(!with(&[variable], Some("/h")).unwrap().live, "{variable:?}");
        }
    }
}
