//! apt with everything of its own: configuration, package lists, cache and idea of what is installed.
//!
//! The host's apt is neither read nor written. Downloads stay in the folder, so that an interrupted
//! one is continued by the next run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    mirror::Mirror,
    recipe::{self, SOURCE_PACKAGE},
};
use crate::{
    ArtifactError,
    images::Digest,
    job::{Job, JobFailure, Journal},
    set::{Arch, Input},
};

/// apt's words for a mirror that cannot be reached.
const UNREACHABLE: [&str; 9] = [
    "Temporary failure resolving",
    "Could not resolve",
    "Could not connect",
    "Cannot initiate the connection",
    "Unable to connect",
    "Connection failed",
    "Connection timed out",
    "connection timed out",
    "Error reading from server",
];

/// apt's words for content that the keyring does not vouch for.
const UNSIGNED: [&str; 6] =
    ["NO_PUBKEY", "BADSIG", "EXPKEYSIG", "is not signed", "couldn't be verified", "Hash Sum mismatch"];

/// A private apt for one mirror.
pub(super) struct Apt<'a> {
    folder: PathBuf,
    mirror: &'a Mirror,
}

impl<'a> Apt<'a> {
    /// Prepares the folder. What it holds already is kept.
    pub(super) fn prepare(folder: PathBuf, mirror: &'a Mirror, arch: Arch) -> Result<Self, ArtifactError> {
        for name in ["lists/partial", "archives/partial", "source"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(ArtifactError::io("create", &path))?;
        }
        let files = [
            ("apt.conf", configuration(&folder, mirror, arch)),
            ("mirror.sources", mirror.sources(arch)),
            ("status", recipe::status(arch)),
        ];
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).map_err(ArtifactError::io("write", &path))?;
        }
        Ok(Self { folder, mirror })
    }

    /// Folder of the downloaded packages.
    pub(super) fn archives(&self) -> PathBuf {
        self.folder.join("archives")
    }

    /// Folder of the downloaded source package.
    pub(super) fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// Downloads package lists, the recipe's packages with what they depend on, and the source package.
    pub(super) async fn download(&self, journal: &mut Journal<'_>) -> Result<Vec<Input>, ArtifactError> {
        let lists = self.job("reading Debian's package lists", &["update", "--error-on=any"]);
        self.run(journal, lists).await?;
        let mut install = vec!["install", "--yes", "--download-only"];
        install.extend(recipe::packages());
        let packages = self.job("downloading the compiler from Debian", &install);
        self.run(journal, packages).await?;
        let source = ["source", "--download-only", SOURCE_PACKAGE];
        let source = self.job("downloading the Kubernetes source package", &source).folder(self.source());
        self.run(journal, source).await?;
        let mut all = inputs(&self.archives(), ".deb")?;
        // The source package's description holds the digests of its other files.
        all.extend(inputs(&self.source(), ".dsc")?);
        Ok(all)
    }

    fn job(&self, stage: &str, arguments: &[&str]) -> Job {
        let argv = ["apt-get"].iter().chain(arguments).copied();
        Job::new(stage, argv).env("APT_CONFIG", self.folder.join("apt.conf"))
    }

    async fn run(&self, journal: &mut Journal<'_>, job: Job) -> Result<(), ArtifactError> {
        journal.run(job, |_| None).await?.map_err(|failure| explain(failure, &self.mirror.shown()))
    }
}

/// apt's configuration. Everything it would take from the host by default is set.
fn configuration(folder: &Path, mirror: &Mirror, arch: Arch) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let paths = [
        ("Dir::State", at("")),
        ("Dir::State::lists", at("lists")),
        ("Dir::State::status", at("status")),
        ("Dir::State::extended_states", at("extended_states")),
        ("Dir::Cache", at("")),
        ("Dir::Cache::archives", at("archives")),
        ("Dir::Log", at("")),
        ("Dir::Etc", at("")),
        ("Dir::Etc::SourceList", at("mirror.sources")),
    ];
    let none = ["SourceParts", "Main", "Parts", "Preferences", "PreferencesParts", "Trusted", "TrustedParts"];
    let mut lines: Vec<String> = paths.into_iter().map(|(name, value)| format!("{name} \"{value}\";")).collect();
    lines.extend(none.map(|name| format!("Dir::Etc::{name} \"/dev/null\";")));
    lines.push(format!(
        "APT::Architecture \"{0}\";\n#clear APT::Architectures;\nAPT::Architectures {{ \"{0}\"; }};",
        arch.name()
    ));
    // The folder may be one that only its owner can enter, and apt's download user is not that.
    lines.push("APT::Sandbox::User \"\";".to_owned());
    lines.push("APT::Install-Recommends \"false\";\nAPT::Keep-Downloaded-Packages \"true\";".to_owned());
    lines.push("Acquire::Languages \"none\";\nAcquire::Retries \"2\";".to_owned());
    lines.push("Acquire::http::Timeout \"20\";\nAcquire::https::Timeout \"20\";".to_owned());
    lines.extend(mirror.proxies.iter().cloned());
    lines.join("\n") + "\n"
}

