//! The flags that say who may connect.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use busload_net::tls::{Tls, TlsError};
use busload_net::token::{Token, exposed};
use clap::Args;

use super::quantities::parse_time_within;
use crate::access::origin::Origin;
use crate::access::{Access, Seeding, is_loopback};

const HANDSHAKE_TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_mins(10);

/// Each flag names it: a heading of the whole would be that of the flags behind them, too.
const HEADING: &str = "Who may connect";

#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// File with a token that every request must carry
    ///
    /// As Authorization: Bearer TOKEN; GET /health goes without. Without a token, only a loopback
    /// address may be listened on.
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let in anyone who reaches the address, even one that is not loopback
    #[arg(long, help_heading = HEADING, conflicts_with = "token_file")]
    allow_unauthenticated: bool,
    /// Let in pages of this origin, such as https://example.org
    ///
    /// Browsers are refused otherwise. May be given several times.
    #[arg(long, help_heading = HEADING, value_name = "URL")]
    allow_origin: Vec<Origin>,
    /// Let clients wipe the ledger with seed, even one that this server did not make
    #[arg(long, help_heading = HEADING, conflicts_with = "no_seed")]
    allow_seed: bool,
    /// Let no client wipe the ledger with seed, even one that this server made
    #[arg(long, help_heading = HEADING)]
    no_seed: bool,
    /// Speak TLS with this certificate
    ///
    /// The chain is behind it in the same file.
    #[arg(long, help_heading = HEADING, value_name = "PEM", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key
    #[arg(long, help_heading = HEADING, value_name = "PEM", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// How long a TLS handshake may take [10ms … 600s]
    #[arg(long, help_heading = HEADING, value_name = "TIME", default_value = "10s", requires = "tls_cert", value_parser = parse_handshake_timeout)]
    tls_handshake_timeout: Duration,
}

fn parse_handshake_timeout(text: &str) -> Result<Duration, String> {
    let wanted = "a TLS handshake may take from 10ms to 600s";
    parse_time_within(text, HANDSHAKE_TIMEOUTS, wanted)
}

impl AccessArgs {
    /// Reads the files that were named. What should be done about them, and about the address,
    /// is said on standard error.
    pub(crate) fn access(&self, listen: SocketAddr) -> anyhow::Result<Access> {
        let token = self.token_file.as_deref().map(Token::from_file);
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => {
                let timeout = self.tls_handshake_timeout;
                let tls = Tls::from_files(certificate, key, timeout);
                Some(tls.map_err(|error| self.with_flag(error))?)
            }
            _ => None,
        };
        let access = Access {
            token: token
                .transpose()
                .context("--token-file")?
                .map(|token| token.digest()),
            unauthenticated: self.allow_unauthenticated,
            origins: self.allow_origin.clone(),
            seeding: match (self.allow_seed, self.no_seed) {
                (true, _) => Seeding::Always,
                (_, true) => Seeding::Never,
                _ => Seeding::OwnLedger,
            },
            tls,
        };
        access.check_address(listen)?;
        self.warn_of_files();
        if let Some(warning) = warning_of(&access, listen) {
            eprintln!("warning: {warning}");
        }
        Ok(access)
    }

    /// With the flag that named the file.
    fn with_flag(&self, error: TlsError) -> anyhow::Error {
        let flag = match &error {
            TlsError::Unreadable { path, .. }
            | TlsError::Missing { path, .. }
            | TlsError::NotPem { path, .. }
            | TlsError::Encrypted { path }
                if self.tls_cert.as_ref() != self.tls_key.as_ref() =>
            {
                if Some(path) == self.tls_key.as_ref() {
                    "--tls-key"
                } else {
                    "--tls-cert"
                }
            }
            _ => "--tls-cert and --tls-key",
        };
        anyhow::Error::new(error).context(flag)
    }

    fn warn_of_files(&self) {
        let secrets = [("token file", &self.token_file), ("key", &self.tls_key)];
        for (what, path) in secrets {
            if let Some(warning) = path.as_deref().and_then(|path| exposed(what, path)) {
                eprintln!("warning: {warning}");
            }
        }
    }
}

/// What the person who lets others than this machine connect should know.
fn warning_of(access: &Access, listen: SocketAddr) -> Option<String> {
    if is_loopback(listen.ip()) {
        return None;
    }
    let at = listen.ip();
    match (&access.token, &access.tls) {
        (None, _) => Some(format!(
            "listening on {at}: anyone who reaches it can move the money"
        )),
        (Some(_), None) => Some(format!(
            "listening on {at} without TLS: whoever is on the way can read the token; give \
             --tls-cert and --tls-key"
        )),
        (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_may_take_a_while_and_not_for_ever() {
        assert_eq!(parse_handshake_timeout("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_handshake_timeout("10"), Ok(Duration::from_secs(10)));
        for bad in ["0", "1ms", "601s"] {
            assert!(parse_handshake_timeout(bad).is_err(), "{bad}");
        }
    }
}
