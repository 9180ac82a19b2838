//! How fast a processor computes at the moment: a fixed sum, timed by the thread's own CPU clock.
//!
//! A neighbour on the other thread of the same core, a lowered clock and a hypervisor that runs
//! others without telling all slow it down; other threads of this machine that take turns with it
//! do not, since the CPU clock stands still meanwhile.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::time::ClockId;

/// Samples before those that count: a clock that was lowered for want of work rises meanwhile.
const WARM_UP: usize = 3;
/// Samples, of which the median counts.
const SAMPLES: usize = 5;
/// Processor time of a sample.
const SAMPLE_TIME: Duration = Duration::from_millis(4);
/// Longest time for all samples, where others keep the processor.
const TIME_LIMIT: Duration = Duration::from_millis(200);
/// Steps between two looks at the clock.
const STEPS: u32 = 10_000;

/// The best speed that this process has measured so far, as bits: the speed of a processor is one
/// fact for all rows.
static BEST: AtomicU64 = AtomicU64::new(0);

/// Million steps per second of processor time; `None` where threads have no CPU clock. Takes some
/// 30 ms, and at most 0.2 s.
#[must_use]
pub fn speed() -> Option<f64> {
    let started = Instant::now();
    for _ in 0..WARM_UP {
        sample(started)?;
    }
    let mut samples = Vec::with_capacity(SAMPLES);
    while samples.len() < SAMPLES && (samples.is_empty() || started.elapsed() < TIME_LIMIT) {
        samples.push(sample(started)?);
    }
    samples.sort_by(f64::total_cmp);
    let median = samples[samples.len() / 2];
    // Positive floats are ordered as their bits are.
    BEST.fetch_max(median.to_bits(), Ordering::Relaxed);
    Some(median)
}

/// The best median that [`speed`] has found in this process.
#[must_use]
pub fn best_speed() -> Option<f64> {
    Some(f64::from_bits(BEST.load(Ordering::Relaxed))).filter(|best| *best > 0.0)
}

fn sample(started: Instant) -> Option<f64> {
    let begun = processor_time()?;
    let mut steps = 0_u32;
    loop {
        black_box(chains(black_box(STEPS)));
        steps += STEPS;
        let taken = processor_time()?.saturating_sub(begun);
        if taken >= SAMPLE_TIME || !taken.is_zero() && started.elapsed() >= TIME_LIMIT {
            return Some(f64::from(steps) / taken.as_secs_f64() / 1e6);
        }
    }
}

/// Four chains of arithmetic that do not wait for each other, so that they fill what a core can
/// do at once: a single chain leaves most of it to the core's other thread, and would not notice
/// that somebody uses it.
fn chains(steps: u32) -> u64 {
    let (mut a, mut b, mut c, mut d) = (1_u64, 2_u64, 3_u64, 4_u64);
    for step in 0..u64::from(steps) {
        a = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (b >> 7);
        b = b.wrapping_add(c) ^ step;
        c = c.rotate_left(13).wrapping_add(d);
        d = d.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (a >> 3);
        (a, b, c, d) = black_box((a, b, c, d));
    }
    a ^ b ^ c ^ d
}

fn processor_time() -> Option<Duration> {
    ClockId::CLOCK_THREAD_CPUTIME_ID
        .now()
        .ok()
        .map(Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_found_within_its_time_and_the_best_is_kept() {
        let started = Instant::now();
        let first = speed().unwrap();
        // Generous, for a machine that does other things: what is tested is that it ends.
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(first > 0.0 && first.is_finite());
        assert!(best_speed().unwrap() >= first);
    }

    #[test]
    fn no_step_can_be_left_out() {
        assert_ne!(chains(1), chains(2));
    }
}
