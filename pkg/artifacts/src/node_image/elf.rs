//! Whether a program runs without libraries. Inside its image the agent finds none.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// Program header type of the path of a dynamic loader.
const PT_INTERP: u32 = 3;

/// Length of a header of a 64-bit file, and of one of its program headers.
const HEADER: usize = 64;
const PROGRAM_HEADER: u16 = 56;

/// Fails unless the file is a 64-bit little-endian ELF program that asks for no dynamic loader.
///
/// # Errors
/// When it cannot be read, or is something else.
pub(super) fn require_static(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut head = [0; HEADER];
    let refused = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    if file.read_exact(&mut head).is_err() || head[..6] != *b"\x7fELF\x02\x01" {
        return refused("it is no 64-bit Linux program");
    }
    let [offset, ..] = head[32..40].as_chunks::<8>().0 else { return refused("its header is cut off") };
    let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let (size, count) = (half(54), half(56));
    if size < PROGRAM_HEADER {
        return refused("its program headers are too short");
    }
    file.seek(SeekFrom::Start(u64::from_le_bytes(*offset)))?;
    let mut headers = vec![0; usize::from(size) * usize::from(count)];
    file.read_exact(&mut headers)?;
    if headers.chunks(usize::from(size)).any(|header| header[..4] == PT_INTERP.to_le_bytes()) {
        return refused("it is linked dynamically, and its image holds no libraries");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that consists of headers only.
    fn elf(types: &[u32]) -> tempfile::NamedTempFile {
        let mut bytes = vec![0; HEADER];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(types.len()).unwrap();
        for kind in types {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn a_program_without_loader_is_static() {
        require_static(elf(&[1, 2]).path()).unwrap();
    }

    #[test]
    fn a_program_with_a_loader_is_refused() {
        let error = require_static(elf(&[1, PT_INTERP]).path()).unwrap_err();
        assert!(error.to_string().contains("dynamically"), "{error}");
    }

    #[test]
    fn scripts_and_cut_off_files_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "#!/bin/sh\n").unwrap();
        require_static(file.path()).unwrap_err();
        let cut = elf(&[1]);
        cut.as_file().set_len(80).unwrap();
        require_static(cut.path()).unwrap_err();
    }
}
