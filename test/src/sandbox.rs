//! A place of a test's own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use tempfile::TempDir;

use crate::{Finished, busybox_archive, eventually, leak};

/// The folder in which skiff, and what it runs, makes temporary files.
const TEMPORARY: &str = "tmp";

/// A skiff home, a kubeconfig and the clusters made in them.
pub struct Sandbox {
    folder: TempDir,
    clusters: Mutex<Vec<String>>,
    // Of clusters that the test deletes.
    bridges: Mutex<Vec<String>>,
}

/// A cluster's name in a sandbox; whether there is such a cluster is the test's affair.
pub struct Cluster<'a> {
    sandbox: &'a Sandbox,
    /// The name.
    pub name: String,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Sandbox {
    /// An empty sandbox.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    #[must_use]
    pub fn new() -> Self {
        Self::within(&env::temp_dir())
    }

    /// An empty sandbox in a folder.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    #[must_use]
    pub fn within(folder: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("skiff-test-").tempdir_in(folder).expect("a temporary folder");
        fs::create_dir(folder.path().join(TEMPORARY)).expect("a folder for temporary files");
        Self { folder, clusters: Mutex::default(), bridges: Mutex::default() }
    }

    /// A cluster name that no other test and no other run has.
    #[must_use]
    pub fn cluster(&self) -> Cluster<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}-{count}", std::process::id());
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        Cluster { sandbox: self, name }
    }

    /// The sandbox's folder, for files of the test's own.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The skiff home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// The kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.path().join("kubeconfig")
    }

    /// The binary under test, with the sandbox's environment and nothing to read.
    #[must_use]
    pub fn skiff(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("SKIFF_") && name != "SKIFF_CACHE") {
            command.env_remove(name);
        }
        command
            .args(args)
            .env("SKIFF_HOME", self.home())
            .env("SKIFF_CACHE", self.cache())
            .env("KUBECONFIG", self.kubeconfig())
            .env("TMPDIR", self.path().join(TEMPORARY))
            .stdin(Stdio::null());
        command
    }

    /// Everything that is left of a cluster, one line each.
    fn remains(&self, name: &str) -> Vec<String> {
        let mut remains = leak::remains(name);
        if fs::read_to_string(self.kubeconfig()).unwrap_or_default().contains(name) {
            remains.push(format!("the kubeconfig still speaks of {name}"));
        }
        let profile = self.home().join("profiles").join(name);
        if profile.exists() {
            remains.push(format!("{} is still there", profile.display()));
        }
        remains
    }

    /// Notes which rules of this host's packet filter must go with a cluster.
    fn remember_bridges(&self, name: &str) {
        self.bridges.lock().unwrap_or_else(PoisonError::into_inner).extend(leak::bridges(name));
    }

    /// Files that commands which have ended should have removed.
    #[must_use]
    pub fn forgotten_files(&self) -> Vec<PathBuf> {
        leak::forgotten_files(&self.path().join(TEMPORARY), &self.home())
    }

    /// Where artifacts are kept from one test to the next.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        // Nobody wants to build Kubernetes once more for a sandbox.
        let usual = || env::home_dir().map_or_else(|| self.home().join("cache"), |home| home.join(".skiff/cache"));
        env::var_os("SKIFF_CACHE").map_or_else(usual, PathBuf::from)
    }

    /// The kubectl that starts of clusters leave in the cache, once there is one.
    #[must_use]
    pub fn cached_kubectl(&self) -> Option<PathBuf> {
        let versions = fs::read_dir(self.cache().join("kubectl")).ok()?;
        versions.flatten().map(|version| version.path().join("kubectl")).find(|program| program.is_file())
    }

    /// Runs the binary under test to its end.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Finished {
        Finished::of(&mut self.skiff(args))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let clusters = std::mem::take(&mut *self.clusters.lock().unwrap_or_else(PoisonError::into_inner));
        let mut problems = Vec::new();
        for name in clusters {
            self.remember_bridges(&name);
            let deleted = self.run(&["delete", "-p", &name]);
            // A test that failed already keeps its own reason.
            if thread::panicking() {
                continue;
            }
            if deleted.code != 0 {
                problems.push(format!("{deleted:?}"));
            }
            problems.extend(self.remains(&name));
        }
        if thread::panicking() {
            return;
        }
        eventually("the end of all that skiff began", || {
            let processes = leak::processes(&self.home());
            if processes.is_empty() { Ok(()) } else { Err(processes.join("\n")) }
        });
        problems.extend(leak::rules(&self.bridges.lock().unwrap_or_else(PoisonError::into_inner)));
        problems.extend(self.forgotten_files().into_iter().map(|file| format!("{}", file.display())));
        assert!(problems.is_empty(), "left behind:\n{}", problems.join("\n"));
    }
}

impl Cluster<'_> {
    /// Runs `skiff VERB -p NAME ARGS…` to its end.
    #[must_use]
    pub fn run(&self, verb: &str, args: &[&str]) -> Finished {
        Finished::of(&mut self.skiff(verb, args))
    }

    /// `skiff VERB -p NAME ARGS…`, not yet started.
    #[must_use]
    pub fn skiff(&self, verb: &str, args: &[&str]) -> Command {
        if verb == "delete" {
            self.sandbox.remember_bridges(&self.name);
        }
        self.sandbox.skiff(&[&[verb, "-p", &self.name], args].concat())
    }

    /// Runs kubectl against the cluster.
    #[must_use]
    pub fn kubectl(&self, args: &[&str]) -> Finished {
        Finished::of(&mut self.kubectl_command(args))
    }

    /// kubectl against the cluster, not yet started.
    #[must_use]
    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        self.skiff("kubectl", &[&["--"], args].concat())
    }

    /// Applies manifests.
    ///
    /// # Panics
    /// When the cluster does not take them.
    pub fn apply(&self, manifests: &str) {
        let file = self.sandbox.path().join(format!("{}-{}.yaml", self.name, manifests.len()));
        fs::write(&file, manifests).expect("a manifest file");
        let _ = self.kubectl(&["apply", "-f", &file.to_string_lossy()]).ok();
    }

    /// Loads an image that holds busybox into all its nodes, and tells where its archive is.
    ///
    /// # Panics
    /// When that fails.
    pub fn load_busybox(&self, image: &str) -> PathBuf {
        let archive = busybox_archive(self.sandbox.path(), image);
        let _ = self.run("image", &["load", &archive.to_string_lossy()]).ok();
        archive
    }

    /// Waits until `status` ends with this code, 0 if all of it runs. On a busy host an answer may come too late
    /// for a single look.
    ///
    /// # Panics
    /// When it does not.
    pub fn has_status(&self, code: i32) {
        eventually(&format!("status {code}"), || match self.run("status", &[]) {
            told if told.code == code => Ok(()),
            told => Err(format!("{told:?}")),
        });
    }

    /// Asserts that nothing is left of it.
    ///
    /// # Panics
    /// When something is.
    pub fn is_gone(&self) {
        let remains = self.sandbox.remains(&self.name);
        assert!(remains.is_empty(), "left behind:\n{}", remains.join("\n"));
    }

    /// The sandbox it lives in.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        self.sandbox
    }
}

/// The release binary that `make build` made; `SKIFF_BIN` names another.
///
/// # Panics
/// When it was not made yet.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = env::var_os("SKIFF_BIN") {
        return path.into();
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let host = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let path = target.join(host).join("release/skiff");
    assert!(path.exists(), "{} is missing: run `make build` first", path.display());
    path
}
