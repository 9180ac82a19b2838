//! The flags that let this program in at a server at a URL.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::cell::OnceCell;
use std::path::PathBuf;

use anyhow::Context as _;
use bench_client::connector::{Credentials, Target, Trust};
use busload_net::token::Token;
use busload_net::token::exposed;
use clap::Args;

use super::UsageError;

#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    /// File that holds the token which the server at --url wants
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// PEM file with the authorities to believe, and no others, at a --url of https:// or wss://
    /// [default: those of the operating system]
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
    /// Read once: a file may be a pipe.
    #[arg(skip)]
    read: OnceCell<Credentials>,
}

impl CredentialArgs {
    /// The first of these flags that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            (self.token_file.is_some(), "--token-file"),
            (self.ca.is_some(), "--ca"),
        ];
        given
            .into_iter()
            .find_map(|(given, flag)| given.then_some(flag))
    }

    /// The server at this URL, with what lets this program in.
    ///
    /// # Errors
    /// It is no URL, or a file is not what it should be.
    pub(crate) fn target(&self, url: &str) -> anyhow::Result<Target> {
        let credentials = if let Some(read) = self.read.get() {
            read
        } else {
            let read = self.read()?;
            self.read.get_or_init(|| read)
        };
        let target = credentials.target(url).map_err(UsageError)?;
        if target.tls.is_none() && self.ca.is_some() {
            return Err(UsageError(format!(
                "--ca goes with a URL of https:// or wss://, and {url} has no TLS"
            ))
            .into());
        }
        Ok(target)
    }

    fn read(&self) -> anyhow::Result<Credentials> {
        let token = self.token_file.as_deref().map(Token::from_file);
        let trust = self.ca.as_deref().map(Trust::in_file);
        let warning = self.token_file.as_deref();
        let warning = warning.and_then(|path| exposed("token file", path));
        let credentials = Credentials {
            token: token.transpose().context("--token-file")?,
            trust: trust.transpose().context("--ca")?,
        };
        if let Some(warning) = warning {
            eprintln!("warning: {warning}");
        }
        Ok(credentials)
    }
}
