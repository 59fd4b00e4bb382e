//! What is laid over Debian's part: skiff's files, the kubelet's programs, the list of images.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufWriter},
    path::Path,
};

use tar::{Builder, EntryType};

use crate::{
    images::WrittenImage,
    rootfs::tree::{self, header},
};

/// Programs that every node has outside of images.
const NODE_PROGRAMS: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

/// Writes the overlay archive.
///
/// # Errors
/// When a program cannot be read or the archive cannot be written.
pub(super) fn write(
    path: &Path,
    programs: &Path,
    pause_image: &str,
    images: &[WrittenImage],
    agent: &WrittenImage,
) -> io::Result<()> {
    let mut archive = Builder::new(BufWriter::new(File::create(path)?));
    tree::append(&mut archive, pause_image)?;
    for name in NODE_PROGRAMS {
        let mut file = File::open(programs.join(name))?;
        let size = file.metadata()?.len();
        archive.append_data(&mut header(EntryType::Regular, 0o755, size), format!("usr/bin/{name}"), &mut file)?;
    }
    let list = image_list(images);
    let mut head = header(EntryType::Regular, 0o644, list.len() as u64);
    archive.append_data(&mut head, "usr/lib/skiff/images.txt", list.as_bytes())?;
    // The agent also runs outside of pods; its image holds the one copy.
    let target = format!("/usr/lib/skiff/layers/{}/fs/skiff-agent", agent.layer);
    archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), "usr/lib/skiff/skiff-agent", target)?;
    archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

/// The images of a node, as its scripts read them: reference, layer and configuration.
fn image_list(images: &[WrittenImage]) -> String {
    images.iter().fold(String::new(), |mut list, image| {
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{} {} {}", image.reference, image.layer, image.config);
        list
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::Digest;

    fn image(name: &str) -> WrittenImage {
        WrittenImage {
            reference: name.to_owned(),
            path: "/unused".into(),
            layer: Digest::of(b"abc"),
            config: Digest::of(b""),
        }
    }

    #[test]
    fn the_image_list_has_one_line_of_three_words_each() {
        let list = image_list(&[image("a:1"), image("b:2")]);
        let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split(' ').collect()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[1][0], &lines[1][1][..8], &lines[1][2][..8]), ("b:2", "ba7816bf", "e3b0c442"));
    }

    #[test]
    fn the_agents_program_is_a_link_into_its_layer() {
        let dir = tempfile::tempdir().unwrap();
        for name in NODE_PROGRAMS {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let path = dir.path().join("overlay.tar");
        write(&path, dir.path(), "pause:1", &[], &image("agent:1")).unwrap();
        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        let link = archive
            .entries()
            .unwrap()
            .map(Result::unwrap)
            .find(|entry| entry.path().unwrap() == Path::new("usr/lib/skiff/skiff-agent"))
            .unwrap();
        let target = link.link_name().unwrap().unwrap().display().to_string();
        assert!(target.ends_with("f20015ad/fs/skiff-agent"), "{target}");
    }
}
