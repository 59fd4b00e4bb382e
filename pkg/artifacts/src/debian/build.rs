//! The stages of the build, in order.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use skiff_config::KubeVersion;
use skiff_report::Reporter;

use super::{
    apt::{self, Apt},
    mirror::Mirror,
    recipe,
    sandbox::{self, Sandbox},
};
use crate::{
    ArtifactError, ArtifactSet, COMPONENTS, SourceKind,
    cache::{self, Cache, make_folder},
    job::{Job, Journal},
    set::{Arch, Identity, Input},
};

const MIB: u64 = 1 << 20;

/// Room that each stage takes at its peak, measured and rounded up.
const BUILDER_SPACE: u64 = 800 * MIB;
const SOURCE_SPACE: u64 = 350 * MIB;
const COMPILE_SPACE: u64 = 1600 * MIB;
/// A set whose compiled packages are in Go's cache already.
const LINK_SPACE: u64 = 700 * MIB;

/// Packages that are compiled for the generator, and for the components: only for the progress shown.
const GENERATOR_PACKAGES: f64 = 206.0;
const COMPONENT_PACKAGES: f64 = 2074.0;

/// One build of one version.
#[derive(Debug, Clone)]
pub(super) struct Build {
    cache: Cache,
    version: KubeVersion,
    arch: Arch,
}

impl Build {
    pub(super) fn new(cache: Cache, version: KubeVersion, arch: Arch) -> Self {
        Self { cache, version, arch }
    }

    pub(super) fn key(&self) -> String {
        recipe::set_key(self.arch, &self.version)
    }

    /// Folder of the finished set.
    pub(super) fn set(&self) -> PathBuf {
        let name = format!("{}-{}-{}-{}", self.version, self.arch.name(), SourceKind::Debian, self.key());
        self.cache.path("kubernetes").join(name)
    }

    fn builder(&self) -> PathBuf {
        self.cache.path("builder").join(recipe::builder_key(self.arch))
    }

    fn source(&self) -> PathBuf {
        self.cache.path("source").join(recipe::source_key(self.arch))
    }

    /// Go's build cache belongs to the compiler, not to the recipe.
    fn go_cache(&self) -> PathBuf {
        self.cache.path("go").join(recipe::builder_key(self.arch))
    }

    /// True if the network is not needed any more.
    pub(super) fn has_sources(&self) -> bool {
        self.builder().exists()
    }

    /// Runs the missing stages. The caller holds the lock.
    pub(super) async fn run(&self, mirror: Option<&Mirror>, reporter: &dyn Reporter) -> Result<(), ArtifactError> {
        let log = self.cache.path("logs").join(format!("kubernetes-{}.log", self.version));
        let mut journal = Journal::begin(log, reporter)?;
        reporter.info(&format!(
            "building Kubernetes {} from Debian's source package: minutes, once (log: {})",
            self.version,
            journal.path().display()
        ));
        if let Some(mirror) = mirror {
            make_folder(&self.builder(), |part| self.make_builder(part, mirror, &mut journal)).await?;
            cache::remove(&self.cache.path("apt"))?;
        }
        recipe::write(&self.builder().join("recipe"))?;
        make_folder(&self.source(), |part| self.make_source(part, &mut journal)).await?;
        // A set whose files were damaged is there, without its manifest.
        cache::remove(&self.set())?;
        make_folder(&self.set(), |part| self.make_set(part, &mut journal)).await?;
        for current in [self.builder(), self.source(), self.go_cache()] {
            cache::remove_siblings(&current)?;
        }
        Ok(())
    }

    /// Fails if the disk has no room for the stages that are missing.
    pub(super) fn require_space(&self) -> Result<(), ArtifactError> {
        self.cache.require_space(self.missing_space())
    }

    fn missing_space(&self) -> u64 {
        let missing = |path: PathBuf, space| if path.exists() { 0 } else { space };
        let compile = if self.compiled().exists() { LINK_SPACE } else { COMPILE_SPACE };
        missing(self.builder(), BUILDER_SPACE) + missing(self.source(), SOURCE_SPACE) + compile
    }

    /// The builder root, the packed source and the list of both.
    async fn make_builder(
        &self,
        part: PathBuf,
        mirror: &Mirror,
        journal: &mut Journal<'_>,
    ) -> Result<(), ArtifactError> {
        let (recipe, root) = (part.join("recipe"), part.join("root"));
        recipe::write(&recipe)?;
        let apt = Apt::prepare(self.cache.path("apt"), mirror, self.arch)?;
        let inputs = apt.download(journal).await?;
        self.expect_version(&inputs)?;
        let packages = inputs.iter().filter(|input| input.name.ends_with(".deb")).count();
        let script = recipe.join("unpack.sh");
        let unpack = sandbox::contained(
            "unpacking the compiler",
            &[Path::new("sh"), script.as_path(), apt.archives().as_path(), root.as_path()],
        );
        run(journal, unpack, packages as f64).await?;
        fs::rename(apt.source(), part.join("source")).map_err(ArtifactError::io("move", apt.source()))?;
        write_inputs(&part, &inputs)
    }

