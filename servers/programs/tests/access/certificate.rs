//! Files that TLS needs, made anew by each test.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// A file that only its owner may read.
pub(crate) fn private_file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("it can be written");
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, owner_only).expect("it is ours");
    path
}

/// A certificate for this machine, and the authority that signed it, as PEM.
pub(crate) struct Certificate {
    pub(crate) authority: String,
    pub(crate) own: String,
    pub(crate) key: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        Self {
            authority,
            own: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// The flags that serve with it.
    pub(crate) fn flags(&self, directory: &Path) -> [String; 2] {
        let certificate = private_file(directory, "certificate.pem", &self.own);
        let key = private_file(directory, "key.pem", &self.key);
        [
            format!("--tls-cert={}", certificate.display()),
            format!("--tls-key={}", key.display()),
        ]
    }
}
