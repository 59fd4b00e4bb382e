//! Annotations about requests from other origins.

use http::HeaderValue;

use super::{Reader, header_or, values};
use crate::ingress::policy::Cors;

const METHODS: &str = "GET, PUT, POST, DELETE, PATCH, OPTIONS";
const HEADERS: &str = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,\
                       Authorization";
/// Twenty days.
const MAX_AGE: &str = "1728000";

/// What the annotations say, if they switch it on.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Cors> {
    let on = reader.flag("enable-cors").unwrap_or(false);
    let origins = reader.text("cors-allow-origin").unwrap_or("*");
    let number = |text: &str| match text.parse::<u32>() {
        Ok(_) => values::header(text),
        Err(_) => Err("is no number of seconds".to_owned()),
    };
    let cors = Cors {
        origins: values::list(origins).map(str::to_owned).collect(),
        methods: reader.value("cors-allow-methods", values::header).unwrap_or(HeaderValue::from_static(METHODS)),
        headers: reader.value("cors-allow-headers", values::header).unwrap_or_else(|| header_or(HEADERS, "*")),
        expose: reader.value("cors-expose-headers", values::header),
        credentials: reader.flag("cors-allow-credentials").unwrap_or(true),
        max_age: reader.value("cors-max-age", number).unwrap_or(HeaderValue::from_static(MAX_AGE)),
    };
    on.then_some(cors)
}
