//! A stand-in for hyperkit: its command line, its files and its way to end, over QEMU.
//!
//! It takes the flags that hyperkit takes and no others, keeps a console ring and a pid file as
//! hyperkit does, enters its guest into a lease file as macOS' DHCP server would, and presses the
//! guest's power button when it is asked to end. The guest itself runs in QEMU, without
//! acceleration and with user-mode networking.
//!
//! What differs from the real thing is set in the environment:
//! - `STANDIN_LEASES`: the lease file, in place of `/var/db/dhcpd_leases`;
//! - `STANDIN_GUEST=none`: no guest at all, only a process that looks like one;
//! - `STANDIN_PRINTS_NO_MAC`: a build that does not know `-M`.

mod arguments;
mod bootpd;
mod guest;

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use arguments::{Asked, Machine};

/// What the stand-in is told besides its command line.
#[derive(Debug, Clone)]
struct Surroundings {
    leases: PathBuf,
    has_guest: bool,
    prints_mac: bool,
}

impl Surroundings {
    fn read() -> Self {
        let word = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            leases: word("STANDIN_LEASES").map_or_else(|| PathBuf::from("/var/db/dhcpd_leases"), PathBuf::from),
            has_guest: word("STANDIN_GUEST").is_none_or(|guest| guest != "none"),
            prints_mac: word("STANDIN_PRINTS_NO_MAC").is_none(),
        }
    }
}

/// What hyperkit's `main` does.
#[must_use]
pub fn main(words: Vec<String>) -> ExitCode {
    if let [word, hypervisor, emulator] = &words[..]
        && word == guest::WATCH
    {
        return guest::watch(hypervisor, emulator);
    }
    let surroundings = Surroundings::read();
    let ended = arguments::parse(words, surroundings.prints_mac).and_then(|asked| match asked {
        Asked::Version => say("hyperkit: 0.0.0-standin\n\nHomepage: none\nLicense: none\n"),
        Asked::Mac(uuid) => say(&format!("MAC: {}\n", bootpd::mac(uuid))),
        Asked::Run(machine) => run(&machine, &surroundings),
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

fn run(machine: &Machine, surroundings: &Surroundings) -> Result<(), String> {
    let _pid_file = machine.pid_file.as_deref().map(PidFile::make).transpose()?;
    let console = guest::Console::open(machine)?;
    guest::run(machine, surroundings, console)
}

/// hyperkit's pid file: refused if it exists, removed when hyperkit ends by itself.
struct PidFile(PathBuf);

impl PidFile {
    fn make(path: &Path) -> Result<Self, String> {
        let made = fs::OpenOptions::new().write(true).create_new(true).open(path);
        let written = made.and_then(|mut file| write!(file, "{}", std::process::id()));
        written.map_err(|_| "Failed to set up pidfile\npidfile error -1".to_owned())?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
