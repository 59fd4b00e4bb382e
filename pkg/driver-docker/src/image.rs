//! Node images in the Engine's image store.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bollard::{
    body_try_stream,
    models::ImageSummary,
    query_parameters::{
        CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions,
    },
};
use futures_util::TryStreamExt;
use skiff_driver::{ImageInfo, NodeImage};
use skiff_report::{Event, Reporter};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

use crate::{DockerDriver, Error, failure, labels};

/// The repository of node images.
const REPOSITORY: &str = "skiff-node";

/// Where the root file system has the program that becomes a node's first process.
const ENTRYPOINT: &str = "/usr/lib/skiff/entrypoint";

/// An import writes the whole image before the Engine answers.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Bytes read from the root file system at once.
const CHUNK: usize = 1 << 20;

impl DockerDriver {
    /// Name of the image with that key.
    pub(crate) async fn image_name(&self, key: &str) -> Result<String, Error> {
        let images = self.images(Some(key)).await?;
        let name = images.iter().find_map(tag).map(str::to_owned);
        name.ok_or_else(|| Error::ImageMissing { key: key.to_owned() })
    }

    /// Images that carry a key, or a certain one. Those made by others from a node image inherit its
    /// label and are left out by [`tag`].
    async fn images(&self, key: Option<&str>) -> Result<Vec<ImageSummary>, Error> {
        let options = ListImagesOptionsBuilder::new().filters(&labels::filter(labels::IMAGE, key)).build();
        self.docker.list_images(Some(options)).await.map_err(failure::engine("listing images"))
    }

    pub(crate) async fn import(&self, image: &NodeImage, reporter: &dyn Reporter) -> Result<(), Error> {
        if self.images(Some(&image.key)).await?.iter().any(|image| tag(image).is_some()) {
            return Ok(());
        }
        let unreadable = |source| Error::File { path: image.rootfs.clone(), source };
        let rootfs = File::open(&image.rootfs).await.map_err(unreadable)?;
        let size = rootfs.metadata().await.map_err(unreadable)?.len();
        let sent = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&sent);
        let body = ReaderStream::with_capacity(rootfs, CHUNK).inspect_ok(move |chunk| {
            count.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        });
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(REPOSITORY)
            .tag(&tag_of(image))
            .changes(changes(image))
            .build();
        let docker = self.docker.clone().with_timeout(IMPORT_TIMEOUT);
        let answer = docker.create_image(Some(options), Some(body_try_stream(body)), None);
        let import = answer.try_for_each(|_| async { Ok(()) });
        let tell = async {
            let mut ticks = tokio::time::interval(PROGRESS_EVERY);
            loop {
                ticks.tick().await;
                reporter.report(progress(sent.load(Ordering::Relaxed), size));
            }
        };
        tokio::select! {
            imported = import => imported.map_err(failure::engine("importing the node image"))?,
            () = tell => {}
        }
        reporter.report(progress(size, size));
        self.remove_doubles(&image.key).await
    }

    /// Two skiffs that import at once leave one image without a name.
    async fn remove_doubles(&self, key: &str) -> Result<(), Error> {
        let nameless = self.images(Some(key)).await?.into_iter().filter(is_nameless);
        for image in nameless {
            let removed = self.docker.remove_image(&image.id, None::<RemoveImageOptions>, None).await;
            // Images are never removed below a container, so one in use is simply kept.
            failure::unless(removed.map(drop), &[404, 409]).map_err(failure::engine("removing a double image"))?;
        }
        Ok(())
    }

    pub(crate) async fn image_infos(&self) -> Result<Vec<ImageInfo>, Error> {
        let mut infos: Vec<ImageInfo> = self.images(None).await?.iter().filter_map(info).collect();
        infos.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(infos)
    }

    pub(crate) async fn delete_image(&self, key: &str) -> Result<(), Error> {
        for name in self.images(Some(key)).await?.iter().filter_map(tag) {
            let users = self.users(key).await?;
            if !users.is_empty() {
                return Err(Error::ImageInUse { key: key.to_owned(), users });
            }
            let removed = self.docker.remove_image(name, None::<RemoveImageOptions>, None).await;
            failure::unless(removed.map(drop), &[404])
                .map_err(failure::engine(format!("removing the image {name}")))?;
        }
        self.remove_doubles(key).await
    }

    /// Names of the containers made from an image, which inherit its label.
    async fn users(&self, key: &str) -> Result<Vec<String>, Error> {
        let filter: HashMap<_, _> = labels::filter(labels::IMAGE, Some(key));
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        let containers = self.docker.list_containers(Some(options)).await;
        let containers = containers.map_err(failure::engine("listing containers"))?;
        let name = |names: Option<Vec<String>>| names?.first().map(|name| name.trim_start_matches('/').to_owned());
        Ok(containers.into_iter().filter_map(|container| name(container.names)).collect())
    }
}

