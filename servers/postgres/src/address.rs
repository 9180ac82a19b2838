//! Where the database is and what lets this program in.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config as Connect;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::AddressError;
use crate::passfile::{Login, password};

/// Longest time in which a connection is made, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time that what was sent may stay unacknowledged, unless the URL says otherwise.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
const DEFAULT_PORT: u16 = 5432;

/// A database and how to get in. Shown as [`name`](Self::name), never whole.
pub(crate) struct Address {
    pub(crate) connect: Connect,
    pub(crate) tls: MakeRustlsConnect,
    /// For people and records: hosts and database, neither user nor password.
    pub(crate) name: String,
}

/// Whether it can be a database's: for command lines, before anything is started.
///
/// # Errors
/// It cannot.
pub fn check_url(url: &str) -> Result<(), AddressError> {
    parse(url).map(drop)
}

/// What a URL says, TLS apart.
struct Parsed {
    connect: Connect,
    root_certificates: Option<String>,
}

fn parse(url: &str) -> Result<Parsed, AddressError> {
    let (mut ssl_mode, mut root_certificates) = (None, None);
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    if !base.starts_with("postgres://") && !base.starts_with("postgresql://") {
        return Err(AddressError::Malformed("it has another scheme".to_owned()));
    }
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match key {
            "sslmode" => ssl_mode = Some(value),
            "sslrootcert" => root_certificates = Some(value),
            _ => rest.push(pair),
        }
    }
    let mut url = base.to_owned();
    if !rest.is_empty() {
        url = format!("{url}?{}", rest.join("&"));
    }
    // The library's errors name keys of the query, not their values.
    let mut connect: Connect = url
        .parse()
        .map_err(|error: tokio_postgres::Error| AddressError::Malformed(error.to_string()))?;
    if connect.get_password().is_some() {
        return Err(AddressError::Password);
    }
    if connect.get_hosts().is_empty() && connect.get_hostaddrs().is_empty() {
        return Err(AddressError::Malformed("it names no host".to_owned()));
    }
    connect.ssl_mode(match ssl_mode.as_deref() {
        Some("disable") => SslMode::Disable,
        Some("prefer") => SslMode::Prefer,
        Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
        Some(_) => return Err(AddressError::SslMode),
        // Nothing crosses a network in the clear unless somebody asked for it.
        None if connect.get_hosts().iter().all(is_here) => SslMode::Disable,
        None => SslMode::Require,
    });
    if connect.get_connect_timeout().is_none() {
        connect.connect_timeout(CONNECT_TIMEOUT);
    }
    if connect.get_tcp_user_timeout().is_none() {
        connect.tcp_user_timeout(USER_TIMEOUT);
    }
    if connect.get_application_name().is_none() {
        connect.application_name("busload");
    }
    Ok(Parsed {
        connect,
        root_certificates,
    })
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

impl Address {
    pub(crate) fn new(url: &str) -> Result<Self, AddressError> {
        let Parsed {
            mut connect,
            root_certificates,
        } = parse(url)?;
        let hosts = connect.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(directory) => directory.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        let ports = connect.get_ports().to_vec();
        let port_of = |n: usize| {
            ports
                .get(n)
                .or(ports.first())
                .copied()
                .unwrap_or(DEFAULT_PORT)
        };
        let user = connect.get_user().map(str::to_owned);
        let user = user
            .or_else(|| std::env::var("USER").ok())
            .unwrap_or_default();
        let database = connect.get_dbname().unwrap_or(&user).to_owned();
        let password = password(&Login {
            // Of a socket's directory the passfile says localhost.
            host: hosts.first().map_or("localhost", |host| {
                if host.starts_with('/') {
                    "localhost"
                } else {
                    host
                }
            }),
            port: port_of(0),
            database: &database,
            user: &user,
        });
        if let Some(password) = password {
            connect.password(password);
        }
        let named = hosts.iter().enumerate();
        let named = named.map(|(n, host)| format!("{host}:{}", port_of(n)));
        let name = format!(
            "postgres://{}/{database}",
            named.collect::<Vec<_>>().join(",")
        );
        Ok(Self {
            tls: tls(&connect, root_certificates.as_deref())?,
            connect,
            name,
        })
    }
}

fn tls(connect: &Connect, file: Option<&str>) -> Result<MakeRustlsConnect, AddressError> {
    let mut roots = RootCertStore::empty();
    // As PostgreSQL's own programs have it, `system` is no file.
    if let Some(file) = file.filter(|file| *file != "system") {
        let certificates = busload_net::tls::certificates(Path::new(file))?;
        roots.add_parsable_certificates(certificates);
    } else if connect.get_ssl_mode() != SslMode::Disable {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() && connect.get_ssl_mode() == SslMode::Require {
            return Err(AddressError::NoCertificates);
        }
    }
    let mut config = ClientConfig::builder_with_provider(busload_net::tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| AddressError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // What `sslnegotiation=direct` needs, and nothing else looks at.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        parse(url).unwrap().connect.get_ssl_mode()
    }

    #[test]
    fn nothing_crosses_a_network_in_the_clear_unless_asked_for() {
        assert_eq!(mode("postgres://me@localhost/bank"), SslMode::Disable);
        assert_eq!(mode("postgres://me@127.0.0.1:6000/bank"), SslMode::Disable);
        assert_eq!(mode("postgres://me@%2Ftmp%2Fdb/bank"), SslMode::Disable);
        assert_eq!(mode("postgresql://me@db.example/bank"), SslMode::Require);
        assert_eq!(
            mode("postgres://me@localhost,db.example/bank"),
            SslMode::Require
        );
        let full = "postgres://me@localhost/bank?sslmode=verify-full&options=-c%20jit%3Doff";
        assert_eq!(mode(full), SslMode::Require);
        assert_eq!(
            parse(full).unwrap().connect.get_options(),
            Some("-c jit=off")
        );
        assert_eq!(
            mode("postgres://me@db.example/bank?sslmode=disable"),
            SslMode::Disable
        );
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        for url in [
            "postgres://me:hunter2@localhost/bank",
            "postgres://me@localhost/bank?password=hunter2",
            "postgres://me@localhost/bank?sslmode=hunter2",
            "postgres://me@localhost:hunter2/bank",
            "postgres:///bank?connect_timeout=hunter2",
            "hunter2://localhost",
            "postgres://",
        ] {
            let error = check_url(url).unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn a_name_has_neither_user_nor_options() {
        let url = "postgres://me@localhost:6000,127.0.0.1:6001/bank?options=-c%20jit%3Doff";
        let name = Address::new(url).unwrap().name;
        assert_eq!(name, "postgres://localhost:6000,127.0.0.1:6001/bank");
    }
}
