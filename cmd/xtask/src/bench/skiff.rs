//! skiff as a user runs it, with a home of its own and the cache that is there already.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{docker::output, janitor::PREFIX, processes};

/// Peak memory only grows, so a look now and then sees it; this often costs nothing.
const LOOK: Duration = Duration::from_millis(10);

/// Copies of the two release binaries and the surroundings they run in.
pub(crate) struct Skiff {
    folder: PathBuf,
    cache: PathBuf,
}

/// One finished command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finished {
    /// From its start to its end.
    pub(crate) seconds: f64,
    /// Most memory it had at once, in bytes.
    pub(crate) peak: u64,
}

impl Skiff {
    /// Copies the binaries, so that a build meanwhile does not change what is measured.
    pub(crate) fn copy_to(folder: &Path) -> Result<Self, String> {
        let about = output(Command::new("rustc").arg("-vV"))?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        for binary in ["skiff", "skiff-agent"] {
            let from = Path::new("target").join(host).join("release").join(binary);
            fs::copy(&from, folder.join(binary)).map_err(|error| format!("{}: {error}", from.display()))?;
        }
        let home = || env::var_os("SKIFF_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".skiff")));
        let cache = env::var_os("SKIFF_CACHE").map(PathBuf::from).or_else(|| Some(home()?.join("cache")));
        Ok(Self { folder: folder.to_owned(), cache: cache.ok_or("set HOME, SKIFF_HOME or SKIFF_CACHE")? })
    }

    /// Name of the cluster that is measured.
    pub(crate) fn cluster() -> String {
        format!("{PREFIX}skiff")
    }

    /// Bytes of one of the binaries.
    pub(crate) fn size(&self, binary: &str) -> Result<u64, String> {
        fs::metadata(self.folder.join(binary)).map(|file| file.len()).map_err(|error| format!("{binary}: {error}"))
    }

    /// Runs a command and shows its output as it comes, on standard error.
    pub(crate) fn show(&self, verb: &str) -> Result<(), String> {
        let mut command = self.command(&Self::cluster(), verb);
        let status = command.stdout(io::stderr()).status().map_err(|error| format!("skiff {verb}: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("skiff {verb}: {status}")) }
    }

    /// Runs a command and watches it; what it prints is shown only if it fails.
    pub(crate) fn run(&self, verb: &str) -> Result<Finished, String> {
        self.run_on(&Self::cluster(), verb)
    }

    /// The same on a cluster of another name.
    pub(crate) fn run_on(&self, cluster: &str, verb: &str) -> Result<Finished, String> {
        let log = self.folder.join(format!("{cluster}.log"));
        let failed = |error: io::Error| format!("skiff {verb}: {error}");
        let file = fs::File::create(&log).map_err(failed)?;
        let mut command = self.command(cluster, verb);
        command.stdout(file.try_clone().map_err(failed)?).stderr(file);
        let begin = Instant::now();
        let mut child = command.spawn().map_err(failed)?;
        let (status, peak) = watch(&mut child);
        let seconds = begin.elapsed().as_secs_f64();
        let status = status.map_err(failed)?;
        if status.success() {
            Ok(Finished { seconds, peak })
        } else {
            Err(format!("skiff {verb}: {status}\n{}", fs::read_to_string(&log).unwrap_or_default()))
        }
    }

    /// kubectl against the cluster, as a program and its first arguments.
    pub(crate) fn kubectl(&self) -> Vec<String> {
        let setting = |name: &str, path: &Path| format!("{name}={}", path.display());
        let mut line = vec![
            "env".to_owned(),
            setting("SKIFF_HOME", &self.folder.join("home")),
            setting("SKIFF_CACHE", &self.cache),
            setting("KUBECONFIG", &self.folder.join("kubeconfig")),
            self.folder.join("skiff").display().to_string(),
        ];
        line.extend(["kubectl", "-p", &Self::cluster(), "--"].map(str::to_owned));
        line
    }

    fn command(&self, cluster: &str, verb: &str) -> Command {
        let mut command = Command::new(self.folder.join("skiff"));
        // The user's own settings are not what is measured.
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SKIFF_")) {
            command.env_remove(name);
        }
        command
            .args(verb.split(' '))
            .args(["-p", cluster])
            .env("SKIFF_HOME", self.folder.join("home"))
            .env("SKIFF_CACHE", &self.cache)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .stdin(Stdio::null());
        command
    }
}

/// Waits for the end of a process; gives the most memory it was seen to have.
fn watch(child: &mut Child) -> (io::Result<std::process::ExitStatus>, u64) {
    let (pid, ended) = (child.id(), AtomicBool::new(false));
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                peak = peak.max(processes::peak_memory(pid).unwrap_or(0));
                thread::sleep(LOOK);
            }
            peak
        });
        let status = child.wait();
        ended.store(true, Ordering::Relaxed);
        // The watcher does nothing that could panic.
        (status, watcher.join().unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_has_a_peak_of_memory() {
        let mut child = Command::new("sleep").arg("0.1").spawn().unwrap();
        let (status, peak) = watch(&mut child);
        assert!(status.unwrap().success());
        assert!(peak > 100_000, "{peak}");
    }
}
