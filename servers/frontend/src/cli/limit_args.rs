//! The flags that bound what clients may use.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::time::Duration;

use clap::Args;

use super::quantities::{count, parse_time, parse_time_within};
use super::values::{parse_bytes_within, parse_inflight, parse_within};
use crate::limits::Limits;

const TIMEOUT_MIN: Duration = Duration::from_millis(10);
const TIMEOUT_MAX: Duration = Duration::from_hours(24);

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Transfers in flight on one connection [1 … 16384]
    ///
    /// Beyond that the server stops reading from the connection.
    #[arg(long, value_name = "N", default_value_t = Limits::standard().inflight_per_connection, value_parser = parse_inflight)]
    max_inflight_per_connection: usize,
    /// Connections at the same time; further ones wait [1 … 1000000]
    ///
    /// No more than the limit of open files allows.
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = count::<u32>(1..=1_000_000))]
    max_connections: u32,
    /// Bytes of a request's headers [8192 … 262144]
    #[arg(long, value_name = "BYTES", default_value_t = Limits::standard().header_bytes, value_parser = parse_header_bytes)]
    max_header_bytes: usize,
    /// Bytes of an HTTP body [1024 … 16777216]
    #[arg(long, value_name = "BYTES", default_value_t = Limits::standard().body_bytes, value_parser = parse_content_bytes)]
    max_body_bytes: usize,
    /// Bytes of a WebSocket message, and of a frame [1024 … 16777216]
    #[arg(long, value_name = "BYTES", default_value_t = Limits::standard().message_bytes, value_parser = parse_content_bytes)]
    max_message_bytes: usize,
    /// Memory for the unfinished requests of all clients together [4MiB … 1TiB]
    ///
    /// It counts what clients have sent of messages, bodies and headers that are not whole yet.
    /// Beyond it the client that holds the most is told to come back later, with WebSocket close
    /// code 1013 or HTTP 503. It must be at least twice --max-message-bytes and --max-body-bytes.
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = parse_input_memory)]
    input_memory: usize,
    /// Connections that may wait to be accepted [1 … 65535]
    ///
    /// No more than the system allows (net.core.somaxconn).
    #[arg(long, value_name = "N", default_value_t = Limits::standard().backlog, value_parser = count::<u32>(1..=65_535))]
    listen_backlog: u32,
    /// How long a request's headers may take [10ms … 24h]
    ///
    /// The time of a WebSocket handshake counts from connecting, any other from the first byte. A
    /// request whose beginning came together with the request before it is bounded by
    /// --idle-timeout instead.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_timeout)]
    header_timeout: Duration,
    /// How long an HTTP body may take [10ms … 24h]
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_timeout)]
    body_timeout: Duration,
    /// Close a connection after this long without a request [10ms … 24h]
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = parse_timeout)]
    idle_timeout: Duration,
    /// Cut off a client that reads nothing for this long while answers wait [10ms … 24h]
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_timeout)]
    write_timeout: Duration,
    /// Ping a WebSocket client that has been silent for this long [10ms … 24h]
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = parse_timeout)]
    ping_interval: Duration,
    /// Give up a WebSocket client that stays silent for this long after a ping [10ms … 24h]
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = parse_timeout)]
    ping_timeout: Duration,
    /// How long a WebSocket client may take to answer a close frame [10ms … 24h]
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_timeout)]
    close_timeout: Duration,
    /// How long a stop may take to answer what is queued
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    shutdown_timeout: Duration,
}

fn parse_header_bytes(text: &str) -> Result<usize, String> {
    parse_within(text, 8192, 262_144)
}

fn parse_content_bytes(text: &str) -> Result<usize, String> {
    parse_within(text, 1024, 16_777_216)
}

/// Bytes, or with one of the units KiB, MiB, GiB and TiB.
fn parse_input_memory(text: &str) -> Result<usize, String> {
    let wanted = "size from 4MiB to 1TiB: write one such as 256MiB";
    parse_bytes_within(text, 4 << 20..=1 << 40, wanted)
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let bounds = TIMEOUT_MIN..=TIMEOUT_MAX;
    parse_time_within(text, bounds, "a time limit is from 10ms to 24h")
}

impl LimitArgs {
    /// The limits, with no more connections than there are descriptors for.
    pub(crate) fn limits(&self, connections_allowed: usize) -> Limits {
        Limits {
            inflight_per_connection: self.max_inflight_per_connection,
            connections: (self.max_connections as usize).min(connections_allowed),
            header_bytes: self.max_header_bytes,
            body_bytes: self.max_body_bytes,
            message_bytes: self.max_message_bytes,
            input_memory: self.input_memory,
            backlog: self.listen_backlog,
            header_timeout: self.header_timeout,
            body_timeout: self.body_timeout,
            idle_timeout: self.idle_timeout,
            write_timeout: self.write_timeout,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            close_timeout: self.close_timeout,
            shutdown_timeout: self.shutdown_timeout,
        }
    }

    /// A message that alone exceeds the memory for all could never come.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let longest = self.max_message_bytes.max(self.max_body_bytes);
        anyhow::ensure!(
            self.input_memory >= 2 * longest,
            "--input-memory {} is too low for --max-message-bytes {} and --max-body-bytes {}: what \
             comes in is held twice, so use {} or more, or lower those",
            self.input_memory,
            self.max_message_bytes,
            self.max_body_bytes,
            2 * longest,
        );
        Ok(())
    }

    /// Whether so many connections are fewer than was asked for.
    pub(crate) fn asks_for_more_than(&self, connections: usize) -> bool {
        self.max_connections as usize > connections
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        limits: LimitArgs,
    }

    #[test]
    fn what_is_not_said_is_standard() {
        let cli = Cli::parse_from(["server"]);
        let limits = format!("{:?}", cli.limits.limits(usize::MAX));
        assert_eq!(limits, format!("{:?}", Limits::standard()));
        assert_eq!(cli.limits.limits(100).connections, 100);
    }

    #[test]
    fn the_memory_for_input_has_room_for_the_longest_message() {
        let check = |flags: &[&str]| {
            Cli::parse_from([&["server"], flags].concat())
                .limits
                .check()
        };
        assert!(check(&[]).is_ok());
        assert!(check(&["--input-memory=32MiB", "--max-message-bytes=16777216"]).is_ok());
        let low = check(&["--input-memory=31 MiB", "--max-body-bytes=16777216"]);
        let said = low.expect_err("it is too low").to_string();
        assert!(said.contains("use 33554432 or more"), "{said}");
    }

    #[test]
    fn every_limit_has_bounds() {
        for bad in [
            "--max-inflight-per-connection=0",
            "--max-connections=0",
            "--max-header-bytes=8191",
            "--max-body-bytes=1023",
            "--max-message-bytes=16777217",
            "--input-memory=4MiB1",
            "--input-memory=4194303",
            "--input-memory=2TiB",
            "--input-memory=64MB",
            "--listen-backlog=0",
            "--close-timeout=0s",
            "--header-timeout=9ms",
            "--body-timeout=0s",
            "--idle-timeout=25h",
            "--write-timeout=0",
            "--ping-interval=-1s",
            "--ping-timeout=x",
        ] {
            assert!(Cli::try_parse_from(["server", bad]).is_err(), "{bad}");
        }
    }
}
