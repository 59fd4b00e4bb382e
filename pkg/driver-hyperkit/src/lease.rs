//! The addresses that macOS' DHCP server has given out.
//!
//! vmnet's DHCP server is bootpd, which keeps its leases in `/var/db/dhcpd_leases`: blocks in
//! braces, one `key=value` a line. Its habits, each of which a reader has to know:
//! - octets of a hardware address have no leading zeros, and `1,` (Ethernet) stands before them;
//! - a client that sends an identifier of its own is entered under it (`ff,…`), without any trace
//!   of its hardware address;
//! - a machine may have several entries, in any order: the one that ends last counts;
//! - the file is written in place, so that its last block may be cut off while it is read;
//! - keys that nobody has seen before turn up with new versions of macOS.

use std::net::Ipv4Addr;

use crate::Mac;

/// An address that was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The name that the machine gave as its own.
    pub name: Option<String>,
    /// The address.
    pub address: Ipv4Addr,
    /// The machine's hardware address, unless it sent an identifier in its place.
    pub mac: Option<Mac>,
    /// When it ends, in seconds since 1970.
    pub ends: u64,
}

/// Reads the leases out of the file's text. Whatever makes no sense is left out: one odd entry of
/// another program's machine must not hide ours.
#[must_use]
pub fn parse(text: &str) -> Vec<Lease> {
    let mut leases = Vec::new();
    let mut block: Option<Block<'_>> = None;
    for line in text.lines().map(str::trim) {
        match line {
            // A block that never ended is an entry that was being written.
            "{" => block = Some(Block::default()),
            "}" => leases.extend(block.take().and_then(Block::lease)),
            _ => {
                if let (Some(block), Some((key, value))) = (&mut block, line.split_once('=')) {
                    block.take(key.trim(), value.trim());
                }
            }
        }
    }
    leases
}

/// The entry that counts for a machine: by its hardware address where that is known and entered,
/// else by its name.
#[must_use]
pub fn find<'a>(leases: &'a [Lease], mac: Option<Mac>, name: &str) -> Option<&'a Lease> {
    // Of equals the later one in the file, which was written later.
    let newest =
        |wanted: &dyn Fn(&Lease) -> bool| leases.iter().filter(|lease| wanted(lease)).max_by_key(|lease| lease.ends);
    let by_mac = mac.and_then(|mac| newest(&|lease| lease.mac == Some(mac)));
    // Another card under the same name is another machine.
    let foreign = |lease: &Lease| mac.is_some() && lease.mac.is_some();
    by_mac.or_else(|| newest(&|lease| lease.name.as_deref() == Some(name) && !foreign(lease)))
}

#[derive(Default)]
struct Block<'a> {
    name: Option<&'a str>,
    address: Option<&'a str>,
    hardware: Option<&'a str>,
    ends: Option<&'a str>,
}

impl<'a> Block<'a> {
    fn take(&mut self, key: &str, value: &'a str) {
        match key {
            "name" => self.name = Some(value),
            "ip_address" => self.address = Some(value),
            "hw_address" => self.hardware = Some(value),
            "lease" => self.ends = Some(value),
            _ => {}
        }
    }

    fn lease(self) -> Option<Lease> {
        let mac = self.hardware.and_then(|hardware| hardware.strip_prefix("1,")).and_then(|mac| mac.parse().ok());
        let ends = self.ends.and_then(|ends| match ends.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => ends.parse().ok(),
        });
        Some(Lease {
            name: self.name.map(str::to_owned),
            address: self.address?.parse().ok()?,
            mac,
            // An entry without an end is one that bootpd made for good.
            ends: ends.unwrap_or(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "{
\tname=other
\tip_address=192.168.64.9
\thw_address=1,2:0:0:0:0:1
\tidentifier=1,2:0:0:0:0:1
\tlease=0x65a0a000
}
{
\tname=dev
\tip_address=192.168.64.4
\thw_address=1,86:7:a2:0:f:e1
\tidentifier=1,86:7:a2:0:f:e1
\tlease=0x65a0b000
}
{
\tname=dev
\tip_address=192.168.64.3
\thw_address=1,86:7:a2:0:f:e1
\tlease=0x65a0a111
}
{
\tname=ubuntu
\tip_address=192.168.64.7
\thw_address=ff,f1:f5:dd:7f:0:2:0:0:ab:11:cb:fb:30:b0:97:b6:3a:67
\tidentifier=ff,f1:f5:dd:7f:0:2:0:0:ab:11:cb:fb:30:b0:97:b6:3a:67
\tlease=0x678e2ce7
}
";

    fn address(mac: Option<&str>, name: &str) -> Option<String> {
        let mac = mac.map(|mac| mac.parse().unwrap());
        find(&parse(FILE), mac, name).map(|lease| lease.address.to_string())
    }

    #[test]
    fn the_lease_that_ends_last_counts() {
        assert_eq!(parse(FILE).len(), 4);
        assert_eq!(address(Some("86:07:a2:00:0f:e1"), "dev").as_deref(), Some("192.168.64.4"));
    }

    #[test]
    fn without_a_hardware_address_the_name_leads() {
        assert_eq!(address(None, "dev").as_deref(), Some("192.168.64.4"));
        assert_eq!(address(None, "ubuntu").as_deref(), Some("192.168.64.7"));
        assert_eq!(address(Some("86:07:a2:00:0f:99"), "ubuntu").as_deref(), Some("192.168.64.7"));
        assert_eq!(address(None, "nobody"), None);
    }

    #[test]
    fn a_name_does_not_lead_to_another_card() {
        assert_eq!(address(Some("86:07:a2:00:0f:99"), "dev"), None);
    }

    #[test]
    fn odd_entries_are_left_out() {
        let text = "}\nnonsense\nname=lost\n{\nname=a\nip_address=1.2.3\nlease=0x1\n}\n{\nname=b\nip_address=10.0.0.2\nnew_key=x\n\
                    hw_address=1,zz\nlease=soon\n}\n{\nname=c\nip_address=10.0.0.3\nlea";
        let leases = parse(text);
        let expected =
            Lease { name: Some("b".to_owned()), address: Ipv4Addr::new(10, 0, 0, 2), mac: None, ends: u64::MAX };
        assert_eq!(leases, [expected]);
        assert_eq!(parse(""), []);
    }

    #[test]
    fn a_block_that_was_cut_off_is_replaced_by_the_next() {
        let leases = parse("{\nname=a\nip_address=10.0.0.2\n{\nname=b\nip_address=10.0.0.3\nlease=7\n}\n");
        assert_eq!(leases.len(), 1);
        assert_eq!((leases[0].name.as_deref(), leases[0].ends), (Some("b"), 7));
    }
}
