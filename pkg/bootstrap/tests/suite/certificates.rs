//! The certificates, read back by another library and by ssh's own tools.

use std::{
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use skiff_bootstrap::{
    Role,
    pki::{Authority, Certificate, ClusterPki, NodeCertificates, Pair, Sans, SshKey, Validity},
};
use x509_parser::{
    pem::parse_x509_pem,
    prelude::{FromDer as _, X509Certificate},
};

use crate::{fixture, fixture::Flavour};

/// 2026-11-22, noon.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_348_800)
}

/// Looks at a certificate and at the one that signed it.
fn inspect<T>(certificate: &str, authority: &str, look: impl Fn(&X509Certificate<'_>) -> T) -> T {
    let (leaf, issuer) = (der(certificate), der(authority));
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let (_, issuer) = X509Certificate::from_der(&issuer).unwrap();
    leaf.verify_signature(Some(issuer.public_key())).expect("signed by its authority");
    assert_eq!(leaf.issuer(), issuer.subject());
    look(&leaf)
}

fn der(pem: &str) -> Vec<u8> {
    parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

fn pki(flavour: Flavour) -> (ClusterPki, std::collections::BTreeMap<&'static str, String>) {
    let cluster = fixture::cluster(29, flavour);
    let node = fixture::node(&cluster, Role::FirstControlPlane, flavour);
    let pki = ClusterPki::generate(&cluster, now()).unwrap();
    let leaves = NodeCertificates::issue(&cluster, &node, &pki, now()).unwrap();
    let files = leaves.to_files().into_iter().chain(pki.to_files()).map(|file| (file.path, file.text)).collect();
    (pki, files)
}

#[test]
fn each_leaf_has_the_subject_and_the_uses_its_bearer_needs() {
    let (_, files) = pki(Flavour::Default);
    // (certificate, authority, subject, serves, is a client)
    let table = [
        ("apiserver.crt", "ca.crt", "CN=kube-apiserver", true, false),
        (
            "apiserver-kubelet-client.crt",
            "ca.crt",
            "O=kubeadm:cluster-admins, CN=kube-apiserver-kubelet-client",
            false,
            true,
        ),
        ("apiserver-etcd-client.crt", "etcd/ca.crt", "CN=kube-apiserver-etcd-client", false, true),
        ("front-proxy-client.crt", "front-proxy-ca.crt", "CN=front-proxy-client", false, true),
        ("etcd/server.crt", "etcd/ca.crt", "CN=demo", true, true),
        ("etcd/peer.crt", "etcd/ca.crt", "CN=demo", true, true),
        ("etcd/healthcheck-client.crt", "etcd/ca.crt", "CN=kube-etcd-healthcheck-client", false, true),
    ];
    for (certificate, authority, subject, serves, client) in table {
        inspect(&files[certificate], &files[authority], |x509| {
            assert_eq!(x509.subject().to_string(), subject, "{certificate}");
            let uses = x509.extended_key_usage().unwrap().unwrap().value;
            assert_eq!((uses.server_auth, uses.client_auth), (serves, client), "{certificate}");
            assert!(!x509.is_ca(), "{certificate}");
        });
    }
    assert!(files["sa.pub"].starts_with("-----BEGIN PUBLIC KEY-----"));
}

#[test]
fn before_1_29_the_api_server_is_in_the_masters_group() {
    let cluster = fixture::cluster(28, Flavour::Default);
    let node = fixture::node(&cluster, Role::FirstControlPlane, Flavour::Default);
    let pki = ClusterPki::generate(&cluster, now()).unwrap();
    let files = NodeCertificates::issue(&cluster, &node, &pki, now()).unwrap().to_files();
    let client = files.iter().find(|file| file.path == "apiserver-kubelet-client.crt").unwrap();
    inspect(&client.text, pki.ca.certificate(), |x509| {
        assert_eq!(x509.subject().to_string(), "O=system:masters, CN=kube-apiserver-kubelet-client");
    });
}

#[test]
fn authorities_sign_and_last_ten_years_leaves_as_long_as_asked() {
    let (_, files) = pki(Flavour::Rich);
    let years_10 = now() + Duration::from_hours(87_600);
    for name in ["ca.crt", "front-proxy-ca.crt", "etcd/ca.crt"] {
        inspect(&files[name], &files[name], |x509| assert!(x509.is_ca(), "{name}"));
        assert_eq!(Certificate::parse(name, &files[name]).unwrap().expires(), years_10);
    }
    let leaf = Certificate::parse("leaf", &files["apiserver.crt"]).unwrap();
    assert_eq!(leaf.expires(), now() + Duration::from_hours(48));
}

#[test]
fn renewal_is_due_before_the_end_and_while_the_clock_is_behind() {
    let (_, files) = pki(Flavour::Rich);
    let leaf = Certificate::parse("leaf", &files["apiserver.crt"]).unwrap();
    let (day, hour) = (Duration::from_hours(24), Duration::from_hours(1));
    assert!(!leaf.needs_renewal(now(), day));
    assert!(leaf.needs_renewal(now() + day, day), "it ends in a day");
    assert!(leaf.needs_renewal(now() + 3 * day, Duration::ZERO), "it has ended");
    assert!(!leaf.needs_renewal(now() - hour, Duration::ZERO), "clocks may differ by an hour");
    assert!(leaf.needs_renewal(now() - 2 * hour, Duration::ZERO), "not good yet");
    // What cannot be made anew is good wherever the clock is set.
    let ca = Certificate::parse("ca", &files["ca.crt"]).unwrap();
    assert!(!ca.needs_renewal(now() - 365 * day, Duration::ZERO) && !ca.needs_renewal(now() + 365 * day, day));
}

#[test]
fn the_api_server_is_known_by_all_its_names() {
    let (_, files) = pki(Flavour::Rich);
    let leaf = Certificate::parse("apiserver.crt", &files["apiserver.crt"]).unwrap();
    let cluster = fixture::cluster(29, Flavour::Rich);
    let node = fixture::node(&cluster, Role::FirstControlPlane, Flavour::Rich);
    let sans = Sans::of_api_server(&cluster, &node);
    assert!(leaf.covers(&sans));
    for name in
        ["kubernetes.default.svc.corp.example", "*.dev.example.org", "control-plane.skiff.internal", "localhost"]
    {
        assert!(sans.names.iter().any(|present| present == name), "{name}");
    }
    for ip in ["172.20.0.1", "192.168.76.2", "127.0.0.1", "203.0.113.7", "2001:db8::7"] {
        assert!(sans.ips.contains(&ip.parse().unwrap()), "{ip}");
    }
    let mut more = sans;
    more.names.push("another.example.org".to_owned());
    assert!(!leaf.covers(&more), "an added name calls for a new certificate");
}

#[test]
fn a_stored_pki_issues_what_its_own_authorities_verify() {
    let (pki, files) = pki(Flavour::Default);
    let read = |path: &str| files.get(path).cloned();
    let stored = ClusterPki::from_files(read).unwrap();
    assert_eq!(stored, pki);
    let cluster = fixture::cluster(29, Flavour::Default);
    let user = stored.issue_user(&cluster, now()).unwrap();
    inspect(&user.certificate, &files["ca.crt"], |x509| {
        assert_eq!(x509.subject().to_string(), "O=system:masters, CN=skiff-user");
    });
}

#[test]
fn certificates_issued_again_differ_in_key_and_serial() {
    let cluster = fixture::cluster(29, Flavour::Default);
    let (pki, _) = pki(Flavour::Default);
    let serial = |pair: &Pair| inspect(&pair.certificate, pki.ca.certificate(), |x509| x509.raw_serial().to_vec());
    let (one, other) = (pki.issue_user(&cluster, now()).unwrap(), pki.issue_user(&cluster, now()).unwrap());
    assert_ne!(one.key, other.key);
    assert_ne!(serial(&one), serial(&other));
}

#[test]
fn a_damaged_store_is_named_by_file() {
    let (_, files) = pki(Flavour::Default);
    let other = Authority::generate("kubernetes", Validity::new(now(), Duration::from_hours(1))).unwrap();
    // (file, what it holds instead, message)
    let table = [
        ("ca.crt", None, "ca.crt is not readable: it is not there"),
        ("ca.crt", Some("garbage"), "ca.crt is not readable: not PEM"),
        ("etcd/ca.key", Some("garbage"), "etcd/ca.crt is not readable: its key is not a PKCS #8 key in PEM"),
        (
            "ca.key",
            Some(other.pair().key.as_str()),
            "ca.crt is not readable: certificate and key do not belong together",
        ),
        ("sa.key", Some(""), "sa.key is not readable: not a PKCS #8 key in PEM"),
    ];
    for (file, instead, message) in table {
        let read = |path: &str| {
            if path == file { instead.map(str::to_owned) } else { files.get(path).cloned() }
        };
        assert_eq!(ClusterPki::from_files(read).unwrap_err().to_string(), message);
    }
}

#[test]
fn ssh_keys_are_the_same_for_the_same_seed_only() {
    let key = SshKey::from_seed(&[7; 32], "demo").unwrap();
    assert_eq!(key, SshKey::from_seed(&[7; 32], "demo").unwrap());
    assert_ne!(key, SshKey::generate("demo").unwrap());
    assert!(key.public().starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"), "{}", key.public());
    assert!(key.public().ends_with(" demo"));
    assert!(!format!("{key:?}").contains("PRIVATE"));
}

#[test]
fn ssh_keygen_reads_our_keys() {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        return; // No ssh on this machine; others check it.
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let keygen = |args: &[&str]| {
        let output = Command::new("ssh-keygen").args(args).arg("-f").arg(&file).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // Comments of different lengths need different padding.
    for comment in ["", "a", "demo", "skiff cluster demo", "12345678"] {
        let key = SshKey::generate(comment).unwrap();
        std::fs::write(&file, key.private()).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(keygen(&["-y"]).trim_end(), key.public().trim_end(), "the public key, from the private one");
        let fingerprint = keygen(&["-l"]);
        assert!(fingerprint.starts_with("256 SHA256:") && fingerprint.contains("(ED25519)"), "{fingerprint}");
    }
}
