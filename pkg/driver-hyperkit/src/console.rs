//! The machine's console.
//!
//! hyperkit keeps the last 64 KiB of the console in a file that it writes round and round, without
//! a mark where it is, and empties at each start. Whoever looks often enough can tell what is new.

/// Follows a ring that somebody else writes.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    /// The ring as it was last time.
    seen: Vec<u8>,
    /// Where the next byte is expected.
    position: usize,
}

impl Follower {
    /// What was written since the last look. The end of it may be held back where it happens to be
    /// what stood there a round before.
    pub(crate) fn news(&mut self, ring: &[u8]) -> Vec<u8> {
        if self.seen.len() != ring.len() {
            *self = Self { seen: vec![0; ring.len()], position: 0 };
        }
        let length = ring.len();
        let at = |offset: usize| (self.position + offset) % length;
        // Writing is in order, so that everything up to the last change is new.
        let new =
            (0..length).rev().find(|offset| self.seen[at(*offset)] != ring[at(*offset)]).map_or(0, |last| last + 1);
        let news = (0..new).map(|offset| ring[at(offset)]).collect();
        self.position = if length == 0 { 0 } else { at(new) };
        self.seen.copy_from_slice(ring);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring that is written as hyperkit does.
    struct Ring {
        bytes: Vec<u8>,
        next: usize,
    }

    impl Ring {
        fn write(&mut self, text: &str) {
            for byte in text.bytes() {
                self.bytes[self.next] = byte;
                self.next = (self.next + 1) % self.bytes.len();
            }
        }
    }

    #[test]
    fn what_is_new_is_found_over_the_end_of_the_ring() {
        let mut ring = Ring { bytes: vec![0; 16], next: 0 };
        let mut follower = Follower::default();
        let mut all = String::new();
        for text in ["booting", " linux", "", " now and on", "ward", "!"] {
            ring.write(text);
            all += &String::from_utf8(follower.news(&ring.bytes)).unwrap();
        }
        assert_eq!(all, "booting linux now and onward!");
    }

    #[test]
    fn a_machine_that_starts_again_begins_a_new_ring() {
        let mut follower = Follower::default();
        assert_eq!(follower.news(b"one\0\0\0"), b"one");
        assert_eq!(follower.news(b""), b"");
        assert_eq!(follower.news(b"two\0\0\0"), b"two");
    }
}