fn progress(sent: u64, size: u64) -> Event {
    #[expect(clippy::cast_precision_loss, reason = "a fraction for a progress bar")]
    let fraction = (size > 0).then(|| sent as f64 / size as f64);
    Event::Progress { what: "importing the node image".to_owned(), fraction }
}

/// The image's name of ours, if it has one.
fn tag(image: &ImageSummary) -> Option<&str> {
    let key = image.labels.get(labels::IMAGE)?;
    let ours = |name: &&String| {
        name.strip_prefix(REPOSITORY).is_some_and(|rest| rest.starts_with(':') && rest.ends_with(short(key)))
    };
    image.repo_tags.iter().find(ours).map(String::as_str)
}

/// True for an image whose name went to another. Older Engines have a name for that.
fn is_nameless(image: &ImageSummary) -> bool {
    image.repo_tags.iter().all(|name| name == "<none>:<none>")
}

/// As much of a key as tells images apart.
fn short(key: &str) -> &str {
    key.get(..12).unwrap_or(key)
}

/// The tag an image gets: what it holds, then its key, in the characters a tag may have.
fn tag_of(image: &NodeImage) -> String {
    let version = image.labels.get("kubernetes").map_or("none", String::as_str);
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    format!("{}-{}", version.chars().map(allowed).collect::<String>(), short(&image.key))
}

fn info(image: &ImageSummary) -> Option<ImageInfo> {
    let contents = |(label, value): (&String, &String)| {
        label.strip_prefix(labels::CONTENTS).map(|label| (label.to_owned(), value.clone()))
    };
    Some(ImageInfo {
        key: image.labels.get(labels::IMAGE)?.clone(),
        name: tag(image)?.to_owned(),
        size: u64::try_from(image.size).unwrap_or(0),
        labels: image.labels.iter().filter_map(contents).collect(),
    })
}

/// What an import adds to the root file system, as lines of a Dockerfile.
fn changes(image: &NodeImage) -> Vec<String> {
    let label = |name: &str, value: &str| format!("LABEL {}={}", quoted(name), quoted(value));
    let contents = image.labels.iter().map(|(name, value)| label(&format!("{}{name}", labels::CONTENTS), value));
    [format!("ENTRYPOINT [\"{ENTRYPOINT}\"]"), label(labels::IMAGE, &image.key)].into_iter().chain(contents).collect()
}

/// A word of a Dockerfile, in quotes, with all that has a meaning there escaped.
fn quoted(text: &str) -> String {
    let mut word = String::from('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$') {
            word.push('\\');
        }
        word.push(if c.is_control() { ' ' } else { c });
    }
    word.push('"');
    word
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::*;

    fn image(version: Option<&str>) -> NodeImage {
        NodeImage {
            key: "0123456789abcdef".repeat(4),
            rootfs: PathBuf::new(),
            labels: version.map(|version| ("kubernetes".to_owned(), version.to_owned())).into_iter().collect(),
        }
    }

    #[test]
    fn the_tag_tells_version_and_key() {
        assert_eq!(tag_of(&image(Some("v1.20.2"))), "v1.20.2-0123456789ab");
        assert_eq!(tag_of(&image(Some("v1.36.0+dirty"))), "v1.36.0-dirty-0123456789ab");
        assert_eq!(tag_of(&image(None)), "none-0123456789ab");
    }

    #[test]
    fn an_image_made_by_others_from_ours_is_not_ours() {
        let summary = |name: &str| ImageSummary {
            repo_tags: vec![name.to_owned()],
            labels: [(labels::IMAGE.to_owned(), image(None).key)].into(),
            ..ImageSummary::default()
        };
        assert_eq!(tag(&summary("skiff-node:v1.20.2-0123456789ab")), Some("skiff-node:v1.20.2-0123456789ab"));
        assert_eq!(tag(&summary("mine:v1.20.2-0123456789ab")), None);
        assert_eq!(tag(&summary("skiff-node:mine")), None);
    }

    #[test]
    fn labels_survive_a_dockerfile() {
        let mut image = image(None);
        image.labels = BTreeMap::from([("what".to_owned(), "a \"b\" \\ $HOME\nc".to_owned())]);
        let lines = changes(&image);
        assert_eq!(lines[0], r#"ENTRYPOINT ["/usr/lib/skiff/entrypoint"]"#);
        assert_eq!(lines[2], r#"LABEL "dev.skiff.node-image.what"="a \"b\" \\ \$HOME c""#);
    }
}
