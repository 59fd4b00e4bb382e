//! How Debian's part of the root file system is made.

use std::path::Path;

use crate::images::Digest;

/// The Debian release that nodes are made of.
pub(crate) const SUITE: &str = "bookworm";

const PACKAGES: &str = include_str!("../../../../deploy/node/packages.txt");
const EXCLUDES: &str = include_str!("../../../../deploy/node/build/excludes.txt");
const SETUP: &str = include_str!("../../../../deploy/node/build/base-setup");
const FINISH: &str = include_str!("../../../../deploy/node/build/base-finish");

/// The words of a list with one item a line and `#` comments.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split_once('#').map_or(line, |(item, _)| item).trim()).filter(|line| !line.is_empty())
}

/// Changes when another root file system would come out. Newer versions of the same packages do not
/// count: they are picked up when the image is built anew on purpose.
pub(crate) fn base_key() -> Digest {
    let parts: Vec<&str> = [SUITE, SETUP, FINISH].into_iter().chain(lines(PACKAGES)).chain(lines(EXCLUDES)).collect();
    Digest::of(parts.join("\0").as_bytes())
}

/// The arguments of mmdebstrap that write Debian's part to `tar`.
///
/// `mode` is `root`, or `unshare` for everybody else; `sources` is a file of apt sources for the
/// suite; `proxies` are lines of apt configuration.
pub(crate) fn mmdebstrap(mode: &str, sources: &Path, proxies: &[String], tar: &Path) -> Vec<String> {
    let packages: Vec<&str> = lines(PACKAGES).collect();
    let mut argv: Vec<String> = vec![
        "mmdebstrap".to_owned(),
        format!("--mode={mode}"),
        "--variant=minbase".to_owned(),
        "--format=tar".to_owned(),
        format!("--include={}", packages.join(",")),
        r#"--aptopt=APT::Install-Recommends "false""#.to_owned(),
        format!("--setup-hook={SETUP}"),
        format!("--customize-hook={FINISH}"),
    ];
    argv.extend(proxies.iter().map(|line| format!("--aptopt={}", line.trim_end_matches(';'))));
    argv.extend(lines(EXCLUDES).map(|glob| format!("--dpkgopt=path-exclude={glob}")));
    argv.extend([SUITE.to_owned(), tar.display().to_string(), sources.display().to_string()]);
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_no_packages() {
        let text = "# heading\n\nsystemd   # why\n  runc\n#off\n";
        assert_eq!(lines(text).collect::<Vec<_>>(), ["systemd", "runc"]);
    }

    #[test]
    fn package_names_are_names() {
        for name in lines(PACKAGES) {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c)), "{name}");
        }
    }

    #[test]
    fn mmdebstrap_gets_every_package_and_every_exclude() {
        let proxy = "Acquire::http::Proxy \"http://proxy.test:3128\";".to_owned();
        let argv = mmdebstrap("root", Path::new("/s/list"), &[proxy], Path::new("/o/base.tar"));
        assert!(argv.contains(&"--aptopt=Acquire::http::Proxy \"http://proxy.test:3128\"".to_owned()), "{argv:?}");
        let include = argv.iter().find_map(|arg| arg.strip_prefix("--include=")).unwrap();
        assert!(lines(PACKAGES).all(|name| include.split(',').any(|word| word == name)));
        assert_eq!(
            argv.iter().filter(|arg| arg.starts_with("--dpkgopt=path-exclude=/")).count(),
            lines(EXCLUDES).count()
        );
        assert_eq!(argv[argv.len() - 3..], ["bookworm", "/o/base.tar", "/s/list"]);
    }
}
