//! Where a target listens that does not say so itself, and what lets this program in.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use busload_net::token::{Token, TokenError, exposed};

use crate::config::Target;
use crate::connector::{Credentials, Endpoint, Trust, TrustError};

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The file of the token is not what it should be.
    #[error("--token-file: {0}")]
    Token(#[from] TokenError),
    /// The file of the authorities is not what it should be.
    #[error("--ca: {0}")]
    Trust(#[from] TrustError),
    /// It is no URL.
    #[error("{0}")]
    Url(String),
    /// Nobody is to be believed there.
    #[error("--ca goes with a URL of https:// or wss://, and {0} has no TLS")]
    CaWithoutTls(String),
}

type Files = (Option<PathBuf>, Option<PathBuf>);

/// What was read, by the files: one of them may be a pipe, which can be read once.
static READ: Mutex<Vec<(Files, Credentials)>> = Mutex::new(Vec::new());

fn credentials(files: &Files) -> Result<Credentials, EndpointError> {
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, credentials)) = read.iter().find(|(other, _)| other == files) {
        return Ok(credentials.clone());
    }
    let (token_file, ca) = files;
    let token = token_file.as_deref().map(Token::from_file).transpose()?;
    let trust = ca.as_deref().map(Trust::in_file).transpose()?;
    let credentials = Credentials { token, trust };
    if let Some(warning) = token_file
        .as_deref()
        .and_then(|path| exposed("token file", path))
    {
        eprintln!("warning: {warning}");
    }
    read.push((files.clone(), credentials.clone()));
    Ok(credentials)
}

/// Where a target listens; `None` for a server that says so in its first line.
///
/// # Errors
/// It is no URL, or a file is not what it should be.
pub fn endpoint(target: &Target) -> Result<Option<Endpoint>, EndpointError> {
    let (url, files, approach) = match target {
        Target::BuiltIn { .. } | Target::Null { .. } => return Ok(None),
        Target::Command { url, approach, .. } => (&url.0, (None, None), &approach.0),
        Target::Url {
            url,
            approach,
            token_file,
            ca,
            ..
        } => (&url.0, (token_file.0.clone(), ca.0.clone()), &approach.0),
    };
    let credentials = credentials(&files)?;
    let mut endpoint = credentials.target(url).map_err(EndpointError::Url)?;
    if let Some(path) = &approach.path {
        endpoint.path.clone_from(path);
    }
    endpoint.subprotocol.clone_from(&approach.subprotocol);
    if endpoint.tls.is_none() && files.1.is_some() {
        return Err(EndpointError::CaWithoutTls(url.clone()));
    }
    Ok(Some(endpoint))
}