/// What a failed apt means.
pub(crate) fn explain(failure: JobFailure, mirror: &str) -> ArtifactError {
    let mirror = mirror.to_owned();
    let detail = |line: &str| line.trim_start_matches("E: ").trim_start_matches("W: ").trim().to_owned();
    if let Some(line) = failure.says(&UNSIGNED) {
        return ArtifactError::Signature { mirror, detail: detail(line) };
    }
    if let Some(line) = failure.says(&UNREACHABLE) {
        return ArtifactError::MirrorUnreachable { mirror, detail: detail(line) };
    }
    failure.into()
}

/// Digests of the files with an ending in a folder.
fn inputs(folder: &Path, ending: &str) -> Result<Vec<Input>, ArtifactError> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder).map_err(ArtifactError::io("list", folder))? {
        let path = entry.map_err(ArtifactError::io("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(ending) {
            let sha256 = Digest::of_file(&path).map_err(ArtifactError::io("read", &path))?.as_str().to_owned();
            inputs.push(Input { name, sha256 });
        }
    }
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inputs)
}

/// The upstream version that a source package's description file is about:
/// `1.20.2` of `kubernetes_1.20.5+really1.20.2-1.1+deb12u1.dsc`.
pub(super) fn upstream_version(description: &str) -> Option<&str> {
    let (_, version) = description.strip_suffix(".dsc")?.split_once('_')?;
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    Some(upstream.rsplit_once("really").map_or(upstream, |(_, real)| real))
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    fn failure(line: &str) -> JobFailure {
        JobFailure {
            stage: "reading".to_owned(),
            status: ExitStatus::default(),
            tail: vec!["Reading package lists...".to_owned(), line.to_owned(), "E: Some index files failed".to_owned()],
            log: "log".into(),
        }
    }

    #[test]
    fn apts_failures_are_told_apart() {
        let error =
            explain(failure("W: Failed to fetch http://m.test  Could not connect to m.test:80"), "http://m.test");
        assert_eq!(
            error.to_string(),
            "the Debian mirror http://m.test cannot be reached: Failed to fetch http://m.test  Could not connect to m.test:80"
        );
        let unsigned = "W: GPG error: http://m.test InRelease: The following signatures couldn't be verified";
        assert!(matches!(explain(failure(unsigned), "m"), ArtifactError::Signature { .. }));
        assert!(matches!(explain(failure("E: Unable to locate package x"), "m"), ArtifactError::Stage { .. }));
    }

    #[test]
    fn the_upstream_version_is_read_from_debians() {
        assert_eq!(upstream_version("kubernetes_1.20.5+really1.20.2-1.1+deb12u1.dsc"), Some("1.20.2"));
        assert_eq!(upstream_version("kubernetes_1.21.0-1.dsc"), Some("1.21.0"));
        assert_eq!(upstream_version("kubernetes_1.21.0.orig.tar.gz"), None);
    }

    #[test]
    fn the_configuration_names_no_folder_of_the_host() {
        let mirror =
            Mirror { archives: vec![], keyring: "/k".into(), proxies: vec!["Acquire::http::Proxy \"p\";".to_owned()] };
        let text = configuration(Path::new("/cache/apt"), &mirror, Arch::Amd64);
        for line in text.lines().filter(|line| line.starts_with("Dir::")) {
            assert!(line.contains("\"/cache/apt") || line.ends_with("\"/dev/null\";"), "{line}");
        }
        assert!(text.contains("Acquire::http::Proxy \"p\";"));
        assert!(text.contains("APT::Architectures { \"amd64\"; };"));
    }
}
