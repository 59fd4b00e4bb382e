//! Whether a process that left a trace is still the one that runs.

use std::{fmt, fs, str::FromStr};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// A process for good: its number alone is given to others when it is gone.
///
/// Written as text it can be kept in files and labels, and read again by another process, even on
/// another host: then nobody can tell whether it is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in the kernel's ticks.
    started: Option<u64>,
    place: Place,
}

/// Where numbers of processes mean the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    /// The host.
    machine: String,
    /// Its life since it was switched on.
    boot: String,
    /// The namespace of process numbers: a container has its own.
    namespace: String,
}

impl Place {
    fn here() -> Self {
        let word = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let digits = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
        Self { machine: word("/etc/machine-id"), boot: word("/proc/sys/kernel/random/boot_id"), namespace: digits }
    }
}

impl Process {
    /// The process that has a number now; `None` if there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        exists(pid).then(|| Self { pid, started: start_time(pid), place: Place::here() })
    }

    /// This process.
    #[must_use]
    pub fn me() -> Self {
        let pid = std::process::id();
        Self { pid, started: start_time(pid), place: Place::here() }
    }

    /// Whether it runs; `None` if that cannot be told from here.
    #[must_use]
    pub fn is_alive(&self) -> Option<bool> {
        self.is_alive_at(&Place::here())
    }

    fn is_alive_at(&self, here: &Place) -> Option<bool> {
        if self.place.machine != here.machine {
            return None;
        }
        if self.place.boot != here.boot {
            // Nothing outlives a reboot.
            return Some(false);
        }
        if self.place.namespace != here.namespace {
            return None;
        }
        Some(exists(self.pid) && (self.started.is_none() || start_time(self.pid) == self.started))
    }

    /// Asks it to end; nothing happens if it is gone.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.is_alive() == Some(true)) {
            // It may have ended by itself since.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { machine, boot, namespace } = &self.place;
        let started = self.started.map(|ticks| ticks.to_string()).unwrap_or_default();
        write!(f, "{}:{started}:{namespace}:{boot}:{machine}", self.pid)
    }
}

/// Text that [`Process`] did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a process")]
pub struct NotAProcess;

impl FromStr for Process {
    type Err = NotAProcess;

    fn from_str(text: &str) -> Result<Self, NotAProcess> {
        let parts: Vec<&str> = text.split(':').collect();
        let [pid, started, namespace, boot, machine] = parts[..] else { return Err(NotAProcess) };
        let started = match started {
            "" => None,
            ticks => Some(ticks.parse().map_err(|_| NotAProcess)?),
        };
        let place = Place { machine: machine.to_owned(), boot: boot.to_owned(), namespace: namespace.to_owned() };
        Ok(Self { pid: pid.parse().map_err(|_| NotAProcess)?, started, place })
    }
}

/// True while a process of this number exists.
pub(crate) fn exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    // Not being allowed to signal it means that it is there.
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// When a process started, in the kernel's ticks: with the number, its identity. Absent where there
/// is no /proc, and for one that has ended and that nobody has buried: it does nothing any more.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in parentheses and may hold anything; fields 3 and 22 count from before it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let alive = !matches!(fields.next()?, "Z" | "X");
    fields.nth(18)?.parse().ok().filter(|_| alive)
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

    #[test]
    fn one_that_ended_is_not_alive_though_nobody_has_buried_it() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert_eq!(process.is_alive(), Some(true));
        drop(child.stdin.take());
        // Its end of the pipe is closed when it ends; it stays unburied until `wait`.
        while process.is_alive() == Some(true) {
            std::thread::yield_now();
        }
        assert!(exists(child.id()));
        child.wait().unwrap();
    }

    #[test]
    fn a_process_survives_being_written_down() {
        let me = Process::me();
        assert_eq!(me.to_string().parse(), Ok(me.clone()));
        assert_eq!(me.is_alive(), Some(true));
        assert_eq!(Process::of(u32::MAX), None);
        for bad in ["", "1", "x:1:2:3:4", "1:x:2:3:4", "1:2:3:4:5:6"] {
            assert_eq!(bad.parse::<Process>(), Err(NotAProcess), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_seen_from_here_is_neither_alive_nor_dead() {
        let me = Process::me();
        let at = |change: fn(&mut Place)| {
            let mut here = Place::here();
            change(&mut here);
            me.is_alive_at(&here)
        };
        assert_eq!(at(|here| here.machine += "x"), None, "another host");
        assert_eq!(at(|here| here.namespace += "1"), None, "another container");
        assert_eq!(at(|here| here.boot += "x"), Some(false), "rebooted since");
        let recycled = Process { started: me.started.map(|ticks| ticks + 1), ..me.clone() };
        assert_eq!(recycled.is_alive(), Some(false), "the number is another's now");
    }
}
