//! Who may connect, and what they may do: every rule, and the order in which they are asked.
//!
//! A request is judged by its head alone, before its body is read and before a connection
//! becomes a WebSocket, in this order:
//!
//! 1. A request with an `Origin` comes from a web page, which is refused unless it is listed.
//! 2. Without a token, a request must name this machine as its host ([`names_this_machine`]):
//!    a page from elsewhere that has made its name point here says its own.
//! 3. With a token, everything but `GET /health` must show it.

pub(crate) mod cors;
pub mod origin;

use std::net::{IpAddr, SocketAddr};

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request};

use busload_net::tls::Tls;
use busload_net::token::TokenDigest;
use busload_wire::ErrorCode;

use origin::{Origin, names_this_machine};

/// Whether clients may wipe the ledger with `seed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeding {
    /// If this server made the ledger: what somebody else put there is not for strangers to
    /// wipe.
    OwnLedger,
    /// Whoever made it.
    Always,
    /// Never.
    Never,
}

/// Who may connect, and what they may do.
#[derive(Debug, Clone)]
pub struct Access {
    /// What clients must show; `None` lets everybody in who can reach the port.
    pub token: Option<TokenDigest>,
    /// That there is no token is meant: others than this machine may be served, under any name.
    pub unauthenticated: bool,
    /// Web pages that may ask.
    pub origins: Vec<Origin>,
    /// Whether clients may wipe the ledger.
    pub seeding: Seeding,
    /// The certificate to serve with; `None` serves in plain text.
    pub tls: Option<Tls>,
}

/// An address that only a server with a token, or without on purpose, may listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "listening on {0} would let anyone who reaches it move and wipe the money: give \
     --token-file, or --allow-unauthenticated if that is meant"
)]
pub struct Unprotected(pub SocketAddr);

impl Access {
    /// What a server has when nothing else is said: this machine only, no token, no web pages.
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            token: None,
            unauthenticated: false,
            origins: Vec::new(),
            seeding: Seeding::OwnLedger,
            tls: None,
        }
    }

    /// Whether these rules are enough to listen there.
    ///
    /// # Errors
    /// Others than this machine could connect, and nothing keeps them out.
    pub fn check_address(&self, listen: SocketAddr) -> Result<(), Unprotected> {
        if self.token.is_some() || self.unauthenticated || is_loopback(listen.ip()) {
            Ok(())
        } else {
            Err(Unprotected(listen))
        }
    }

    /// Whether clients may wipe a ledger that this server made, or did not make.
    #[must_use]
    pub const fn may_seed(&self, made_here: bool) -> bool {
        match self.seeding {
            Seeding::OwnLedger => made_here,
            Seeding::Always => true,
            Seeding::Never => false,
        }
    }

    /// Lets a request in, or says why not. Of a request from a listed page, the origin to be
    /// named in the answer.
    ///
    /// # Errors
    /// `forbidden` or `unauthorized`.
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Result<Option<HeaderValue>, ErrorCode> {
        let headers = request.headers();
        let origin = self.check_origin(headers)?;
        match &self.token {
            None if self.unauthenticated => {}
            None => check_host(request)?,
            // A browser asks whether it may ask without showing what it will ask with.
            Some(_) if is_open(request) || (origin.is_some() && is_preflight(request)) => {}
            Some(token) => check_token(headers, token)?,
        }
        Ok(origin)
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, ErrorCode> {
        let mut last = None;
        for value in headers.get_all(header::ORIGIN) {
            let origin = Origin::from_header(value.as_bytes()).ok_or(ErrorCode::Forbidden)?;
            if !self.origins.contains(&origin) {
                return Err(ErrorCode::Forbidden);
            }
            last = Some(value.clone());
        }
        Ok(last)
    }
}

