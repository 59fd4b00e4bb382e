//! Tables of annotations and what they mean.

use super::*;

fn wishes(pairs: &[(&str, &str)]) -> Wishes {
    let all = pairs.iter().map(|(key, value)| {
        let key = if key.contains('/') { (*key).to_owned() } else { format!("nginx.ingress.kubernetes.io/{key}") };
        (key, (*value).to_owned())
    });
    read(&all.collect())
}

#[test]
fn values_are_read_with_their_units() {
    for (text, bytes) in
        [("8m", Some(8 << 20)), ("1G", Some(1 << 30)), ("512k", Some(512 << 10)), ("7", Some(7)), ("0", None)]
    {
        let wishes = wishes(&[("proxy-body-size", text)]);
        assert_eq!((wishes.policy.body_limit, wishes.problems.len()), (bytes, 0), "{text}");
    }
    for (text, seconds) in [("5", 5), ("7s", 7), ("2m", 120), ("999999999999", 24 * 365 * 3600)] {
        let found = wishes(&[("proxy-read-timeout", text)]).policy.timeouts;
        assert_eq!((found.read.as_secs(), found.idle), (seconds, found.read), "{text}");
    }
    for (text, protocol) in [("HTTPS", Protocol::Https), ("grpc", Protocol::H2c), ("GRPCS", Protocol::H2)] {
        assert_eq!(wishes(&[("backend-protocol", text)]).protocol, Some(protocol), "{text}");
    }
}

#[test]
fn nonsense_is_told_and_left_out() {
    for (key, value) in [
        ("proxy-body-size", "much"),
        ("proxy-body-size", "99999999999999999999g"),
        ("proxy-read-timeout", "0"),
        ("proxy-read-timeout", "-1"),
        ("ssl-redirect", "perhaps"),
        ("backend-protocol", "FCGI"),
        ("app-root", "no-slash"),
        ("permanent-redirect-code", "200"),
        ("canary-weight", "half"),
        ("upstream-vhost", "two\nlines"),
        ("affinity", "ip"),
        ("session-cookie-name", "a=b"),
        ("made-up", "x"),
    ] {
        let wishes = wishes(&[(key, value)]);
        assert_eq!(wishes.problems.len(), 1, "{key}: {value}: {:?}", wishes.problems);
        assert!(!wishes.refuse, "{key}");
        assert!(wishes.problems[0].contains(key), "{:?}", wishes.problems);
    }
}

#[test]
fn guards_that_are_not_understood_close_the_route() {
    for (key, value) in [
        ("whitelist-source-range", "everybody"),
        ("denylist-source-range", "10.0.0.0/99"),
        ("auth-type", "digest"),
        ("auth-type", "basic"),
        ("auth-url", "https://login.test"),
        ("auth-tls-secret", "default/ca"),
        ("configuration-snippet", "deny all;"),
    ] {
        let wishes = wishes(&[(key, value)]);
        assert!(wishes.refuse, "{key}");
        assert_eq!(wishes.problems.len(), 1, "{:?}", wishes.problems);
    }
}

#[test]
fn our_own_prefix_wins_and_what_others_wrote_is_not_ours() {
    let found = wishes(&[
        ("proxy-body-size", "1m"),
        ("ingress.skiff.dev/proxy-body-size", "2m"),
        ("kubectl.kubernetes.io/last-applied-configuration", "{}"),
        ("proxy-buffering", "off"),
    ]);
    assert_eq!((found.policy.body_limit, found.problems.len()), (Some(2 << 20), 0));
}

#[test]
fn tls_hosts_are_redirected_unless_it_is_switched_off() {
    assert!(wishes(&[]).ssl_redirect && !wishes(&[]).policy.https_only);
    assert!(!wishes(&[("ssl-redirect", "false")]).ssl_redirect);
    assert!(wishes(&[("force-ssl-redirect", "true")]).policy.https_only);
}
