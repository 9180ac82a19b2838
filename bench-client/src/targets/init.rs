//! A target file to begin with.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::TargetsError;
use crate::config::ConnectorKind;
use crate::config::target_file::{TARGET_FILE, TargetFile};

/// Every key that a target file may have, those that it need not have as comments.
const TEMPLATE: &str = include_str!("template.toml");
const NAME: &str = r#"name = "my-server""#;
const CONNECTOR: &str = r#"connector = "sqlite_rpc""#;
/// Where comments begin.
const VALUE_WIDTH: usize = 34;
const COMMAND: &str = r#"command = ["./my-server", "{port}", "{database}"]"#;

/// Writes a target file with this name into a folder of its name below `directory`, for the command
/// where one is given. The file.
///
/// # Errors
/// There is one, it cannot be written, or the name or command makes no sense.
pub fn init(
    name: &str,
    connector: ConnectorKind,
    command: Option<&[String]>,
    directory: &Path,
) -> Result<PathBuf, TargetsError> {
    let path = directory.join(name).join(TARGET_FILE);
    let text = text(name, connector, command);
    TargetFile::parse(&text, &path)?;
    let folder = path.parent().unwrap_or(directory);
    let opened = std::fs::create_dir_all(folder)
        .and_then(|()| OpenOptions::new().write(true).create_new(true).open(&path));
    match opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(TargetsError::Exists { path })
        }
        Err(source) => Err(TargetsError::Write { path, source }),
    }
}

fn text(name: &str, connector: ConnectorKind, command: Option<&[String]>) -> String {
    // As JSON quotes a text, TOML does.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    // Comments stay below each other.
    let replaced = |text: &str, from: &str, key: &str, value: &str| {
        let from = format!("{from:<VALUE_WIDTH$}");
        let to = format!("{:<VALUE_WIDTH$}", format!("{key} = {}", quoted(value)));
        text.replacen(&from, &to, 1)
    };
    let text = replaced(TEMPLATE, NAME, "name", name);
    let text = replaced(&text, CONNECTOR, "connector", connector.as_str());
    let Some(command) = command else { return text };
    let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
    text.replacen(COMMAND, &format!("command = [{}]", words.join(", ")), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> TargetFile {
        TargetFile::parse(text, Path::new("x")).unwrap()
    }

    #[test]
    fn what_is_written_has_what_was_asked_for() {
        let command = ["python3", r#"a "b"\c"#, "{port}"].map(str::to_owned);
        let file = parsed(&text("mine", ConnectorKind::SqliteWsRpc, Some(&command)));
        assert_eq!(
            (file.name.as_str(), file.connector),
            ("mine", ConnectorKind::SqliteWsRpc)
        );
        assert_eq!(file.start.unwrap().command, command);
        let bare = parsed(&text("my-server", ConnectorKind::SqliteRpc, None));
        assert_eq!(
            bare.start.unwrap().command,
            ["./my-server", "{port}", "{database}"]
        );
    }

    /// A comment that is not true would be found out by whoever believes it.
    #[test]
    fn what_is_commented_out_can_be_used_and_has_every_key() {
        let is_key = |line: &str| line.starts_with('[') || line.contains(" = ");
        let of_others = ["url", "token_file", "ca"];
        let lines = TEMPLATE.lines().skip(4).filter_map(|line| {
            let bare = line
                .strip_prefix("# ")
                .filter(|bare| is_key(bare))
                .unwrap_or(line);
            let key = bare.split(' ').next().unwrap_or_default();
            (!of_others.contains(&key)).then(|| format!("{bare}\n"))
        });
        let all = lines
            .collect::<String>()
            .replace("\"sqlite_rpc\"", "\"sqlite_ws_rpc\"");
        let all = parsed(&all);
        let bare = parsed(TEMPLATE);
        let (with, without) = (all.start.as_ref().unwrap(), bare.start.as_ref().unwrap());
        assert_eq!(
            (
                with.ready,
                with.start_timeout,
                with.stop_signal,
                with.stop_timeout
            ),
            (
                without.ready,
                without.start_timeout,
                without.stop_signal,
                without.stop_timeout
            ),
            "what holds without a key is what its comment has"
        );
        let schema = schemars::schema_for!(TargetFile).to_value();
        let definitions = schema["$defs"].as_object().unwrap().values();
        let objects = definitions
            .chain([&schema])
            .filter_map(|it| it["properties"].as_object());
        for key in objects.flat_map(|properties| properties.keys()) {
            let named =
                TEMPLATE.contains(&format!("{key} = ")) || TEMPLATE.contains(&format!("[{key}]"));
            assert!(named, "{key} is not in the template");
        }
    }
}
