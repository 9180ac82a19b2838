//! TLS by rustls: reading certificates and keys, and the handshake of a connection.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::stream::Stream;

/// The one protocol that is spoken above TLS (ALPN).
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// Why TLS cannot be spoken with these files. Never says what is in a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file holds nothing of what it should.
    #[error("{} holds no {what} in PEM: the file needs a block -----BEGIN {begin}-----", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
        /// How its block begins.
        begin: &'static str,
    },
    /// A key that needs a password.
    #[error(
        "the key {0} is encrypted, and encrypted keys are not read: decrypt it (openssl pkey \
         -in {0} -out FILE; chmod 600 FILE) and name that file",
        path.display()
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// A file is not PEM.
    #[error("{} is not a PEM file", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: pem::Error,
    },
    /// The certificate and the key do not go together, or one cannot be used.
    #[error(
        "cannot serve with the certificate {} and the key {}: they must belong together",
        certificate.display(),
        key.display()
    )]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The library was built without what is needed.
    #[error("cannot set up TLS")]
    Library(#[source] rustls::Error),
}

/// A certificate to serve with.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// From accepting a connection until the handshake is complete.
    handshake_timeout: Duration,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}

/// The cryptography: ring, on both sides of the wire.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// The file cannot be read, is no PEM, or holds no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|source| TlsError::NotPem {
        path: path.to_owned(),
        source,
    })?;
    if all.is_empty() {
        return Err(TlsError::Missing {
            path: path.to_owned(),
            what: "certificate",
            begin: "CERTIFICATE",
        });
    }
    Ok(all)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        _ if is_encrypted(&text) => TlsError::Encrypted {
            path: path.to_owned(),
        },
        pem::Error::NoItemsFound => TlsError::Missing {
            path: path.to_owned(),
            what: "private key",
            begin: "PRIVATE KEY",
        },
        source => TlsError::NotPem {
            path: path.to_owned(),
            source,
        },
    })
}

/// Whether PEM holds an encrypted key: PKCS #8 says so in the name of its block (RFC 7468, 11),
/// the older forms in a header line behind it (RFC 1421, 4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    let mut lines = pem.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| {
        line == b"-----BEGIN ENCRYPTED PRIVATE KEY-----" || line == b"Proc-Type: 4,ENCRYPTED"
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

impl Tls {
    /// TLS 1.2 and 1.3 with a chain of certificates, the server's own first, and its key.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should, or the two do not go together.
    pub fn from_files(
        certificate: &Path,
        key: &Path,
        handshake_timeout: Duration,
    ) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let secret = private_key(key)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|source| TlsError::Pair {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                source,
            })?;
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            handshake_timeout,
        })
    }

    /// The handshake of an accepted connection.
    ///
    /// # Errors
    /// The peer speaks no TLS, or not this one, or not in time.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let handshake = tokio::time::timeout(self.handshake_timeout, acceptor.accept(stream));
        let stream = handshake.await.map_err(io::Error::from)??;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}
