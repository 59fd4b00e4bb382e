//! What a guest said on its console before it ended.

/// What the machine's first program (`deploy/vm/init`) puts before its words.
const FIRST_PROGRAM: &str = "skiff: ";

/// What it says when all is well.
const PROGRESS: [&str; 3] = ["address ", "machine is up", "probe done"];

/// What Linux says before it gives up.
const PANIC: &str = "Kernel panic - not syncing: ";

/// Why a guest ended: what its first program complained of last, or else what its kernel gave up on.
/// Nothing if neither said anything.
#[must_use]
pub fn last_complaint(console: &str) -> Option<String> {
    let after = |mark| console.lines().filter_map(move |line| line.split_once(mark)).map(|(_, words)| words.trim());
    let is_progress = |words: &&str| PROGRESS.iter().any(|progress| words.starts_with(progress));
    let complaint = after(FIRST_PROGRAM).rfind(|words| !is_progress(words)).map(str::to_owned);
    complaint.or_else(|| after(PANIC).next().map(|words| format!("the kernel gave up: {words}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_ended_said_why() {
        let panic = "[    2.0] Kernel panic - not syncing: no timer!\r\n[    2.1] Call Trace:\r\n\
                     [    2.2] ---[ end Kernel panic - not syncing: no timer! ]---\r\n";
        for (console, why) in [
            ("", None),
            ("Linux version 6\nskiff: address 10.0.0.2\nskiff: machine is up\n", None),
            ("skiff: no module x\nskiff: no root disk\n", Some("no root disk")),
            (panic, Some("the kernel gave up: no timer!")),
            ("skiff: no root disk\nKernel panic - not syncing: init ended\n", Some("no root disk")),
        ] {
            assert_eq!(last_complaint(console).as_deref(), why, "{console}");
        }
    }
}