/// Whether only this machine can connect to that address.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A request without a host is of HTTP/1.0, or it would not be here, and of no browser.
fn check_host<B>(request: &Request<B>) -> Result<(), ErrorCode> {
    let in_line = request.uri().authority();
    let in_line = in_line.map(|authority| authority.as_str().as_bytes());
    let in_headers = request.headers().get_all(header::HOST).into_iter();
    let mut named = in_line
        .into_iter()
        .chain(in_headers.map(HeaderValue::as_bytes));
    if named.all(names_this_machine) {
        Ok(())
    } else {
        Err(ErrorCode::Forbidden)
    }
}

/// Exactly one `Authorization`, and it shows the token.
fn check_token(headers: &HeaderMap, token: &TokenDigest) -> Result<(), ErrorCode> {
    let mut shown = headers.get_all(header::AUTHORIZATION).into_iter();
    match (shown.next(), shown.next()) {
        (Some(shown), None) if token.is_shown_by(shown.as_bytes()) => Ok(()),
        _ => Err(ErrorCode::Unauthorized),
    }
}

/// What supervisors ask to see whether a server lives, and hold no token for.
fn is_open<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && request.uri().path() == "/health"
}

/// Whether a browser asks whether a page may send a request.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    *request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use busload_net::token::Token;

    const SECRET: &str = "0123456789abcdef-secret";
    const PAGE: &str = "https://page.example";

    fn with_token() -> Access {
        Access {
            token: Some(Token::parse(SECRET.as_bytes()).unwrap().digest()),
            ..Access::standard()
        }
    }

    fn with_page(access: Access) -> Access {
        let origins = vec![PAGE.parse().unwrap()];
        Access { origins, ..access }
    }

    fn request(line: &str, headers: &[(&str, &str)]) -> Request<()> {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn judge(access: &Access, line: &str, headers: &[(&str, &str)]) -> Result<(), ErrorCode> {
        access.admit(&request(line, headers)).map(|_| ())
    }

    #[test]
    fn only_loopback_may_be_listened_on_without_a_token() {
        let elsewhere = ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[2001:db8::1]:1"];
        let here = [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ];
        let [elsewhere, here] = [elsewhere, here].map(|all| all.map(|at| at.parse().unwrap()));
        for at in here {
            assert_eq!(Access::standard().check_address(at), Ok(()));
        }
        let on_purpose = Access {
            unauthenticated: true,
            ..Access::standard()
        };
        for at in elsewhere {
            assert_eq!(Access::standard().check_address(at), Err(Unprotected(at)));
            assert_eq!(on_purpose.check_address(at), Ok(()));
            assert_eq!(with_token().check_address(at), Ok(()));
        }
    }

    #[test]
    fn a_ledger_is_wiped_only_where_it_was_made_unless_told_otherwise() {
        let may = |seeding, made_here| {
            let access = Access {
                seeding,
                ..Access::standard()
            };
            access.may_seed(made_here)
        };
        assert!(may(Seeding::OwnLedger, true) && !may(Seeding::OwnLedger, false));
        assert!(may(Seeding::Always, true) && may(Seeding::Always, false));
        assert!(!may(Seeding::Never, true) && !may(Seeding::Never, false));
    }

    #[test]
    fn a_token_opens_everything_and_without_it_only_health_is_open() {
        let access = with_token();
        let right = format!("Bearer {SECRET}");
        let wrong = format!("Bearer {SECRET}x");
        let all = [
            "POST /rpc",
            "GET /",
            "GET /rpc",
            "GET /metrics",
            "OPTIONS /rpc",
            "POST /health",
            "GET /health/",
        ];
        for line in all {
            assert_eq!(judge(&access, line, &[("authorization", &right)]), Ok(()));
            for refused in [
                &[][..],
                &[("authorization", &*wrong)],
                &[("authorization", &*right), ("authorization", &*right)],
                &[("x-authorization", &*right)],
            ] {
                let judged = judge(&access, line, refused);
                assert_eq!(judged, Err(ErrorCode::Unauthorized), "{line} {refused:?}");
            }
        }
        for line in ["GET /health", "HEAD /health", "GET /health?x"] {
            assert_eq!(judge(&access, line, &[]), Ok(()), "{line}");
        }
    }

    #[test]
    fn a_page_is_refused_unless_it_is_listed() {
        let stranger = ("origin", "https://evil.example");
        let listed = ("origin", PAGE);
        for access in [Access::standard(), with_page(Access::standard())] {
            for line in ["POST /rpc", "GET /health", "GET /metrics", "OPTIONS /rpc"] {
                for origins in [
                    &[stranger][..],
                    &[("origin", "null")],
                    &[("origin", "")],
                    &[listed, stranger],
                    &[stranger, listed],
                ] {
                    let judged = judge(&access, line, origins);
                    assert_eq!(judged, Err(ErrorCode::Forbidden), "{line} {origins:?}");
                }
            }
        }
        let access = with_page(Access::standard());
        assert_eq!(judge(&access, "POST /rpc", &[listed]), Ok(()));
        let named = access.admit(&request("POST /rpc", &[listed])).unwrap();
        assert_eq!(named, Some(HeaderValue::from_static(PAGE)));
    }

    #[test]
    fn a_listed_page_needs_the_token_all_the_same_but_may_ask_whether_it_may_ask() {
        let access = with_page(with_token());
        let listed = ("origin", PAGE);
        let asks = ("access-control-request-method", "POST");
        assert_eq!(
            judge(&access, "POST /rpc", &[listed]),
            Err(ErrorCode::Unauthorized)
        );
        assert_eq!(judge(&access, "OPTIONS /rpc", &[listed, asks]), Ok(()));
        let refused = judge(&access, "OPTIONS /rpc", &[asks]);
        assert_eq!(refused, Err(ErrorCode::Unauthorized));
    }

    #[test]
    fn a_foreign_name_of_this_machine_is_refused_where_no_token_keeps_it_out() {
        let foreign = [("host", "evil.example:4103")];
        let forbidden = Err(ErrorCode::Forbidden);
        assert_eq!(
            judge(&Access::standard(), "GET /metrics", &foreign),
            forbidden
        );
        let both = [("host", "localhost"), foreign[0]];
        assert_eq!(judge(&Access::standard(), "GET /metrics", &both), forbidden);
        let line = "GET http://evil.example/metrics";
        let judged = judge(&Access::standard(), line, &[("host", "localhost")]);
        assert_eq!(judged, forbidden);
        for ours in [&[("host", "localhost:4103")][..], &[("host", "[::1]")], &[]] {
            assert_eq!(judge(&Access::standard(), "POST /rpc", ours), Ok(()));
        }
        let on_purpose = Access {
            unauthenticated: true,
            ..Access::standard()
        };
        assert_eq!(judge(&on_purpose, "POST /rpc", &foreign), Ok(()));
        let right = format!("Bearer {SECRET}");
        let with_right = [foreign[0], ("authorization", &right)];
        assert_eq!(judge(&with_token(), "POST /rpc", &with_right), Ok(()));
    }

    #[test]
    fn settings_can_be_shown() {
        let shown = format!("{:?}", with_page(with_token()));
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("***"), "{shown}");
    }

    /// Bytes of a header value, as hyper lets them through.
    fn value() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            any::<u8>().prop_filter("of a header value", |byte| {
                *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f)
            }),
            0..64,
        )
    }

    proptest! {
        #[test]
        fn nothing_but_the_token_gets_past_the_door(
            authorization in value(), host in value(), origin in proptest::option::of(value()),
        ) {
            let mut request = request("POST /rpc", &[]);
            let headers = request.headers_mut();
            let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
            headers.insert(header::AUTHORIZATION, value(&authorization));
            headers.insert(header::HOST, value(&host));
            if let Some(origin) = &origin {
                headers.insert(header::ORIGIN, value(origin));
            }
            let refused = if origin.is_some() { ErrorCode::Forbidden } else { ErrorCode::Unauthorized };
            prop_assert_eq!(with_token().admit(&request), Err(refused));
            let local = origin.is_none() && names_this_machine(&host);
            prop_assert_eq!(Access::standard().admit(&request).is_ok(), local);
        }
    }
}