    /// Fails if Debian's source package has moved on to another version than the recipe is for.
    fn expect_version(&self, inputs: &[Input]) -> Result<(), ArtifactError> {
        let (major, minor, patch) = recipe::SOURCE_VERSION;
        let offered = inputs.iter().find_map(|input| apt::upstream_version(&input.name)).unwrap_or("no version");
        if offered == format!("{major}.{minor}.{patch}") {
            return Ok(());
        }
        let (source_kind, version) = (SourceKind::Debian, self.version.clone());
        Err(ArtifactError::VersionNotOffered { source_kind, version, offered: offered.to_owned() })
    }

    /// The unpacked and patched source with its generated code.
    async fn make_source(&self, part: PathBuf, journal: &mut Journal<'_>) -> Result<(), ArtifactError> {
        let tree = part.join("tree");
        let outside = self.sandbox(&part)?.bind(self.builder().join("source"), "/input");
        run(journal, outside.script("unpacking the Kubernetes source", "source.sh", &[]), f64::INFINITY).await?;
        let inside = self.sandbox(&part)?.bind(tree, "/go/src/k8s.io/kubernetes");
        let stage = "generating the code that the source lacks";
        run(journal, inside.script(stage, "openapi.sh", &[]), GENERATOR_PACKAGES).await?;
        cache::remove(&part.join("tmp"))
    }

    /// All programs, and the manifest that makes them a set.
    async fn make_set(&self, part: PathBuf, journal: &mut Journal<'_>) -> Result<(), ArtifactError> {
        self.compile(&part, journal).await?;
        let sandbox = self.sandbox(&part)?;
        run(journal, sandbox.script("compiling pause", "pause.sh", &[]), f64::INFINITY).await?;
        run(journal, sandbox.script("collecting etcd", "etcd.sh", &[]), f64::INFINITY).await?;
        cache::remove(&part.join("tmp"))?;
        let identity = Identity {
            source: SourceKind::Debian,
            version: self.version.clone(),
            arch: self.arch,
            key: self.key(),
            inputs: read_inputs(&self.builder())?,
        };
        tokio::task::spawn_blocking(move || ArtifactSet::seal(&part, identity)).await.map_err(ArtifactError::Aborted)?
    }

    /// Compiles the components. Go prints each package that is not in its cache yet; the names are
    /// kept beside the cache, so that a resumed build shows how far it really is.
    async fn compile(&self, part: &Path, journal: &mut Journal<'_>) -> Result<(), ArtifactError> {
        let sandbox = self.sandbox(part)?.bind(self.source().join("tree"), "/go/src/k8s.io/kubernetes");
        let version = self.version.to_string();
        let arguments: Vec<&str> = [version.as_str()].into_iter().chain(COMPONENTS).collect();
        let stage = format!("compiling Kubernetes {version}");
        let path = self.compiled();
        let mut compiled = fs::read_to_string(&path).unwrap_or_default().lines().count() as f64;
        let open = File::options().append(true).create(true).open(&path);
        let mut record = open.map_err(ArtifactError::io("open", &path))?;
        let job = sandbox.script(stage, "compile.sh", &arguments);
        let result = journal.run(job, |package| {
            compiled += 1.0;
            // Only the progress shown depends on it.
            let _ = writeln!(record, "{package}");
            Some(f64::min(compiled / COMPONENT_PACKAGES, 0.99))
        });
        Ok(result.await??)
    }

    /// The names of the packages in Go's cache.
    fn compiled(&self) -> PathBuf {
        self.go_cache().join("compiled.txt")
    }

    /// The builder root with a stage's folder as `/out`.
    fn sandbox(&self, out: &Path) -> Result<Sandbox, ArtifactError> {
        let (builder, go_cache) = (self.builder(), self.go_cache());
        for folder in [&go_cache, &out.join("tmp")] {
            fs::create_dir_all(folder).map_err(ArtifactError::io("create", folder))?;
        }
        Ok(Sandbox::new(builder.join("root"), builder.join("recipe")).bind(go_cache, "/gocache").bind(out, "/out"))
    }
}

/// Runs a command whose lines of output are steps of its work, about `steps` of them.
async fn run(journal: &mut Journal<'_>, job: Job, steps: f64) -> Result<(), ArtifactError> {
    let mut seen = 0.0;
    let result = journal.run(job, |_| {
        seen += 1.0;
        steps.is_finite().then(|| f64::min(seen / steps, 0.99))
    });
    Ok(result.await??)
}

const INPUTS: &str = "inputs.json";

fn write_inputs(folder: &Path, inputs: &[Input]) -> Result<(), ArtifactError> {
    let path = folder.join(INPUTS);
    let text = serde_json::to_vec(inputs).map_err(|error| ArtifactError::io("write", &path)(error.into()))?;
    fs::write(&path, text).map_err(ArtifactError::io("write", &path))
}

fn read_inputs(folder: &Path) -> Result<Vec<Input>, ArtifactError> {
    let path = folder.join(INPUTS);
    let text = fs::read(&path).map_err(ArtifactError::io("read", &path))?;
    serde_json::from_slice(&text).map_err(|source| ArtifactError::Manifest { path, source })
}
