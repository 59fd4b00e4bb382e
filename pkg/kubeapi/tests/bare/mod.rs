//! A control plane without nodes: etcd, API server, controller manager and scheduler as processes of
//! this host, on loopback.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use skiff_kubeapi::{
    Access, install_crypto_provider,
    kubeconfig::{Credentials, Entry, merge},
};
use tempfile::TempDir;

/// Names the folder with Kubernetes' programs.
const PROGRAMS: &str = "SKIFF_TEST_KUBERNETES";
/// Names the program etcd.
const ETCD: &str = "SKIFF_TEST_ETCD";

/// The processes; they end and their files go when it is dropped.
pub(crate) struct ControlPlane {
    pub(crate) access: Access,
    folder: TempDir,
    etcd_port: u16,
    port: u16,
    children: Vec<Child>,
}

impl ControlPlane {
    /// Certificates and free ports; nothing runs yet.
    pub(crate) fn prepare() -> Self {
        install_crypto_provider();
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let access = certificates(folder.path(), port);
        Self { access, folder, etcd_port: free_port(), port, children: Vec::new() }
    }

    /// Starts etcd and the API server.
    pub(crate) fn start_api_server(&mut self) {
        let etcd_url = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer_url = format!("http://127.0.0.1:{}", free_port());
        let data = self.path("etcd");
        let etcd = PathBuf::from(std::env::var(ETCD).unwrap_or_else(|_| panic!("{ETCD} does not name etcd")));
        self.spawn(
            &etcd,
            &[
                "--data-dir",
                &data,
                "--listen-client-urls",
                &etcd_url,
                "--advertise-client-urls",
                &etcd_url,
                "--listen-peer-urls",
                &peer_url,
                "--initial-advertise-peer-urls",
                &peer_url,
                "--initial-cluster",
                &format!("default={peer_url}"),
                "--unsafe-no-fsync",
            ],
        );
        let flags = [
            format!("--etcd-servers={etcd_url}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.port),
            format!("--tls-cert-file={}", self.path("server.crt")),
            format!("--tls-private-key-file={}", self.path("server.key")),
            format!("--client-ca-file={}", self.path("ca.crt")),
            format!("--service-account-key-file={}", self.path("sa.pub")),
            format!("--service-account-signing-key-file={}", self.path("sa.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        ];
        self.spawn_program("kube-apiserver", &flags);
    }

    /// Starts the controller manager and the scheduler.
    pub(crate) fn start_controllers(&mut self) {
        let flags = [
            format!("--kubeconfig={}", self.path("kubeconfig")),
            format!("--service-account-private-key-file={}", self.path("sa.key")),
            format!("--root-ca-file={}", self.path("ca.crt")),
            "--use-service-account-credentials=false".to_owned(),
            "--leader-elect=false".to_owned(),
            "--port=0".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        self.spawn_program("kube-controller-manager", &flags);
        self.spawn_program("kube-scheduler", &[&flags[..1], &flags[4..]].concat());
    }

    /// The kubeconfig of an administrator.
    pub(crate) fn kubeconfig(&self) -> String {
        fs::read_to_string(self.path("kubeconfig")).unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn spawn_program(&mut self, name: &str, flags: &[String]) {
        let programs = std::env::var(PROGRAMS).unwrap_or_else(|_| panic!("{PROGRAMS} does not name a folder"));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        self.spawn(&Path::new(&programs).join(name), &flags);
    }

    fn spawn(&mut self, program: &Path, args: &[&str]) {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        self.children.push(child);
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Writes the certificates, the keys and a kubeconfig, and returns what a client needs.
fn certificates(folder: &Path, port: u16) -> Access {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "test");
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority_key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let issue = |names: &[&str], common: &str, usage: ExtendedKeyUsagePurpose| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    let (server, server_key) =
        issue(&["127.0.0.1", "localhost"], "kube-apiserver", ExtendedKeyUsagePurpose::ServerAuth);
    let (certificate, key) = issue(&[], "admin", ExtendedKeyUsagePurpose::ClientAuth);
    let accounts = KeyPair::generate().unwrap();
    write("ca.crt", &ca);
    write("server.crt", &server);
    write("server.key", &server_key);
    write("sa.key", &accounts.serialize_pem());
    write("sa.pub", &accounts.public_key_pem());
    let access = Access { server: format!("https://127.0.0.1:{port}"), ca, certificate, key, tls_server_name: None };
    let entry = Entry {
        name: "bare".to_owned(),
        server: access.server.clone(),
        credentials: Credentials::Embedded {
            ca: access.ca.clone(),
            certificate: access.certificate.clone(),
            key: access.key.clone(),
        },
        version: "0".to_owned(),
    };
    merge(&[folder.join("kubeconfig")], &entry, true).unwrap();
    access
}
