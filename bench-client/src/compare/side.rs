//! How a side is written: `CONNECTOR[,key=value…]`, or a target in place of the connector.

use serde::Deserialize;

/// A side, taken apart but not yet understood: which keys there are is known to the command
/// line that has the flags of the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideText {
    /// As it was given.
    pub text: String,
    /// The revision of what is measured, where a file says it.
    pub revision: Option<String>,
    /// What comes first: a connector, or the name or file of a target.
    pub subject: String,
    /// The keys in their order, each once, with the value after the first `=`, if there is one.
    pub keys: Vec<(String, Option<String>)>,
}

/// Two sides in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SideFile {
    base: toml::Table,
    candidate: toml::Table,
}

/// Why a text is no side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("side '{text}': {problem}")]
pub struct SideError {
    /// As it was given.
    pub text: String,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

/// Names that keys had in an earlier version.
const ALIASES: [(&str, &str); 4] = [
    ("keep-db", "keep"),
    ("max-inflight-per-worker", "inflight"),
    ("op-timeout", "timeout"),
    ("seconds", "duration"),
];

/// Keys that are taken and not offered: they exist for tests of comparisons only.
const NOT_OFFERED: [&str; 1] = ["busy-wait"];

impl SideText {
    /// Takes a side apart. `allowed` are the keys.
    ///
    /// # Errors
    /// It begins with none, or a key is unknown or there twice.
    pub fn parse(text: &str, allowed: &[&str]) -> Result<Self, SideError> {
        let wrong = |problem: String| SideError {
            text: text.to_owned(),
            problem,
        };
        let mut parts = text.split(',').map(str::trim);
        let subject = parts.next().unwrap_or_default();
        if subject.is_empty() || subject.contains('=') {
            return Err(wrong(format!(
                "'{subject}' is neither a connector nor a target; begin with sqlite_rpc, \
                 sqlite_ws_rpc, spacetimedb, or the name or file of a target, then ,key=value as \
                 often as needed"
            )));
        }
        let keys = parts.map(|part| match part.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), Some(value.trim().to_owned())),
            None => (part.to_owned(), None),
        });
        Self::new(text, subject, keys, allowed)
    }

    /// The sides in the text of a file: the tables `base` and `candidate`, each with `connector`
    /// or `target`, and knobs under their flag names, whose values may hold commas and spaces.
    /// `label` is what the side is called, `revision` that of the program which it measures.
    ///
    /// # Errors
    /// It is not of this form, or a key is unknown.
    pub fn read_both(text: &str, allowed: &[&str]) -> Result<[Self; 2], SideError> {
        let file: SideFile = toml::from_str(text).map_err(|error| SideError {
            text: "base or candidate".to_owned(),
            problem: error.message().to_owned(),
        })?;
        let [base, candidate] = [("base", file.base), ("candidate", file.candidate)]
            .map(|(name, table)| Self::of_table(name, table, allowed));
        Ok([base?, candidate?])
    }

    fn of_table(name: &str, mut table: toml::Table, allowed: &[&str]) -> Result<Self, SideError> {
        let wrong = |problem: &str| SideError {
            text: name.to_owned(),
            problem: problem.to_owned(),
        };
        let mut word = |key: &str| match table.remove(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(wrong(&format!("{key} is not text"))),
        };
        let (label, revision) = (word("label")?, word("revision")?);
        let ((Some(subject), None) | (None, Some(subject))) = (word("connector")?, word("target")?)
        else {
            return Err(wrong(
                "give it one of connector (sqlite_rpc, sqlite_ws_rpc or spacetimedb) and target \
                 (a name or a file)",
            ));
        };
        let mut keys = Vec::new();
        for (key, value) in table {
            let value = match value {
                toml::Value::String(text) => Some(text),
                toml::Value::Integer(number) => Some(number.to_string()),
                toml::Value::Float(number) => Some(number.to_string()),
                toml::Value::Boolean(true) => None,
                toml::Value::Boolean(false) => Some("false".to_owned()),
                _ => {
                    return Err(wrong(&format!(
                        "{key} is not text, a number, true or false"
                    )));
                }
            };
            keys.push((key, value));
        }
        let named = label.unwrap_or_else(|| {
            let each = keys.iter().map(|(key, value)| match value {
                Some(value) => format!(",{key}={value}"),
                None => format!(",{key}"),
            });
            format!("{subject}{}", each.collect::<String>())
        });
        let side = Self::new(&named, &subject, keys.into_iter(), allowed)?;
        Ok(Self { revision, ..side })
    }

    fn new(
        text: &str,
        subject: &str,
        given: impl Iterator<Item = (String, Option<String>)>,
        allowed: &[&str],
    ) -> Result<Self, SideError> {
        let wrong = |problem: String| SideError {
            text: text.to_owned(),
            problem,
        };
        let mut keys: Vec<(String, Option<String>)> = Vec::new();
        for (key, value) in given {
            let key = key.strip_prefix("--").unwrap_or(&key);
            let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
            let key = alias.map_or(key, |(_, name)| name);
            if !allowed.contains(&key) {
                let mut offered = allowed.to_vec();
                offered.retain(|key| !NOT_OFFERED.contains(key));
                return Err(wrong(format!(
                    "'{key}' is not a knob of a side; there are {}",
                    offered.join(", ")
                )));
            }
            if keys.iter().any(|(other, _)| other == key) {
                return Err(wrong(format!("{key} is there twice: leave one out")));
            }
            keys.push((key.to_owned(), value));
        }
        Ok(Self {
            text: text.to_owned(),
            revision: None,
            subject: subject.to_owned(),
            keys,
        })
    }

    /// Whether a key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(other, _)| other == key)
    }

    /// Takes a key that needs a value out of the list.
    ///
    /// # Errors
    /// It has no value.
    pub fn take(&mut self, key: &str) -> Result<Option<String>, SideError> {
        let Some(place) = self.keys.iter().position(|(other, _)| other == key) else {
            return Ok(None);
        };
        match self.keys.remove(place).1.filter(|value| !value.is_empty()) {
            Some(value) => Ok(Some(value)),
            None => Err(self.error(format!("{key} needs a value: {key}=…"))),
        }
    }

    /// An error about this side.
    #[must_use]
    pub fn error(&self, problem: impl Into<String>) -> SideError {
        SideError {
            text: self.text.clone(),
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: [&str; 4] = ["batch-size", "inflight", "url", "server-bin"];

    fn parse(text: &str) -> Result<SideText, SideError> {
        SideText::parse(text, &ALLOWED)
    }

    #[test]
    fn a_file_has_two_sides_whose_values_may_hold_anything() {
        let text = r#"
            [base]
            target = "a, b/target.toml"
            label = "before"
            revision = "abc + uncommitted changes"
            [candidate]
            connector = "sqlite_rpc"
            inflight = 3
            url = "http://x/a=b, c"
        "#;
        let [base, candidate] = SideText::read_both(text, &ALLOWED).unwrap();
        assert_eq!(
            (base.text.as_str(), base.subject.as_str()),
            ("before", "a, b/target.toml")
        );
        assert_eq!(candidate.subject, "sqlite_rpc");
        assert_eq!(base.revision.as_deref(), Some("abc + uncommitted changes"));
        assert_eq!(candidate.revision, None);
        let of = |key: &str| candidate.keys.iter().find(|(name, _)| name == key);
        let inflight = of("inflight").unwrap();
        assert_eq!(inflight.1.as_deref(), Some("3"));
        assert_eq!(of("url").unwrap().1.as_deref(), Some("http://x/a=b, c"));
        for (text, says) in [
            ("", "missing field `base`"),
            ("[base]\n[candidate]\n[more]", "unknown field `more`"),
            ("[base]\n[candidate]", "one of connector"),
            (
                "[base]\ntarget='a'\nconnector='b'\n[candidate]",
                "one of connector",
            ),
            ("[base]\ntarget=''\n[candidate]", "target is not text"),
            (
                "[base]\ntarget='a'\nspeed=1\n[candidate]",
                "'speed' is not a knob",
            ),
        ] {
            let error = SideText::read_both(text, &ALLOWED).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_side_is_a_connector_and_keys() {
        assert_eq!(parse("sqlite_rpc").unwrap().keys, []);
        let mut side = parse("sqlite_ws_rpc, batch-size=7,--inflight=3,server-bin=a=b").unwrap();
        assert_eq!(side.subject, "sqlite_ws_rpc");
        assert_eq!(side.take("server-bin").unwrap().unwrap(), "a=b");
        assert_eq!(side.take("server-bin").unwrap(), None);
        assert!(side.has("inflight"));
        assert!(
            parse("sqlite_rpc,max-inflight-per-worker=3")
                .unwrap()
                .has("inflight")
        );
        assert_eq!(
            side.keys[0],
            ("batch-size".to_owned(), Some("7".to_owned()))
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        for (text, says) in [
            ("", "spacetimedb, or the name"),
            ("batch-size=1", "'batch-size=1' is neither a connector"),
            ("sqlite_rpc,batchsize=1", "'batchsize' is not a knob"),
            ("sqlite_rpc,batchsize=1", "batch-size, inflight"),
            ("sqlite_rpc,batch-size=1,2", "'2' is not a knob"),
            (
                "sqlite_rpc,inflight=1,max-inflight-per-worker=2",
                "there twice",
            ),
            ("sqlite_rpc,", "'' is not a knob"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "no '{says}' in {error}");
            assert!(error.starts_with(&format!("side '{text}'")), "{error}");
        }
        for text in ["sqlite_rpc,url", "sqlite_rpc,url="] {
            let error = parse(text).unwrap().take("url").unwrap_err().to_string();
            assert!(error.contains("url needs a value"), "{error}");
        }
    }
}
