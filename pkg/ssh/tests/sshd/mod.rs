//! A real sshd on loopback, with keys and configuration of its own.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use skiff_runner::SshTarget;
use tempfile::TempDir;

/// The server; it ends and its files go when it is dropped.
pub(crate) struct Sshd {
    pub(crate) target: SshTarget,
    folder: TempDir,
    server: Option<Child>,
}

impl Sshd {
    /// A running server.
    pub(crate) fn start() -> Self {
        let mut sshd = Self::prepare();
        sshd.listen();
        sshd
    }

    /// Keys, configuration and a free port, without a server.
    pub(crate) fn prepare() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["host", "user", "stranger"] {
            keygen(&folder.path().join(name));
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        let port = free_port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n\
             # No start-up files of the person who runs the tests.\nSetEnv HOME={}\n",
            path("host"),
            path("user.pub"),
            folder.path().display(),
        );
        fs::write(folder.path().join("sshd_config"), config).unwrap();
        let target = SshTarget {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            user: user_name(),
            key: folder.path().join("user"),
            host_key: fs::read_to_string(folder.path().join("host.pub")).unwrap(),
        };
        Self { target, folder, server: None }
    }

    /// Starts the server.
    pub(crate) fn listen(&mut self) {
        let program = Path::new("/usr/sbin/sshd");
        assert!(program.exists(), "these tests need {}: install the package openssh-server", program.display());
        if rustix::process::geteuid().is_root() {
            // The place where it confines itself; the package's service makes it at boot.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let config = self.folder.path().join("sshd_config");
        let server = Command::new(program).arg("-De").arg("-f").arg(config).stderr(Stdio::null()).spawn().unwrap();
        self.server = Some(server);
    }

    /// A file in the server's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A port nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn keygen(path: &Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .status()
        .expect("these tests need ssh-keygen: install the package openssh-client");
    assert!(status.success());
}

fn user_name() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
