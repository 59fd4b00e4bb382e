//! Whether a process that left a trace is still the one that runs.

use std::fs;

use rustix::process::{Pid, test_kill_process};

/// True while a process of this number exists.
pub(crate) fn exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // Not being allowed to signal it means that it is there.
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// When a process started, in the kernel's ticks: with the number, its identity. Absent where there
/// is no /proc.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in parentheses and may hold anything; field 22 counts from before it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_exists_and_the_idle_one_does_not() {
        assert!(exists(std::process::id()));
        assert!(!exists(0) && !exists(u32::MAX));
    }

    #[test]
    fn start_times_are_stable() {
        let me = std::process::id();
        assert_eq!(start_time(me), start_time(me));
        assert_eq!(start_time(u32::MAX), None);
    }
}
