use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use super::*;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

fn client(authority: &Authority, name: &str, group: Option<&str>) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.signed_by(&KeyPair::generate().unwrap(), &authority.issuer).unwrap().der().clone()
}

fn data(proxy: &Authority, clients: &Authority) -> BTreeMap<String, String> {
    let mut data: BTreeMap<String, String> = [
        ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    data.insert(PROXY_CA.to_owned(), proxy.pem.clone());
    data.insert(CLIENT_CA.to_owned(), clients.pem.clone());
    data
}

fn trust(data: &BTreeMap<String, String>) -> Result<Trust, TrustError> {
    let own = rcgen::generate_simple_self_signed(["here".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    Trust::new(data, own.cert.der(), &key)
}

fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn only_the_api_server_may_speak_for_others() {
    let (proxy, clients) = (authority("proxy"), authority("clients"));
    let trust = trust(&data(&proxy, &clients)).unwrap();
    assert!(trust.knows_the_api_server());
    let claims = headers(&[
        ("x-remote-user", "ann"),
        ("x-remote-group", "dev"),
        ("x-remote-group", "ops"),
        ("x-remote-extra-scopes", "all"),
    ]);
    let server = client(&proxy, "front-proxy-client", None);
    let Caller::ApiServer(user) = trust.caller(Some(std::slice::from_ref(&server)), &claims) else {
        panic!("not believed")
    };
    assert_eq!((user.name.as_str(), user.groups), ("ann", vec!["dev".to_owned(), "ops".to_owned()]));
    assert_eq!(user.extra["scopes"], ["all"]);
    // Headers of anybody else mean nothing: not with another name, another authority, or no certificate.
    assert_eq!(trust.caller(Some(&[client(&proxy, "somebody", None)]), &claims), Caller::Nobody);
    let person = client(&clients, "front-proxy-client", Some("team"));
    let Caller::Certificate(user) = trust.caller(Some(&[person]), &claims) else { panic!("not a person") };
    assert_eq!((user.name.as_str(), user.groups), ("front-proxy-client", vec!["team".to_owned()]));
    assert_eq!(trust.caller(None, &claims), Caller::Nobody);
    // The API server itself has to name somebody.
    assert_eq!(trust.caller(Some(&[server]), &HeaderMap::new()), Caller::Nobody);
}

#[test]
fn certificates_of_strangers_count_for_nothing() {
    let (proxy, clients) = (authority("proxy"), authority("clients"));
    let trust = trust(&data(&proxy, &clients)).unwrap();
    let stranger = client(&authority("clients"), "admin", Some("system:masters"));
    assert_eq!(trust.caller(Some(&[stranger]), &HeaderMap::new()), Caller::Nobody);
}

#[test]
fn tokens_are_taken_as_they_come() {
    let trust = trust(&BTreeMap::new()).unwrap();
    assert!(!trust.knows_the_api_server());
    let token = |value| trust.caller(None, &headers(&[("authorization", value)]));
    assert_eq!(token("Bearer abc.def"), Caller::Token("abc.def".to_owned()));
    assert_eq!(token("bearer  abc"), Caller::Token("abc".to_owned()));
    for none in ["Bearer ", "Basic YTpi", "abc"] {
        assert_eq!(token(none), Caller::Nobody, "{none}");
    }
}

#[test]
fn nonsense_in_the_config_map_is_named() {
    let (proxy, clients) = (authority("proxy"), authority("clients"));
    for (field, value) in [
        (PROXY_CA, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"),
        ("requestheader-allowed-names", "front-proxy-client"),
    ] {
        let mut data = data(&proxy, &clients);
        data.insert(field.to_owned(), value.to_owned());
        assert!(trust(&data).unwrap_err().to_string().contains(field), "{field}");
    }
}
