//! The stage that makes Debian's part: mmdebstrap with the package list in `deploy/node`.

use std::{ffi::OsString, fs, path::Path};

use crate::{
    ArtifactError,
    debian::{Mirror, explain},
    job::{Job, Journal},
    rootfs::recipe,
    set::Arch,
};

/// The archive in the stage's folder.
pub(super) const ARCHIVE: &str = "base.tar";

/// Fills the stage's folder.
pub(super) async fn make(part: &Path, mirror: &Mirror, journal: &mut Journal<'_>) -> Result<(), ArtifactError> {
    let sources = part.join("debian.sources");
    fs::write(&sources, mirror.binary_sources(Arch::host()?)).map_err(ArtifactError::io("write", &sources))?;
    let root = rustix::process::geteuid().is_root();
    let argv =
        recipe::mmdebstrap(if root { "root" } else { "unshare" }, &sources, &mirror.proxies, &part.join(ARCHIVE));
    let job = if root {
        // Its temporary tree goes where the rest of the stage is, and is swept away with it.
        let namespaces = ["unshare", "--fork", "--kill-child", "--pid", "--mount"].map(OsString::from);
        let argv = namespaces.into_iter().chain(argv.into_iter().map(OsString::from));
        Job::new(STAGE, argv).env("TMPDIR", part)
    } else {
        // It works under user ids that cannot enter other people's home folders.
        Job::new(STAGE, argv).env("TMPDIR", "/var/tmp")
    };
    let mut seen = 0.0;
    let result = journal.run(job, |line| {
        seen += f64::from(u8::from(line.starts_with("I: ")));
        Some(f64::min(seen / STEPS, 0.99))
    });
    result.await?.map_err(|failure| explain(failure, &mirror.shown()))
}

const STAGE: &str = "installing Debian packages for the node image";

/// Lines that mmdebstrap prints about its own steps.
const STEPS: f64 = 16.0;
