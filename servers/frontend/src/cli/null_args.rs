//! The flags of a server that answers without a database.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::time::Duration;

use busload_engine::NullPace;
use clap::Args;

use super::quantities::parse_duration;

/// Above the flags in the help text.
const HEADING: &str = "Null server";
/// Longest time that a null server spends on a transfer or a batch.
const NULL_TIME_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
#[expect(
    clippy::struct_field_names,
    reason = "clap names an argument by its field"
)]
pub(crate) struct NullArgs {
    /// Answer without a database, to measure the ceiling of the load generator
    ///
    /// No file is opened; flags and variables that are about it have no effect.
    #[arg(long, help_heading = HEADING)]
    null_server: bool,
    /// CPU time for each transfer, such as 550ns [0s … 60s] [default: 0s]
    #[arg(long, help_heading = HEADING, requires = "null_server", value_name = "TIME", value_parser = parse_null_time)]
    null_apply: Option<Duration>,
    /// Sleep for each batch, where a real server waits for its sync [0s … 60s] [default: 0s]
    #[arg(long, help_heading = HEADING, requires = "null_server", value_name = "TIME", value_parser = parse_null_time)]
    null_sync: Option<Duration>,
}

impl NullArgs {
    /// What a null server is to spend; `None` when a real one is asked for.
    pub(crate) fn pace(&self) -> Option<NullPace> {
        self.null_server.then(|| NullPace {
            apply: self.null_apply.unwrap_or_default(),
            sync: self.null_sync.unwrap_or_default(),
        })
    }
}

/// What a null server spends on a transfer or a batch: a duration of at most a minute.
fn parse_null_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time > NULL_TIME_MAX {
        return Err("the time of a null server is at most 60s".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_server_spends_nanoseconds() {
        assert_eq!(parse_null_time("550ns"), Ok(Duration::from_nanos(550)));
        assert_eq!(parse_null_time("80us"), Ok(Duration::from_micros(80)));
        assert_eq!(parse_null_time("0s"), Ok(Duration::ZERO));
        for bad in ["80", "-1us", "61s"] {
            assert!(parse_null_time(bad).is_err(), "{bad}");
        }
    }
}
