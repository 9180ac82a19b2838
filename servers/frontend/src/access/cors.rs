//! What a browser needs to be told before it lets a page use this server (CORS). Only for pages
//! of origins that are listed; others never get here.

use hyper::header::{self, HeaderMap, HeaderValue};

/// How long a browser may remember what it was told, in seconds.
const REMEMBER_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// Lets a page of this origin read the answer.
pub(crate) fn let_read(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    // Caches must not give one page's answer to another.
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
}

/// Lets a page send the requests of the protocol.
pub(crate) fn let_ask(headers: &mut HeaderMap) {
    let methods = HeaderValue::from_static("GET, HEAD, POST");
    let names = HeaderValue::from_static("content-type, authorization");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBER_SECONDS);
}
