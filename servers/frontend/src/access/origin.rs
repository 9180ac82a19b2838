//! Who asks, as a browser tells it: the origin of the page, and the name it knows the server by.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::Authority;

/// The origin of a web page: scheme, host and port, in the one form that two spellings share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// From the value of an `Origin` header. `null`, which browsers send for pages without an
    /// origin of their own, is none.
    #[must_use]
    pub fn from_header(value: &[u8]) -> Option<Self> {
        std::str::from_utf8(value).ok()?.parse().ok()
    }
}

/// The text is not the origin of a web page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not an origin: write scheme, host and port, such as https://example.org:8443")]
pub struct NoOrigin;

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let uri: Uri = text.parse().map_err(|_| NoOrigin)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(NoOrigin);
        };
        // A fragment is lost in parsing.
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.contains('#');
        let (host, port) = host_and_port(authority)
            .filter(|(host, _)| bare && !host.contains('*'))
            .ok_or(NoOrigin)?;
        let scheme = scheme.to_ascii_lowercase();
        let host = host.to_ascii_lowercase();
        let port = match (scheme.as_str(), port) {
            (_, None) | ("http", Some(80)) | ("https", Some(443)) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        Ok(Self(format!("{scheme}://{host}{port}")))
    }
}

/// The host, an IPv6 address in its brackets, and the port if there is one; `None` when there is
/// no host, or more than these two. (The parser passes over a port that is none.)
fn host_and_port(authority: &Authority) -> Option<(&str, Option<u16>)> {
    let host = authority.host();
    let rest = authority.as_str().strip_prefix(host)?;
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if rest.is_empty() => None,
        None => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the host that a request names can only be meant for this server: an address,
/// `localhost`, or a name without a dot.
///
/// A page from anywhere can give its own name this server's address (DNS rebinding), and a
/// browser then takes the server for a part of the page. For that the name has to be in the
/// public DNS, where every name has a dot, and the browser says it as `Host`.
#[must_use]
pub fn names_this_machine(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else {
        return false;
    };
    let Some((host, _)) = host_and_port(&authority) else {
        return false;
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let is_localhost = |name: &str| name.eq_ignore_ascii_case("localhost");
    address.parse::<IpAddr>().is_ok()
        || is_localhost(host.strip_suffix('.').unwrap_or(host))
        || !host.contains('.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_an_origin_are_one() {
        for (one, other) in [
            ("https://example.org", "https://EXAMPLE.org:443"),
            ("http://example.org/", "HTTP://example.org:80"),
            ("http://[::1]:8080", "http://[::1]:8080/"),
            ("chrome-extension://abcdef", "chrome-extension://ABCDEF"),
        ] {
            let [one, other] = [one, other].map(|text| text.parse::<Origin>().unwrap());
            assert_eq!(one, other);
        }
        for (one, other) in [
            ("https://example.org", "http://example.org"),
            ("https://example.org", "https://example.org:80"),
            ("https://example.org", "https://www.example.org"),
            ("https://example.org", "https://example.org."),
            ("https://example.org", "https://example.org.evil.example"),
        ] {
            let [one, other] = [one, other].map(|text| text.parse::<Origin>().unwrap());
            assert_ne!(one, other);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "null",
            "*",
            "example.org",
            "https://",
            "https://*",
            "https://example.org/path",
            "https://example.org?query",
            "https://example.org#fragment",
            "https://user@example.org",
            "https://example.org:99999",
            "https://example.org:",
            "https://:443",
            "https://a b",
            "//example.org",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
        assert_eq!(Origin::from_header(b"https://\xff"), None);
    }

    #[test]
    fn a_name_in_the_public_dns_is_not_this_machines() {
        for ours in [
            "127.0.0.1",
            "127.0.0.1:4103",
            "[::1]",
            "[::1]:4103",
            "10.1.2.3:1",
            "localhost",
            "LocalHost:4103",
            "localhost.",
            "server",
            "server:4103",
        ] {
            assert!(names_this_machine(ours.as_bytes()), "{ours}");
        }
        for foreign in [
            "evil.example",
            "evil.example:4103",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.",
            "",
            ":4103",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "127.0.0.1:99999",
            "127.0.0.1:",
            "a b",
            "ev\u{e4}l",
        ] {
            assert!(!names_this_machine(foreign.as_bytes()), "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(origin) = Origin::from_header(&bytes) {
                // What was understood is written in a form that is understood as the same.
                prop_assert_eq!(origin.to_string().parse::<Origin>(), Ok(origin));
            }
            let _ = names_this_machine(&bytes);
        }

        #[test]
        fn a_dotted_name_is_never_this_machines(name in "[a-z]{1,8}(\\.[a-z]{1,8}){1,3}", port in "(:[0-9]{1,5})?") {
            let host = format!("{name}{port}");
            prop_assert!(!names_this_machine(host.as_bytes()));
        }
    }
}
