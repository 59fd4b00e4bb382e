//! `skiff image ls`.

use std::collections::BTreeMap;

use serde::Serialize;
use skiff_runner::{Command, Runner};

use super::{connect, nodes};
use crate::{
    cli::output::{DataFormat, json},
    context::{Context, print},
    failure::Failure,
    ui::{megabytes, table},
    wiring::SkiffHost,
};

/// Lists the images in a cluster.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "list")]
pub(super) struct Args {
    /// Format of the output.
    #[arg(long, value_name = "FORMAT", default_value = "short")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    // One name a line.
    Short,
    // For people.
    Table,
    // For programs.
    Json,
    Yaml,
}

/// An image, in minikube's shape.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    id: String,
    repo_digests: Vec<String>,
    repo_tags: Vec<String>,
    /// Bytes, as text. The node tells it with three or four digits.
    size: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let host = context.host_in_use("skiff image ls").await?;
        print(&render(&listed(context, &host).await?, self.format)?)
    }
}

async fn listed(context: &Context, host: &SkiffHost) -> Result<Vec<Image>, Failure> {
    let mut images = Images::default();
    for node in nodes(context, host)? {
        let runner = connect(context, host, &node).await?;
        let output = runner.run(Command::new(["ctr", "--namespace", "k8s.io", "images", "ls"])).await?;
        images.add(&output.stdout_text());
    }
    Ok(images.into_list())
}

/// The images that the nodes of a cluster hold: what each is, by its names.
pub(crate) async fn ids(context: &Context, host: &SkiffHost) -> Result<BTreeMap<String, String>, Failure> {
    let images = listed(context, host).await?;
    Ok(images.into_iter().flat_map(|it| it.repo_tags.into_iter().map(move |name| (name, it.id.clone()))).collect())
}

fn render(images: &[Image], format: Format) -> Result<String, Failure> {
    let names = |image: &Image| {
        if image.repo_tags.is_empty() { image.repo_digests.clone() } else { image.repo_tags.clone() }
    };
    match format {
        Format::Short => Ok(images.iter().flat_map(names).map(|name| name + "\n").collect()),
        Format::Json => json(&images),
        Format::Yaml => DataFormat::Yaml.render(&images),
        Format::Table => {
            let rows = images.iter().flat_map(|image| names(image).into_iter().map(|name| row(&name, image)));
            Ok(format!("{}\n", table(["Image", "Tag", "Image ID", "Size"], rows)))
        }
    }
}

fn row(name: &str, image: &Image) -> [String; 4] {
    // A colon before the last slash belongs to a registry's port.
    let at = name.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match name[at..].split_once([':', '@']) {
        Some((base, tag)) => (format!("{}{base}", &name[..at]), tag.to_owned()),
        None => (name.to_owned(), "<none>".to_owned()),
    };
    let size = image.size.parse().map_or_else(|_| image.size.clone(), megabytes);
    [repository, tag, image.id.chars().take(13).collect(), size]
}

/// Images by what they are, so that one image under several names, or on several nodes, is one.
#[derive(Debug, Default)]
struct Images {
    by_digest: BTreeMap<String, Image>,
}

impl Images {
    /// Adds what `ctr images ls` prints. Its columns are REF TYPE DIGEST SIZE PLATFORMS LABELS; the
    /// size has a space before its unit.
    fn add(&mut self, listing: &str) {
        for line in listing.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [reference, _type, digest, number, unit, ..] = columns.as_slice() else { continue };
            let image = self.by_digest.entry((*digest).to_owned()).or_default();
            image.size = bytes(number, unit).map(|size| size.to_string()).unwrap_or_default();
            let (list, name) = match reference.strip_prefix("sha256:") {
                // containerd's CRI plugin also keeps each image under its id.
                Some(id) => {
                    id.clone_into(&mut image.id);
                    continue;
                }
                None if reference.contains('@') => (&mut image.repo_digests, (*reference).to_owned()),
                None => (&mut image.repo_tags, (*reference).to_owned()),
            };
            if !list.contains(&name) {
                list.push(name);
            }
        }
    }

    /// By name.
    fn into_list(self) -> Vec<Image> {
        let mut images: Vec<Image> = self.by_digest.into_values().collect();
        for image in &mut images {
            image.repo_tags.sort();
            image.repo_digests.sort();
        }
        images.sort_by(|one, other| (&one.repo_tags, &one.repo_digests).cmp(&(&other.repo_tags, &other.repo_digests)));
        images
    }
}

/// Bytes of a size such as `30.2 MiB`.
fn bytes(number: &str, unit: &str) -> Option<u64> {
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u64>().ok()? << shift;
    let digits = u32::try_from(part.len()).ok()?;
    let part = (part.parse::<u64>().ok()? << shift) / 10_u64.checked_pow(digits)?;
    Some(whole + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
REF                                 TYPE                                                 DIGEST         SIZE      PLATFORMS   LABELS
docker.io/library/busybox:1.36      application/vnd.docker.distribution.manifest.v2+json sha256:aaaa11 2.1 MiB   linux/amd64 io.cri-containerd.image=managed
docker.io/library/busybox@sha256:00 application/vnd.docker.distribution.manifest.v2+json sha256:aaaa11 2.1 MiB   linux/amd64 -
sha256:f00dfeedf00dfeedf00dfeed     application/vnd.docker.distribution.manifest.v2+json sha256:aaaa11 2.1 MiB   linux/amd64 -
localhost:5000/app:v1               application/vnd.oci.image.manifest.v1+json           sha256:bbbb22 512.0 KiB linux/amd64 -
";

    fn images() -> Vec<Image> {
        let mut images = Images::default();
        images.add(LISTING);
        images.add(LISTING);
        images.into_list()
    }

    #[test]
    fn names_of_one_image_are_put_together() {
        let images = images();
        assert_eq!(images.len(), 2);
        assert_eq!(images[0].repo_tags, ["docker.io/library/busybox:1.36"]);
        assert_eq!(images[0].repo_digests, ["docker.io/library/busybox@sha256:00"]);
        assert_eq!((images[0].id.as_str(), images[0].size.as_str()), ("f00dfeedf00dfeedf00dfeed", "2202009"));
        assert_eq!(images[1].size, "524288");
    }

    #[test]
    fn every_format_keeps_its_shape() {
        let all: String = [Format::Short, Format::Table, Format::Json, Format::Yaml]
            .map(|format| format!("--- {format:?}\n{}", render(&images(), format).unwrap()))
            .concat();
        insta::assert_snapshot!(all);
    }
}
