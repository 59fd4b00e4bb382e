use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    thread,
};

use super::*;

const ENTRY: &str = "apiVersion: skiff.dev/v1alpha1\nkind: Addon\nmetadata: {name: mine}\nspec:\n  description: Mine\n  \
                     maintainer: me\n  docs: mine.md\n  kubernetes: '>=1.20'\n  manifests: [mine.yaml]\n";
const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine, namespace: default}\n";

fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Answers every request with these bytes, or with 404.
fn serve(bytes: Option<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/catalog.tar", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let (status, body) = bytes.as_ref().map_or(("404 Not Found", &[][..]), |bytes| ("200 OK", bytes));
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).unwrap();
        }
    });
    url
}

fn source(location: &str, sha256: Option<String>) -> Source {
    Source { name: "ours".to_owned(), location: location.to_owned(), sha256 }
}

#[tokio::test]
async fn a_folder_is_read_where_it_is_and_refused_when_it_is_not_what_was_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let addon = folder.path().join("mine");
    fs::create_dir(&addon).unwrap();
    fs::write(addon.join("addon.yaml"), ENTRY).unwrap();
    fs::write(addon.join("mine.yaml"), MANIFEST).unwrap();
    let sources = Sources::new(folder.path().join("home"));
    let location = folder.path().display().to_string();
    let _ = sources.add(source(&location, None)).await.unwrap();

    let wrong = sources.add(source(&location, Some("0".repeat(64)))).await.unwrap_err();
    let AddonError::Hash { found, .. } = wrong else { panic!("{wrong}") };
    let _ = sources.add(source(&location, Some(found))).await.unwrap();
    let mut catalog = Catalog::default();
    catalog.add_sources(&sources);
    assert_eq!(catalog.find("mine").unwrap().catalog.as_deref(), Some("ours"));

    fs::write(addon.join("mine.yaml"), format!("{MANIFEST}data: {{a: b}}\n")).unwrap();
    let mut catalog = Catalog::default();
    catalog.add_sources(&sources);
    assert!(catalog.find("mine").is_err());
    assert!(catalog.broken()[0].contains("sha256"), "{:?}", catalog.broken());
}

#[tokio::test]
async fn an_archive_must_be_pinned_and_is_kept() {
    let bytes =
        tar_of(&[("top-1.0/mine/addon.yaml", ENTRY), ("top-1.0/mine/mine.yaml", MANIFEST), ("top-1.0/x.yaml", "")]);
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources::new(folder.path().to_owned());
    let url = serve(Some(bytes.clone()));
    let unpinned = sources.add(source(&url, None)).await.unwrap_err();
    let AddonError::Unpinned { found, .. } = unpinned else { panic!("{unpinned}") };
    assert_eq!(found, hash(&bytes));
    assert_eq!(sources.list().unwrap(), []);
    let _ = sources.add(source(&url, Some(found))).await.unwrap();
    // Nothing is fetched again.
    let mut catalog = Catalog::default();
    catalog.add_sources(&sources);
    assert_eq!(catalog.find("mine").unwrap().description, "Mine");
    assert!(sources.remove("ours").unwrap() && !sources.remove("ours").unwrap());
    assert_eq!(sources.list().unwrap(), []);
}

#[tokio::test]
async fn what_is_no_catalog_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources::new(folder.path().to_owned());
    let gone = sources.add(source(&serve(None), Some("0".repeat(64)))).await.unwrap_err();
    assert!(skiff_report::chain(&gone).contains("404"), "{gone}");
    let empty = sources.add(source(&folder.path().display().to_string(), None)).await.unwrap_err();
    assert!(empty.to_string().contains("holds no addons"), "{empty}");
    assert!(sources.add(source("/nowhere/at/all", None)).await.is_err());
    assert_eq!(sources.list().unwrap(), []);
}
