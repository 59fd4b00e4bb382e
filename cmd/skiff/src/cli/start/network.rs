//! Manifests of a pod network that others make: read or fetched before anything is made.

use std::{fs, time::Duration};

use skiff_config::Cni;
use skiff_kubeapi::{Manifest, install_crypto_provider};
use skiff_report::{ExitCode, chain};

use crate::failure::Failure;

/// How long a server may take to accept a connection, and to send the manifests.
const LIMITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// The manifests of a cluster's network; `None` where skiff has nothing to apply.
pub(super) async fn manifests(cni: &Cni) -> Result<Option<String>, Failure> {
    match (cni, cni.place()) {
        (Cni::Bridge | Cni::Disabled, _) => Ok(None),
        (_, Some(place)) if place.starts_with("https://") || place.starts_with("http://") => {
            let text = fetch(place).await.map_err(|why| unreachable(cni, place, &why))?;
            checked(place, text).map(Some)
        }
        (_, Some(file)) => {
            let text = fs::read_to_string(file).map_err(|error| {
                Failure::new(
                    "GUEST_CNI_MANIFESTS",
                    ExitCode::GUEST_NOT_FOUND,
                    format!("--cni: cannot read the manifests in {file}: {error}"),
                    "Use bridge, none, flannel, calico, or a file or URL of manifests.",
                )
            })?;
            checked(file, text).map(Some)
        }
        (_, None) => Err(Failure::usage(
            format!("--cni {cni}: the project publishes no manifests, only a chart"),
            format!("Render it (`helm template {cni} …`) into a file, and use --cni FILE."),
        )),
    }
}

/// The text, if there is something to apply in it. A network that is none would be waited for in vain.
fn checked(place: &str, text: String) -> Result<String, Failure> {
    let problem = match Manifest::read(place, &text) {
        Ok(objects) if objects.is_empty() => format!("{place} holds no objects"),
        Ok(_) => return Ok(text),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    Err(Failure::new(
        "GUEST_CNI_MANIFESTS",
        ExitCode::PROGRAM_CONFIG,
        format!("--cni: {problem}"),
        "Give it Kubernetes objects in YAML, such as the daemon set of a pod network; nothing was made.",
    ))
}

async fn fetch(url: &str) -> Result<String, reqwest::Error> {
    install_crypto_provider();
    let client = reqwest::Client::builder().connect_timeout(LIMITS.0).timeout(LIMITS.1).build()?;
    client.get(url).send().await?.error_for_status()?.text().await
}

fn unreachable(cni: &Cni, url: &str, why: &reqwest::Error) -> Failure {
    Failure::new(
        "INET_CNI_MANIFESTS",
        ExitCode::INTERNET_UNAVAILABLE,
        format!("--cni {cni}: cannot get {url}: {}", chain(why)),
        "It takes that file, and its images from their registries: save the file, use --cni FILE, and bring the images \
         with `skiff image load`; or use skiff's own network, --cni bridge.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_had_is_told_with_what_it_takes() {
        assert_eq!(manifests(&Cni::Bridge).await, Ok(None));
        assert_eq!(manifests(&Cni::parse("/nowhere/net.yaml")).await.unwrap_err().exit, ExitCode::GUEST_NOT_FOUND);
        let nobody = manifests(&Cni::parse("http://127.0.0.1:1/net.yaml")).await.unwrap_err();
        assert!(nobody.exit == ExitCode::INTERNET_UNAVAILABLE && nobody.advice.contains("registries"), "{nobody:?}");
        assert_eq!(manifests(&Cni::parse("cilium")).await.unwrap_err().exit, ExitCode::PROGRAM_USAGE);
    }

    #[tokio::test]
    async fn files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("net.yaml");
        let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: network}\n";
        fs::write(&file, object).unwrap();
        assert_eq!(manifests(&Cni::parse(&file.to_string_lossy())).await, Ok(Some(object.to_owned())));
    }

    #[tokio::test]
    async fn what_is_no_network_is_told_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("net.yaml");
        for (text, told) in [("", "holds no objects"), ("# a\n---\n", "holds no objects"), ("a: [b", "line 1")] {
            fs::write(&file, text).unwrap();
            let failure = manifests(&Cni::parse(&file.to_string_lossy())).await.unwrap_err();
            assert!(failure.exit == ExitCode::PROGRAM_CONFIG && failure.message.contains(told), "{failure:?}");
        }
    }
}
