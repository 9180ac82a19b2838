//! `--fail-on`: verdicts that end the program with 3, and the order in which endings go.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::process::ExitCode;

use bench_client::record::{Verdict, VerdictCode};
use clap::Args;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error, StrDeserializer};

use super::{GATE_FAILED, INTERRUPTED, INVALID, VALID};

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FailOnArgs {
    /// Exit with 3 when a row has one of these verdicts, by their names in records, such as
    /// short_window,held_back; as often as needed. Whether rows are valid stays what it is
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = parse_code)]
    fail_on: Vec<VerdictCode>,
}

/// A verdict by its name in records.
fn parse_code(text: &str) -> Result<VerdictCode, String> {
    let name: StrDeserializer<'_, Error> = text.into_deserializer();
    // It lists what there is.
    VerdictCode::deserialize(name).map_err(|error| error.to_string().replace('`', ""))
}

impl FailOnArgs {
    /// Whether any verdict was named.
    pub(crate) fn is_asked_for(&self) -> bool {
        !self.fail_on.is_empty()
    }

    /// Whether one of these verdicts was named; says each of them once on standard error.
    pub(crate) fn names<'a>(&self, verdicts: impl Iterator<Item = &'a Verdict>) -> bool {
        let mut found: Vec<&Verdict> = Vec::new();
        for verdict in verdicts.filter(|verdict| self.fail_on.contains(&verdict.code)) {
            if found.iter().all(|other| other.code != verdict.code) {
                found.push(verdict);
            }
        }
        for verdict in &found {
            let code = serde_json::json!(verdict.code);
            eprintln!("--fail-on names the verdict {code}: {}", verdict.message);
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
    /// A gate failed, or `--fail-on` names a verdict that a row has.
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
