//! The stage that puts everything together: images are written, then a script lays all parts over
//! each other and lets containerd unpack the images inside the new root.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use super::{
    overlay,
    spec::{ASSEMBLE, NodeImageSpec},
    tools::{PROXY_LIST, REGISTRY_LIST, listed},
};
use crate::{
    ArtifactError, ArtifactSet, cache,
    images::{
        WrittenImage, addons,
        control_plane::{self, Sources},
        write_archive,
    },
    job::{Job, Journal},
};

/// The archive in the stage's folder.
pub(super) const ARCHIVE: &str = "rootfs.tar";

/// Fills the stage's folder.
pub(super) async fn make(
    part: &Path,
    base: &Path,
    spec: &NodeImageSpec,
    set: &ArtifactSet,
    journal: &mut Journal<'_>,
) -> Result<(), ArtifactError> {
    let work = part.join("work");
    let inputs = Inputs {
        base: base.to_owned(),
        spec: spec.clone(),
        programs: set.programs.clone(),
        etcd: set.etcd.root.clone(),
        images: part.join("images"),
        overlay: part.join("overlay.tar"),
    };
    let (overlay, images) = (inputs.overlay.clone(), inputs.images.clone());
    let count = tokio::task::spawn_blocking(move || inputs.write()).await.map_err(ArtifactError::Aborted)??;
    let script = part.join("assemble.sh");
    fs::write(&script, ASSEMBLE).map_err(ArtifactError::io("write", &script))?;
    fs::create_dir(&work).map_err(ArtifactError::io("create", &work))?;

    let mut argv: Vec<OsString> = namespaces(rustix::process::geteuid().is_root()).iter().map(Into::into).collect();
    argv.push("sh".into());
    argv.extend([&script, base, &overlay, &images, &work, &part.join(ARCHIVE)].map(|path: &Path| path.into()));
    // The script says when it begins to unpack, to import and to pack; ctr adds a line an image.
    let (mut seen, steps) = (0.0, (count + 3) as f64);
    let result = journal.run(Job::new("assembling the node image", argv), |_| {
        seen += 1.0;
        Some(f64::min(seen / steps, 0.99))
    });
    result.await??;
    for leftover in [&work, &images] {
        cache::remove(leftover)?;
    }
    fs::remove_file(&overlay).map_err(ArtifactError::io("remove", &overlay))
}

/// The words in front of the script. Without root's rights it gets a user namespace in which the
/// files of the image may belong to anybody.
fn namespaces(root: bool) -> Vec<&'static str> {
    let mut argv = vec!["unshare", "--fork", "--kill-child", "--pid", "--mount"];
    if !root {
        argv.extend(["--map-root-user", "--map-auto"]);
    }
    argv
}

/// What the script reads, still to be written.
struct Inputs {
    base: PathBuf,
    spec: NodeImageSpec,
    programs: PathBuf,
    etcd: PathBuf,
    images: PathBuf,
    overlay: PathBuf,
}

impl Inputs {
    /// Writes image archives and overlay; returns the number of images.
    fn write(&self) -> Result<usize, ArtifactError> {
        let tools = self.images.with_file_name("tools");
        fs::create_dir_all(&self.images).map_err(ArtifactError::io("create", &self.images))?;
        let files = |list: &str, name: &str| {
            listed(list, &self.base, &tools.join(name)).map_err(ArtifactError::io("read", &self.base))
        };
        let (proxy_tools, registry_files) = (files(PROXY_LIST, "kube-proxy")?, files(REGISTRY_LIST, "registry")?);
        let sources = Sources { programs: &self.programs, etcd: &self.etcd, proxy_tools: &proxy_tools };
        let mut specs =
            control_plane::control_plane(&self.spec.version, sources).map_err(ArtifactError::io("list", &self.etcd))?;
        specs.push(addons::registry(registry_files));
        specs.push(control_plane::agent(&self.spec.agent.path, &self.spec.agent.digest));
        let mut written: Vec<WrittenImage> = Vec::new();
        for (number, spec) in specs.iter().enumerate() {
            let path = self.images.join(format!("{number}.tar"));
            written.push(write_archive(spec, &path).map_err(ArtifactError::io("write", &path))?);
        }
        cache::remove(&tools)?;
        if let Some(agent) = written.last() {
            let pause = control_plane::pause_reference(&self.spec.version);
            overlay::write(&self.overlay, &self.programs, &pause, &written, agent)
                .map_err(ArtifactError::io("write", &self.overlay))?;
        }
        Ok(written.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_people_without_roots_rights_need_a_user_namespace() {
        assert!(!namespaces(true).contains(&"--map-auto"));
        assert!(namespaces(false).contains(&"--map-auto"));
    }
}
