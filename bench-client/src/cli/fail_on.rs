//! `--fail-on` and `--strict`: verdicts that end the program with 3, and the order in which endings
//! go.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::process::ExitCode;

use bench_client::config::heading::EXIT_CODE;
use bench_client::record::{Verdict, VerdictCode};
use clap::Args;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};

use super::{GATE_FAILED, INTERRUPTED, INVALID, VALID};

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FailOnArgs {
    /// Exit with 3 when a row has one of these verdicts, such as short_window,held_back
    ///
    /// By their names in records; as often as needed. Whether rows are valid stays what it is.
    #[arg(
        long, help_heading = EXIT_CODE, value_name = "CODE", value_delimiter = ',',
        value_parser = parse_code, conflicts_with = "strict"
    )]
    fail_on: Vec<VerdictCode>,
    /// Exit with 3 when there is any warning
    #[arg(long, help_heading = EXIT_CODE)]
    strict: bool,
    /// With --strict, let this warning pass
    ///
    /// By its name in records, such as not_durable; as often as needed.
    #[arg(
        long, help_heading = EXIT_CODE, value_name = "CODE", value_delimiter = ',',
        value_parser = parse_code, requires = "strict"
    )]
    allow: Vec<VerdictCode>,
}

/// A verdict by its name in records.
fn parse_code(text: &str) -> Result<VerdictCode, String> {
    let name: StrDeserializer<'_, Error> = text.into_deserializer();
    // It lists what there is.
    VerdictCode::deserialize(name).map_err(|error| error.to_string().replace('`', ""))
}

impl FailOnArgs {
    /// Whether any verdict was named, or every warning is to fail.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.strict || !self.fail_on.is_empty()
    }

    /// Whether every warning is to fail.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Whether one of these verdicts fails the verb; says each of them once on standard error.
    pub(crate) fn names<'a>(&self, verdicts: impl Iterator<Item = &'a Verdict>) -> bool {
        let fails = |code: &VerdictCode| {
            self.fail_on.contains(code) || self.strict && !self.allow.contains(code)
        };
        let mut found: Vec<&Verdict> = Vec::new();
        for verdict in verdicts.filter(|verdict| fails(&verdict.code)) {
            if found.iter().all(|other| other.code != verdict.code) {
                found.push(verdict);
            }
        }
        for verdict in &found {
            let code = serde_json::json!(verdict.code);
            let code = code.as_str().unwrap_or_default();
            let message = &verdict.message;
            if self.strict {
                eprintln!("--strict fails on {code}: {message} (--allow {code} lets it pass)");
            } else {
                eprintln!("--fail-on names {code}: {message}");
            }
        }
        !found.is_empty()
    }
}

/// How a verb that measures ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ending {
    /// A row is invalid, or an audit found something.
    pub(crate) found: bool,
    /// Not all that was asked for was measured.
    pub(crate) interrupted: bool,
    /// A gate failed, or a verdict that a row has fails by `--fail-on` or `--strict`.
    pub(crate) failed: bool,
}

impl Ending {
    /// What was found goes first: it stays true however little was measured. A gate over half
    /// a measurement says less than that it is half.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(self.number())
    }

    const fn number(self) -> u8 {
        match self {
            Self { found: true, .. } => INVALID,
            Self {
                interrupted: true, ..
            } => INTERRUPTED,
            Self { failed: true, .. } => GATE_FAILED,
            _ => VALID,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        fail_on: FailOnArgs,
    }

    #[test]
    fn codes_are_the_names_in_records() {
        let flags = ["x", "--fail-on=held_back,short_window", "--fail-on", "fake"];
        let parsed = Flags::try_parse_from(flags).unwrap().fail_on.fail_on;
        assert_eq!(
            parsed,
            [
                VerdictCode::HeldBack,
                VerdictCode::ShortWindow,
                VerdictCode::Fake
            ]
        );
        let error = Flags::try_parse_from(["x", "--fail-on=heldback"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let said = error.to_string();
        for part in [
            "heldback",
            "held_back",
            "money_not_conserved",
            "wide_spread",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[test]
    fn strict_fails_on_every_warning_but_those_that_are_allowed() {
        let verdict = |code| Verdict {
            code,
            invalidates: false,
            message: "something".to_owned(),
            remedy: "do something".to_owned(),
        };
        let all = [VerdictCode::HeldBack, VerdictCode::Tmpfs].map(verdict);
        let fails = |flags: &[&str], verdicts: &[Verdict]| {
            let flags = ["x"].iter().chain(flags);
            let parsed = Flags::try_parse_from(flags).unwrap().fail_on;
            parsed.names(verdicts.iter())
        };
        assert!(!fails(&[], &all));
        assert!(!fails(&["--strict"], &[]));
        assert!(fails(&["--strict"], &all));
        assert!(fails(&["--strict", "--allow=tmpfs"], &all));
        assert!(!fails(
            &["--strict", "--allow=tmpfs", "--allow=held_back"],
            &all
        ));
        assert!(!fails(&["--strict", "--allow=tmpfs,held_back"], &all));
        for wrong in [
            &["--strict", "--allow=tmpf"][..],
            &["--allow=tmpfs"],
            &["--strict", "--fail-on=tmpfs"],
        ] {
            let words = ["x"].iter().chain(wrong);
            let error = Flags::try_parse_from(words).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
        let error = Flags::try_parse_from(["x", "--strict", "--allow=tmpf"]).unwrap_err();
        assert!(error.to_string().contains("wide_spread"), "{error}");
    }

    #[test]
    fn what_was_found_goes_before_what_was_cut_short_before_what_failed() {
        for found in [false, true] {
            for interrupted in [false, true] {
                for failed in [false, true] {
                    let ending = Ending {
                        found,
                        interrupted,
                        failed,
                    };
                    let first = [(found, 4), (interrupted, 130), (failed, 3), (true, 0)];
                    let code = first.iter().find(|(is, _)| *is).map(|(_, code)| *code);
                    assert_eq!(Some(ending.number()), code, "{ending:?}");
                }
            }
        }
    }
}
