//! A server's clock, read from here: what load machines start together by.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::control::{ControlClient, ControlError};
use crate::record::ClockOffset;

/// Round trips of which the shortest counts.
const ROUND_TRIPS: usize = 100;
/// Longest time for them, past which fewer must do.
const TIME_MAX: Duration = Duration::from_secs(2);

/// One question for the time.
#[derive(Debug, Clone, Copy)]
struct RoundTrip {
    sent: Instant,
    /// The same by this machine's clock, in microseconds since 1970.
    sent_us: i64,
    took: Duration,
    /// What the answer says.
    server_us: i64,
}

/// A clock as it was read once. What it says at other times follows from this machine's time since
/// then, which nobody can set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// When it said so.
    read: Instant,
    /// What it said, in microseconds since 1970.
    said_us: i64,
    /// How this machine's own clock stands to it; `None` where this is that clock.
    pub(super) offset: Option<ClockOffset>,
}

impl Clock {
    /// The server's, or this machine's own where the server does not tell the time.
    pub(super) async fn read(control: &mut ControlClient) -> Result<Self, ControlError> {
        let until = Instant::now() + TIME_MAX;
        let mut trips = Vec::with_capacity(ROUND_TRIPS);
        while trips.is_empty() || trips.len() < ROUND_TRIPS && Instant::now() < until {
            let (sent, sent_us) = (Instant::now(), now_us());
            let info = control.info().await?;
            let took = sent.elapsed();
            let Some(said) = info.and_then(|info| info.time_unix_us) else {
                break;
            };
            trips.push(RoundTrip {
                sent,
                sent_us,
                took,
                server_us: i64::try_from(said).unwrap_or(i64::MAX),
            });
        }
        Ok(Self::by_the_shortest(&trips).unwrap_or_else(|| Self {
            read: Instant::now(),
            said_us: now_us(),
            offset: None,
        }))
    }

    /// The answer was made at some time between the question and its arrival: in the middle, or
    /// half a round trip away from it at most.
    fn by_the_shortest(trips: &[RoundTrip]) -> Option<Self> {
        let shortest = trips.iter().min_by_key(|trip| trip.took)?;
        let half = shortest.took / 2;
        let read_us = shortest.sent_us.saturating_add(us(half));
        Some(Self {
            read: shortest.sent + half,
            said_us: shortest.server_us,
            offset: Some(ClockOffset {
                offset_us: shortest.server_us.saturating_sub(read_us),
                round_trip_us: shortest.took.as_micros().try_into().unwrap_or(u64::MAX),
                round_trips: trips.len().try_into().unwrap_or(u32::MAX),
            }),
        })
    }

    /// When it says this: so far ahead, or so long ago.
    pub(super) fn when(&self, unix_us: i64, now: Instant) -> Result<Duration, Duration> {
        let ahead = i128::from(unix_us) - i128::from(self.unix_us(now));
        let time = Duration::from_micros(ahead.unsigned_abs().try_into().unwrap_or(u64::MAX));
        if ahead > 0 { Ok(time) } else { Err(time) }
    }

    /// What it says at this time, in microseconds since 1970.
    pub(super) fn unix_us(&self, at: Instant) -> i64 {
        let later = us(at.saturating_duration_since(self.read));
        let earlier = us(self.read.saturating_duration_since(at));
        self.said_us.saturating_add(later).saturating_sub(earlier)
    }

    /// Whose it is, in words.
    pub(super) fn whose(&self) -> &'static str {
        self.offset.map_or("this machine's", |_| "the server's")
    }
}

fn us(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// What this machine's clock says, in microseconds since 1970.
fn now_us() -> i64 {
    Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);
    /// What the server's clock says when the test begins, in microseconds since 1970.
    const THEN_US: i64 = 1_800_000_000_000_000;

    /// A question sent so long after the beginning to a server whose clock is ahead of this
    /// machine's, over a line that delays questions and answers.
    fn trip(began: Instant, ahead_us: i64, sent_us: u32, (there, back): (u32, u32)) -> RoundTrip {
        RoundTrip {
            sent: began + US * sent_us,
            sent_us: THEN_US - ahead_us + i64::from(sent_us),
            took: US * (there + back),
            server_us: THEN_US + i64::from(sent_us + there),
        }
    }

    #[test]
    fn the_shortest_round_trip_tells_and_is_wrong_by_half_of_it_at_most() {
        let began = Instant::now();
        for ahead_us in [-3_000_000, 0, 5_000_000] {
            let lines = [(90_000, 10), (40, 60), (10, 8_000)];
            let trips: Vec<_> = [0, 1_000, 2_000]
                .into_iter()
                .zip(lines)
                .map(|(sent, line)| trip(began, ahead_us, sent, line))
                .collect();
            let clock = Clock::by_the_shortest(&trips).unwrap();
            let offset = clock.offset.unwrap();
            assert_eq!((offset.round_trip_us, offset.round_trips), (100, 3));
            assert_eq!(offset.offset_us, ahead_us - 10);
            for trip in &trips {
                let clock = Clock::by_the_shortest(&[*trip]).unwrap();
                let wrong_by = clock.unix_us(began).abs_diff(THEN_US);
                assert!(
                    u128::from(wrong_by) <= trip.took.as_micros() / 2,
                    "{trip:?}"
                );
            }
        }
        assert!(Clock::by_the_shortest(&[]).is_none());
    }

    /// Two machines whose own clocks are 8 s apart start at the same moment.
    #[test]
    fn a_time_is_the_same_moment_whatever_a_machines_own_clock_says() {
        let began = Instant::now();
        for ahead_us in [-3_000_000, 5_000_000] {
            let clock = Clock::by_the_shortest(&[trip(began, ahead_us, 0, (50, 50))]).unwrap();
            let second = Duration::from_secs(1);
            assert_eq!(clock.when(THEN_US + 3_000_000, began), Ok(3 * second));
            assert_eq!(
                clock.when(THEN_US + 3_000_000, began + second),
                Ok(2 * second)
            );
            assert_eq!(clock.when(THEN_US - 500_000, began), Err(second / 2));
            assert_eq!(clock.when(THEN_US, began), Err(Duration::ZERO));
            assert_eq!(clock.unix_us(began + second), THEN_US + 1_000_000);
        }
    }
}
