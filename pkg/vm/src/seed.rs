//! What a machine is told before it first starts: pure.
//!
//! A seed is a small disk: one line of 512 bytes with an id, then a tar archive. The machine's initial
//! RAM disk (`deploy/vm/init`) unpacks it over the root whenever the id is another than last time.

use std::{io, net::Ipv4Addr};

use ipnet::Ipv4Net;
use sha2::{Digest, Sha256};
use skiff_driver::{NodeSpec, SeedFile};
use tar::{Builder, EntryType, Header};

use crate::folders;

/// Size of what a disk is read and written in.
const SECTOR: usize = 512;

/// Kernel modules that are there before the node's services start.
const MODULES: &str = include_str!("../../../deploy/vm/modules.txt");

/// How a machine reaches the host and the world behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// By a network interface whose settings are known.
    Fixed {
        /// Its address and net.
        address: Ipv4Net,
        /// Where all else is reached.
        gateway: Ipv4Addr,
        /// Who knows names.
        dns: Ipv4Addr,
    },
    /// By a network interface that asks for its settings.
    Dhcp,
}

/// A seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    files: Vec<SeedFile>,
}

impl Seed {
    /// The seed of a node: its own files, and what a machine needs to know beside them.
    #[must_use]
    pub fn of(spec: &NodeSpec, egress: Egress) -> Self {
        let text = |path: &str, text: String| SeedFile { path: path.to_owned(), mode: 0o644, contents: text.into() };
        let (name, address) = (&spec.name, spec.address);
        let mut files = vec![
            text("/etc/hostname", format!("{name}\n")),
            text("/etc/hosts", format!("127.0.0.1 localhost\n::1 localhost\n{address} {name}\n")),
            text("/etc/skiff/machine.env", environment(spec, egress)),
        ];
        if let Egress::Fixed { dns, .. } = egress {
            files.push(text("/etc/resolv.conf", format!("nameserver {dns}\n")));
        }
        if !spec.mounts.is_empty() {
            files.push(text("/etc/fstab", folders::table(&spec.mounts)));
        }
        files.extend(spec.seed.iter().cloned());
        Self { files }
    }

    /// The disk's bytes.
    ///
    /// # Errors
    /// When a path does not fit an archive.
    pub fn disk(&self) -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for file in &self.files {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(file.mode);
            header.set_size(file.contents.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            archive.append_data(&mut header, file.path.trim_start_matches('/'), file.contents.as_slice())?;
        }
        let archive = archive.into_inner()?;
        let id: String = Sha256::digest(&archive).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let line = format!("skiff-seed {id} ");
        let mut disk = format!("{line:<width$}\n", width = SECTOR - 1).into_bytes();
        disk.extend(archive);
        disk.resize(disk.len().next_multiple_of(SECTOR), 0);
        Ok(disk)
    }
}

/// What the initial RAM disk reads as shell variables.
fn environment(spec: &NodeSpec, egress: Egress) -> String {
    let egress = match egress {
        Egress::Fixed { address, gateway, .. } => format!("EGRESS={address}\nGATEWAY={gateway}\n"),
        Egress::Dhcp => "EGRESS=dhcp\n".to_owned(),
    };
    let prefix = spec.network.subnet.prefix_len();
    let (name, address) = (&spec.name, spec.address);
    format!("HOSTNAME={name}\nADDRESS={address}/{prefix}\n{egress}MODULES=\"{}\"\n", late_modules().join(" "))
}

fn late_modules() -> Vec<&'static str> {
    let word = |line: &'static str| line.strip_prefix("late")?.split_whitespace().next();
    MODULES.lines().filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use skiff_driver::{NodeNetwork, NodeRole, Resources};

    use super::*;

    fn spec() -> NodeSpec {
        let subnet: Ipv4Net = "192.168.105.0/24".parse().unwrap();
        NodeSpec {
            cluster: "dev".parse().unwrap(),
            name: "dev-m02".parse().unwrap(),
            role: NodeRole::Worker,
            image: "key".to_owned(),
            network: NodeNetwork {
                name: "dev".to_owned(),
                subnet,
                gateway: "192.168.105.1".parse().unwrap(),
                ipv6: false,
                mtu: None,
            },
            address: "192.168.105.3".parse().unwrap(),
            resources: Resources::default(),
            published: Vec::new(),
            mounts: Vec::new(),
            seed: vec![SeedFile { path: "/etc/ssh/key".to_owned(), mode: 0o600, contents: b"secret".to_vec() }],
            marks: Default::default(),
        }
    }

    fn fixed() -> Egress {
        let (gateway, dns) = ("198.18.0.2".parse().unwrap(), "198.18.0.3".parse().unwrap());
        Egress::Fixed { address: "198.18.0.15/24".parse().unwrap(), gateway, dns }
    }

    fn files(disk: &[u8]) -> Vec<(String, u32, String)> {
        let mut archive = tar::Archive::new(&disk[SECTOR..]);
        let read = |mut entry: tar::Entry<'_, &[u8]>| {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap(), text)
        };
        archive.entries().unwrap().map(|entry| read(entry.unwrap())).collect()
    }

    #[test]
    fn a_seed_is_a_line_and_an_archive_in_whole_sectors() {
        let disk = Seed::of(&spec(), fixed()).disk().unwrap();
        assert_eq!(disk.len() % SECTOR, 0);
        let line = std::str::from_utf8(&disk[..SECTOR]).unwrap();
        assert!(line.starts_with("skiff-seed ") && line.ends_with(" \n"), "{line:?}");
        let files = files(&disk);
        assert!(files.contains(&("etc/ssh/key".to_owned(), 0o600, "secret".to_owned())), "{files:?}");
        let settings = &files.iter().find(|file| file.0 == "etc/skiff/machine.env").unwrap().2;
        let expected = "HOSTNAME=dev-m02\nADDRESS=192.168.105.3/24\nEGRESS=198.18.0.15/24\nGATEWAY=198.18.0.2\n\
            MODULES=\"overlay br_netfilter nf_conntrack\"\n";
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_machine_that_asks_for_its_address_brings_no_name_server() {
        let files = files(&Seed::of(&spec(), Egress::Dhcp).disk().unwrap());
        assert!(!files.iter().any(|file| file.0 == "etc/resolv.conf"));
    }

    #[test]
    fn another_seed_has_another_id() {
        let id = |spec: &NodeSpec| Seed::of(spec, fixed()).disk().unwrap()[..SECTOR].to_vec();
        let other = NodeSpec { seed: Vec::new(), ..spec() };
        assert_eq!(id(&spec()), id(&spec()));
        assert_ne!(id(&spec()), id(&other));
    }
}
