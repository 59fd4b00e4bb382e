//! Whose process it is.

use std::{fs, process::Command};

/// Whether a process was started with a word on its command line. The identity of a machine is
/// there, and nowhere else: a number that went to another program is not taken for the machine, also
/// where the system does not tell when a process started.
pub(crate) fn carries(pid: u32, word: &str) -> bool {
    match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(words) => words.split(|byte| *byte == 0).any(|found| found == word.as_bytes()),
        Err(_) => {
            let output = Command::new("/bin/ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
            output.is_ok_and(|output| {
                String::from_utf8_lossy(&output.stdout).split_whitespace().any(|found| found == word)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_words() {
        let mut child = Command::new("sleep").args(["60.125"]).spawn().unwrap();
        // The words are there once the program was loaded.
        while !carries(child.id(), "60.125") {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(!carries(child.id(), "60"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!carries(child.id(), "60.125"));
    }
}
