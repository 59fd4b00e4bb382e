//! macOS' DHCP server, as far as its lease file goes.

use std::{
    fmt, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// How long a lease lasts, in seconds.
const TERM: u64 = 86_400;

/// A hardware address.
pub(super) struct Mac([u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets: Vec<String> = self.0.iter().map(|octet| format!("{octet:02x}")).collect();
        f.write_str(&octets.join(":"))
    }
}

/// The hardware address that vmnet makes out of a machine's identity; always the same.
pub(super) fn mac(uuid: u128) -> Mac {
    let [a, b, c, d, e, ..] = number(uuid).to_be_bytes();
    // The first octet says: a single card, with an address of nobody's making.
    Mac([0x02, a, b & 0x0f, c, d, e])
}

/// The address that the machine gets: on the loopback interface, where its ports can be forwarded
/// to without asking anybody.
pub(super) fn address(uuid: u128) -> String {
    let [.., a, b, c] = number(uuid).to_be_bytes();
    format!("127.{}.{}.{}", 64 + a % 64, b, c.clamp(1, 254))
}

fn number(uuid: u128) -> u64 {
    let mut hasher = DefaultHasher::new();
    uuid.hash(&mut hasher);
    hasher.finish()
}

/// Enters a machine into the lease file in bootpd's own way: without leading zeros, the newest
/// first, the machine's older entry dropped, everybody else's left alone.
pub(super) fn enter(file: &Path, name: &str, uuid: u128) -> Result<(), String> {
    let octets: Vec<String> = mac(uuid).0.iter().map(|octet| format!("{octet:x}")).collect();
    let (mac, address) = (octets.join(":"), address(uuid));
    let ends = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()) + TERM;
    let mut text = format!(
        "{{\n\tname={name}\n\tip_address={address}\n\thw_address=1,{mac}\n\tidentifier=1,{mac}\n\tlease=0x{ends:x}\n}}\n"
    );
    let old = fs::read_to_string(file).unwrap_or_default();
    for block in old.split_inclusive("}\n").filter(|block| !block.contains(&format!("hw_address=1,{mac}\n"))) {
        text += block;
    }
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_keeps_its_address_and_has_one_entry() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("leases");
        for (name, uuid) in [("one", 1), ("two", 2), ("one", 1)] {
            enter(&file, name, uuid).expect("entered");
        }
        let text = fs::read_to_string(&file).expect("the file");
        assert_eq!(text.matches("hw_address=1,").count(), 2, "{text}");
        assert!(text.starts_with("{\n\tname=one\n") && text.contains("\tname=two\n"), "{text}");
        assert_ne!((mac(1).to_string(), address(1)), (mac(2).to_string(), address(2)));
    }
}
