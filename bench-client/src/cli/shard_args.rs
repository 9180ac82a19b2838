//! Which part of a load this machine puts on, and when.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use bench_client::config::Shard;
use bench_client::measure::ShardPlan;
use clap::Args;
use jiff::Timestamp;

/// Above the flags in the help text.
const HEADING: &str = "Several load machines";

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ShardArgs {
    /// Put on part I of N of the load, from 0, for merge to judge
    ///
    /// What was seen goes into a file. All N machines get the same flags, those of the whole load,
    /// and --threads for each; shard 0 seeds. index/N takes the number from JOB_COMPLETION_INDEX,
    /// as Kubernetes sets it.
    #[arg(long, value_name = "I/N", requires = "start_at", help_heading = HEADING)]
    shard: Option<Shard>,
    /// When the load of --shard begins, by the server's clock
    ///
    /// 2026-01-31T12:00:00Z, or seconds since 1970. The warm-up is first. The same for all shards,
    /// with time for seeding and connecting.
    #[arg(long, value_name = "TIME", requires = "shard", value_parser = parse_time, help_heading = HEADING)]
    start_at: Option<Timestamp>,
}

/// RFC 3339, or seconds since 1970.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    let seconds = || {
        let seconds: f64 = text.parse().ok()?;
        let whole = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
        Timestamp::from_duration(whole).ok()
    };
    let time = text.parse().ok().or_else(seconds);
    time.filter(|time: &Timestamp| time.as_microsecond() >= 0)
        .ok_or_else(|| {
            format!(
                "'{text}' is not a time: write 2026-01-31T12:00:00Z, or seconds since 1970 such as 1769860800"
            )
        })
}

impl ShardArgs {
    /// The part that was asked for.
    pub(crate) fn plan(&self) -> Option<ShardPlan> {
        let (shard, start_at) = self.shard.zip(self.start_at)?;
        Some(ShardPlan { shard, start_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_seconds_since_1970() {
        let second = |text| parse_time(text).unwrap().as_millisecond();
        assert_eq!(second("2026-01-31T12:00:00Z"), 1_769_860_800_000);
        assert_eq!(second("2026-01-31T13:00:00+01:00"), 1_769_860_800_000);
        assert_eq!(second("1769860800"), 1_769_860_800_000);
        assert_eq!(second("1769860800.25"), 1_769_860_800_250);
        for wrong in [
            "",
            "now",
            "12:00",
            "-1",
            "nan",
            "inf",
            "1e300",
            "2026-01-31T12:00:00",
        ] {
            let said = parse_time(wrong).unwrap_err();
            assert!(said.contains("seconds since 1970"), "{said}");
        }
    }
}
