//! The command line as it may be published.

use std::ffi::OsString;
use std::path::Path;

/// The variable by which a script says what was typed, as a shell reads it: the arguments that it
/// gives to this program name files of its own, which are gone afterwards.
const TYPED: &str = "BUSLOAD_COMMAND";

/// What was typed.
pub(super) fn of_this_process() -> Vec<String> {
    let typed = std::env::var(TYPED).ok();
    let typed = typed.and_then(|line| words_of(&line));
    typed.unwrap_or_else(|| redacted(std::env::args_os()))
}

/// The words of a line as a shell reads it; `None` without any.
fn words_of(line: &str) -> Option<Vec<String>> {
    let words = shlex::split(line).filter(|words| !words.is_empty())?;
    Some(redacted(words.into_iter().map(OsString::from)))
}

/// Arguments as text, the first cut down to its file name, without what must not be published.
fn redacted(arguments: impl Iterator<Item = OsString>) -> Vec<String> {
    let mut hide_next = false;
    arguments
        .enumerate()
        .map(|(position, argument)| {
            let hide = std::mem::take(&mut hide_next);
            let text = argument.to_string_lossy();
            if position == 0 {
                let name = Path::new(&argument).file_name().unwrap_or(&argument);
                return name.to_string_lossy().into_owned();
            }
            if hide {
                return "***".to_owned();
            }
            let (name, value) = text
                .split_once('=')
                .map_or((&*text, None), |(name, value)| (name, Some(value)));
            if name.starts_with('-') && name.to_ascii_lowercase().contains("token") {
                hide_next = value.is_none();
                return value.map_or(name.to_owned(), |_| format!("{name}=***"));
            }
            without_secrets(&text)
        })
        .collect()
}

/// `http://user:password@host/?key=value` becomes `http://***@host/?***`; also several, separated
/// by commas. A query means nothing to the protocol, so what is in it may be anything.
fn without_secrets(text: &str) -> String {
    let mut parts = text.split("://");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.find(['/', '?', '#']).unwrap_or(part.len());
        result.push_str("://");
        match part[..authority].rfind('@') {
            Some(at) => {
                result.push_str("***");
                push_without_query(&mut result, &part[at..]);
            }
            None => push_without_query(&mut result, part),
        }
    }
    result
}

fn push_without_query(result: &mut String, part: &str) {
    match part.split_once('?') {
        Some((before, query)) => {
            result.push_str(before);
            result.push_str("?***");
            if let Some(comma) = query.find(',') {
                result.push_str(&query[comma..]);
            }
        }
        None => result.push_str(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(arguments: &[&str]) -> Vec<String> {
        redacted(arguments.iter().map(OsString::from))
    }

    #[test]
    fn what_was_typed_for_a_script_is_kept_word_by_word() {
        let line = " '/a/compare-servers.sh' '--' '--fail-if' 'tps<-10%' '--token' 's' 'it'\\''s'";
        let expected = [
            "compare-servers.sh",
            "--",
            "--fail-if",
            "tps<-10%",
            "--token",
            "***",
            "it's",
        ];
        assert_eq!(words_of(line).unwrap(), expected);
        assert_eq!([words_of(" "), words_of("'")], [None, None]);
    }

    #[test]
    fn secrets_are_not_recorded() {
        let arguments = redact(&[
            "/home/user/bin/bench-client",
            "run",
            "--token",
            "secret",
            "--auth-Token=secret",
            "--seed",
            "1",
            "--url",
            "http://user:secret@host/rpc",
            "--urls=ws://host/a@b,ws://secret@host",
            "--urls=ws://host/?key=secret,ws://host",
            "ws://host?secret",
        ]);
        let expected = [
            "bench-client",
            "run",
            "--token",
            "***",
            "--auth-Token=***",
            "--seed",
            "1",
            "--url",
            "http://***@host/rpc",
            "--urls=ws://host/a@b,ws://***@host",
            "--urls=ws://host/?***,ws://host",
            "ws://host?***",
        ];
        assert_eq!(arguments, expected);
    }

    #[test]
    fn arguments_without_secrets_stay() {
        for argument in [
            "--batch-timeout=2ms",
            "a://",
            "://",
            "",
            "x@y",
            "--concurrency=50",
        ] {
            assert_eq!(redact(&["x", argument]), ["x", argument]);
        }
    }
}
