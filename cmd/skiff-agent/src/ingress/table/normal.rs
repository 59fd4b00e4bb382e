//! Hosts and paths in the one form that routes are compared with.

use std::borrow::Cow;

/// The path as the backend will understand it: escapes of plain characters undone, `.`, `..` and empty segments gone.
///
/// Rules about `/admin` must hold for `/a/../admin` and `/%61dmin` too. What is forwarded stays as it was sent.
pub(crate) fn normal_path(path: &str) -> Cow<'_, str> {
    if is_normal(path) {
        return Cow::Borrowed(path);
    }
    let decoded = unescape(path);
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut normal = format!("/{}", segments.join("/"));
    let ends_open = ["/", "/.", "/.."].iter().any(|end| decoded.ends_with(end));
    if ends_open && normal.len() > 1 {
        normal.push('/');
    }
    Cow::Owned(normal)
}

fn is_normal(path: &str) -> bool {
    let mut after_slash = false;
    for byte in path.bytes() {
        match byte {
            b'%' => return false,
            b'/' | b'.' if after_slash => return false,
            _ => after_slash = byte == b'/',
        }
    }
    path.starts_with('/')
}

/// Undoes percent escapes. What is no text afterwards stays escaped.
fn unescape(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let escaped = || u8::from_str_radix(path.get(index + 1..index + 3)?, 16).ok();
        match (byte == b'%').then(escaped).flatten() {
            Some(value) => {
                decoded.push(value);
                index += 3;
            }
            None => {
                decoded.push(byte);
                index += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_backends_take_for_the_same_path_is_the_same_path() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a.b/c..d", "/a.b/c..d"),
            ("//a///b", "/a/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../admin", "/admin"),
            ("/../../etc", "/etc"),
            ("/a/%2e%2E/admin", "/admin"),
            ("/%61dmin%2fx", "/admin/x"),
            ("/%zz%", "/%zz%"),
            ("/%ff", "/%ff"),
            ("/.hidden", "/.hidden"),
            ("*", "/*"),
        ] {
            assert_eq!(normal_path(path), expected, "{path}");
        }
    }
}
