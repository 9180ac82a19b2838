//! What a target file may not say.

use std::path::Path;

use super::{PLACEHOLDERS, TargetFile};
use crate::config::{ConnectorKind, Encoding, did_you_mean};

/// Why a target file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TargetFileError(String);

impl TargetFileError {
    pub(super) fn new(path: &Path, line: Option<usize>, problem: &str) -> Self {
        let line = line.map_or_else(String::new, |line| format!(", line {line}"));
        Self(format!("{}{line}: {problem}", path.display()))
    }
}

/// Longest name.
const NAME_CHARS_MAX: usize = 64;

impl TargetFile {
    /// What is wrong with it, if anything is; it names the key.
    pub(super) fn check(&self) -> Result<(), String> {
        let (is_first, is_rest) = (
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit(),
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
        );
        if !self.name.starts_with(is_first)
            || !self.name.chars().all(is_rest)
            || self.name.len() > NAME_CHARS_MAX
        {
            return Err(format!(
                "name: '{}' is not a name: write up to {NAME_CHARS_MAX} lower-case letters, digits \
                 and hyphens",
                self.name
            ));
        }
        if self.summary.trim().is_empty() || self.summary.contains('\n') {
            return Err("summary: say in one line what it is".to_owned());
        }
        if self.connector == ConnectorKind::SqliteRpc && self.encoding == Encoding::Binary {
            return Err("encoding: binary needs the connector sqlite_ws_rpc".to_owned());
        }
        for (name, value) in &self.labels {
            if name.is_empty() || value.is_empty() || (name.clone() + value).contains('\n') {
                return Err(format!(
                    "labels: '{name}' is not a label: write a word and its value"
                ));
            }
        }
        self.check_commands()?;
        self.check_place()
    }

    fn check_commands(&self) -> Result<(), String> {
        let setup = self.setup.commands.iter();
        let mut named: Vec<_> = setup.map(|words| ("setup.commands", words)).collect();
        named.extend(
            self.version
                .iter()
                .map(|it| ("version.command", &it.command)),
        );
        named.extend(self.start.iter().map(|it| ("start.command", &it.command)));
        for (key, words) in named {
            if words.first().is_none_or(String::is_empty) {
                return Err(format!(
                    "{key}: a command is a list of a program and its arguments"
                ));
            }
            if words.iter().any(|word| word.contains('\0')) {
                return Err(format!("{key}: no argument holds a zero byte"));
            }
        }
        let Some(start) = &self.start else {
            return Ok(());
        };
        if let Some(name) = start
            .environment
            .keys()
            .find(|name| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(format!(
                "start.environment: '{name}' is not the name of a variable"
            ));
        }
        let of = |key: &str, text: &str| {
            unknown_placeholder(text).map(|found| {
                format!(
                    "{key}: '{found}' is not a placeholder{}: there are {}",
                    did_you_mean(found, PLACEHOLDERS),
                    PLACEHOLDERS.join(", ")
                )
            })
        };
        let command = start.command.iter().map(|text| ("start.command", text));
        let variables = start.environment.values();
        let variables = variables.map(|text| ("start.environment", text));
        let data = start.data.iter().map(|text| ("start.data", text));
        let mut unknown = command.chain(variables).chain(data);
        unknown
            .find_map(|(key, text)| of(key, text))
            .map_or(Ok(()), Err)
    }

    fn check_place(&self) -> Result<(), String> {
        let connect = &self.connect;
        match (&self.start, &connect.url) {
            (Some(_), Some(_)) => {
                return Err(
                    "connect.url: a server that is started listens at 127.0.0.1:{port}: \
                            leave out url, or [start]"
                        .to_owned(),
                );
            }
            (None, None) => {
                return Err("a target has [start], or [connect] with a url".to_owned());
            }
            (Some(_), None) if connect.token_file.is_some() || connect.ca.is_some() => {
                return Err(
                    "connect: token_file and ca go with a url: a server that is started is \
                            reached without them"
                        .to_owned(),
                );
            }
            (None, Some(url)) => {
                let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
                let transport = self.connector.transport();
                if scheme.strip_suffix('s').unwrap_or(scheme) != transport {
                    return Err(format!(
                        "connect.url: {} is reached at {transport}:// or {transport}s://",
                        self.connector
                    ));
                }
            }
            (Some(_), None) => {}
        }
        if connect
            .path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/') || path.contains(char::is_whitespace))
        {
            return Err("connect.path: a path begins with / and has no space in it".to_owned());
        }
        if connect.subprotocol.is_some() && self.connector != ConnectorKind::SqliteWsRpc {
            return Err("connect.subprotocol: only WebSocket has one".to_owned());
        }
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if let Some(name) = &connect.subprotocol
            && (name.is_empty() || !name.chars().all(is_token))
        {
            return Err(format!(
                "connect.subprotocol: '{name}' is not the name of a subprotocol"
            ));
        }
        Ok(())
    }
}

/// The first thing in a text that looks like a placeholder and is none.
fn unknown_placeholder(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(begin) = rest.find('{') {
        let length = rest[begin..].find('}')? + 1;
        let found = &rest[begin..begin + length];
        let word = &found[1..length - 1];
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if is_word && !PLACEHOLDERS.contains(&found) {
            return Some(found);
        }
        rest = &rest[begin + 1..];
    }
    None
}
