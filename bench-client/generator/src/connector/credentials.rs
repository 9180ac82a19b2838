//! What a client shows to be let in, and whose certificates it believes.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use busload_net::Stream;
use busload_net::tls::{HTTP_1_1, TlsError, certificates, provider};
use busload_net::token::Token;
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{ConnectError, Endpoint, parse_with};

/// Why no certificate can be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file of certificates is not one.
    #[error(transparent)]
    File(#[from] TlsError),
    /// A certificate in the file cannot be used.
    #[error("a certificate in {} cannot be used", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The operating system has none.
    #[error(
        "the operating system has no certificates of authorities ({why}): install its package \
         ca-certificates, or give the server's authority with --ca"
    )]
    NoneInSystem {
        /// What was tried.
        why: String,
    },
    /// The library was built without what is needed.
    #[error("cannot set up TLS")]
    Library(#[source] rustls::Error),
}

/// Authorities whose certificates are believed.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

impl Trust {
    /// Those in a PEM file and no others.
    ///
    /// # Errors
    /// The file holds none.
    pub fn in_file(path: &Path) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|source| TrustError::Certificate {
                    path: path.to_owned(),
                    source,
                })?;
        }
        Self::in_store(roots)
    }

    /// Those that the operating system believes. Variables of the environment such as
    /// `SSL_CERT_FILE` are heeded.
    ///
    /// # Errors
    /// It has none.
    pub fn of_system() -> Result<Self, TrustError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(found.certs);
        if taken == 0 {
            let first = found.errors.first().map(ToString::to_string);
            let why = first.unwrap_or_else(|| "none was found".to_owned());
            return Err(TrustError::NoneInSystem { why });
        }
        Self::in_store(roots)
    }

    fn in_store(roots: RootCertStore) -> Result<Self, TrustError> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TrustError::Library)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// The handshake with the server at `authority`; `url` is for messages.
    pub(super) async fn connect(
        &self,
        authority: &str,
        url: &str,
        stream: TcpStream,
    ) -> Result<Stream, ConnectError> {
        let name = server_name(authority).ok_or_else(|| ConnectError::NoTls {
            url: url.to_owned(),
            source: io::Error::other("its host is neither a name nor an address"),
        })?;
        let connector = TlsConnector::from(Arc::clone(&self.0));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream.into()))),
            Err(error) => Err(refused(url.to_owned(), error)),
        }
    }
}

/// The host that a certificate must be for.
fn server_name(authority: &str) -> Option<ServerName<'static>> {
    let (host, _) = authority.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    ServerName::try_from(host.to_owned()).ok()
}

/// Why a handshake came to nothing, and what to do.
fn refused(url: String, error: io::Error) -> ConnectError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(rustls::Error::InvalidCertificate(fault)) = inner else {
        return ConnectError::NoTls { url, source: error };
    };
    let why = match fault {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its issuer is not known: give the issuer's certificate with --ca".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired: renew it".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: check the clocks of both machines".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name: use in the URL a name that the certificate has".to_owned()
        }
        // rustls has no word of its own for it.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is that of an authority and not of a server: make it with -addext \
             basicConstraints=critical,CA:FALSE"
                .to_owned()
        }
        other => other.to_string(),
    };
    ConnectError::Untrusted { url, why }
}

/// What a client shows to be let in, and whom it believes.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// What is shown.
    pub token: Option<Token>,
    /// Who is believed where TLS is spoken; `None` believes whom the operating system does.
    pub trust: Option<Trust>,
}

impl Credentials {
    /// A server at a URL of the protocol, to be approached with these.
    ///
    /// # Errors
    /// It is no URL, its scheme is not one of `http`, `ws`, `https` and `wss`, or no
    /// certificate can be believed.
    pub fn target(&self, url: &str) -> Result<Endpoint, String> {
        parse_with(url, self)
    }

    /// Who is believed.
    pub(super) fn trust(&self) -> Result<Trust, TrustError> {
        self.trust.clone().map_or_else(Trust::of_system, Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_the_host_without_its_port() {
        let name = |authority| server_name(authority).map(|name| name.to_str().into_owned());
        assert_eq!(name("example.org:443").as_deref(), Some("example.org"));
        assert_eq!(name("127.0.0.1:443").as_deref(), Some("127.0.0.1"));
        assert_eq!(name("[::1]:443").as_deref(), Some("::1"));
        assert_eq!(name("a b:443"), None);
    }
}
