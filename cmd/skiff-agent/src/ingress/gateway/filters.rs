//! From filters to policies.

use http::{HeaderName, HeaderValue, StatusCode};

use super::objects::{Filter, HeaderModifier, PathFilter, RedirectFilter};
use crate::ingress::policy::{HeaderEdits, PathChange, Policy, Redirect, Rewrite};

/// What filters ask for. `prefix` is the path that a rule matched by.
pub(super) fn policy(filters: &[Filter], prefix: &str) -> Result<Policy, String> {
    let mut policy = Policy::default();
    for filter in filters {
        match filter.r#type.as_str() {
            "RequestHeaderModifier" => policy.request_headers = edits(filter.request_header_modifier.as_ref())?,
            "ResponseHeaderModifier" => policy.response_headers = edits(filter.response_header_modifier.as_ref())?,
            "RequestRedirect" => {
                policy.redirect = filter.request_redirect.as_ref().map(|wish| redirect(wish, prefix)).transpose()?;
            }
            "URLRewrite" => {
                let Some(wish) = &filter.url_rewrite else { continue };
                policy.rewrite = wish.path.as_ref().map(|path| change(path, prefix)).transpose()?.map(Rewrite::Change);
                policy.upstream_host = match &wish.hostname {
                    Some(host) => Some(HeaderValue::from_str(host).map_err(|_| format!("{host:?} is no host"))?),
                    None => None,
                };
            }
            // Copies go to backends, which are found elsewhere.
            "RequestMirror" if filter.request_mirror.is_some() => {}
            other => return Err(format!("the filter {other} is not supported")),
        }
    }
    Ok(policy)
}

fn edits(wish: Option<&HeaderModifier>) -> Result<HeaderEdits, String> {
    let name = |text: &str| text.parse::<HeaderName>().map_err(|_| format!("{text:?} is no name of a header"));
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| format!("{text:?} is no value of a header"));
    let Some(wish) = wish else { return Ok(HeaderEdits::default()) };
    let pairs = |headers: &[super::objects::Header]| {
        headers.iter().map(|header| Ok((name(&header.name)?, value(&header.value)?))).collect::<Result<_, String>>()
    };
    Ok(HeaderEdits {
        set: pairs(&wish.set)?,
        add: pairs(&wish.add)?,
        remove: wish.remove.iter().map(|text| name(text)).collect::<Result<_, _>>()?,
    })
}

fn redirect(wish: &RedirectFilter, prefix: &str) -> Result<Redirect, String> {
    let code = wish.status_code.unwrap_or(302);
    let status = StatusCode::from_u16(code).ok().filter(StatusCode::is_redirection);
    Ok(Redirect::Replace {
        status: status.ok_or_else(|| format!("{code} is no status of a redirection"))?,
        scheme: wish.scheme.clone(),
        host: wish.hostname.clone(),
        port: wish.port,
        path: wish.path.as_ref().map(|path| change(path, prefix)).transpose()?,
    })
}

fn change(wish: &PathFilter, prefix: &str) -> Result<PathChange, String> {
    match (wish.r#type.as_str(), &wish.replace_full_path, &wish.replace_prefix_match) {
        ("ReplaceFullPath", Some(path), _) => Ok(PathChange::Full(path.clone())),
        ("ReplacePrefixMatch", _, Some(to)) => {
            Ok(PathChange::Prefix { from: prefix.trim_end_matches('/').to_owned(), to: to.clone() })
        }
        (other, ..) => Err(format!("the change of a path by {other:?} makes no sense")),
    }
}
