//! Without `strace`: what the server's processes wrote by `/proc/PID/io`, and what the block device
//! did, which others use as well.

use std::fmt::Write as _;
use std::time::Duration;

use nix::unistd::{Pid, getpgid};
use tokio::sync::watch;

use super::asking::{Asked, Limits, ask};
use super::restart::there_after_restart;
use super::{Audited, Plan, halt, verdict};
use crate::audit::TortureError;
use crate::host::device::DeviceCounters;
use crate::host::process::ProcessUsage;
use crate::record::durability::{
    Check, CheckKind, CheckOutcome, DurabilityVerdict, PerAcknowledgement, WatchedWith,
};

/// Longest time in which the transfers are made.
const TIME: Duration = Duration::from_secs(20);
/// After the last answer: what a server writes later counts as well.
const IDLE: Duration = Duration::from_millis(1500);

/// One reading.
struct Reading {
    /// Bytes that the processes of the server's group have sent to storage.
    written: Option<u64>,
    device: Option<DeviceCounters>,
}

impl Reading {
    fn take(plan: &Plan, group: u32) -> Self {
        let place = plan.directory.as_deref();
        Self {
            written: written_by(group),
            device: place.and_then(DeviceCounters::of_path),
        }
    }
}

/// Of those that still live: a process that has ended takes its figures along.
fn written_by(group: u32) -> Option<u64> {
    let group = Pid::from_raw(i32::try_from(group).ok()?);
    let processes = std::fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let own = pids.filter(|pid| getpgid(Some(Pid::from_raw(*pid))) == Ok(group));
    let written = own.map(|pid: i32| {
        let usage = ProcessUsage::of_process(u32::try_from(pid).ok()?);
        Some(usage.written?.to_storage)
    });
    written.sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(super) async fn audit(
    plan: &Plan,
    interrupted: &watch::Receiver<bool>,
    told: &mut (dyn FnMut(&str) + Send),
) -> Result<Audited, TortureError> {
    told("counting what is written for transfers one after another");
    let server = plan
        .command
        .start(&[], &plan.database, false, &mut ())
        .await?;
    let before = Reading::take(plan, server.pid());
    let limits = Limits {
        transfers: plan.transfers,
        time: TIME,
        pause: Duration::ZERO,
        until_refused: false,
    };
    let asked = ask(&plan.load(), 0, server.target(), limits, interrupted).await;
    tokio::time::sleep(IDLE).await;
    let after = Reading::take(plan, server.pid());
    halt(plan, server, None).await?;
    let server = plan
        .command
        .start(&[], &plan.database, false, &mut ())
        .await?;
    let restart = there_after_restart(plan, &server, &asked).await;
    halt(plan, server, None).await?;

    let acknowledged = asked.acknowledged.len() as u64;
    let written = after.written.zip(before.written);
    let written = written.map(|(later, earlier)| later.saturating_sub(earlier));
    let device = after.device.zip(before.device);
    let device = device.map(|(later, earlier)| later.since(&earlier));
    let flushes = device.as_ref().and_then(|device| device.flushes);
    let per_acknowledgement = (acknowledged > 0).then(|| PerAcknowledgement {
        acknowledged,
        syncs: flushes.map(|flushes| flushes as f64 / acknowledged as f64),
        bytes: written.map(|written| written as f64 / acknowledged as f64),
        by_call: std::collections::BTreeMap::new(),
    });
    let (found, check) = judged(plan, &asked, written, device.as_ref());
    let (verdict, because) = verdict::of_counters(plan, found, &restart, *interrupted.borrow());
    Ok(Audited {
        verdict,
        because,
        watched_with: WatchedWith::Counters,
        not_traced: None,
        durability: None,
        transfers_per_sync: None,
        per_acknowledgement,
        checks: vec![check, restart],
        files: Vec::new(),
        interrupted: *interrupted.borrow(),
    })
}

/// Whether a device may write past its cache without a flush, which is then not counted.
fn has_fua(device: &str) -> bool {
    // A partition's are those of the disk above it.
    let Ok(place) = std::fs::canonicalize(format!("/sys/class/block/{device}")) else {
        return true;
    };
    let files = ["queue/fua", "../queue/fua"].iter();
    let mut found = files.filter_map(|file| std::fs::read_to_string(place.join(file)).ok());
    found.next().is_none_or(|fua| fua.trim() != "0")
}

/// What the counters show; `None` is nothing.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn judged(
    plan: &Plan,
    asked: &Asked,
    written: Option<u64>,
    device: Option<&DeviceCounters>,
) -> (Option<DurabilityVerdict>, Check) {
    let acknowledged = asked.acknowledged.len() as u64;
    let mut said = match written {
        Some(written) => format!(
            "{acknowledged} acknowledged one after another, {written} bytes written by the server's \
             processes (/proc/PID/io)"
        ),
        None => {
            format!("{acknowledged} acknowledged one after another; /proc/PID/io cannot be read")
        }
    };
    let flushes = device.and_then(|device| device.flushes);
    match (device, flushes) {
        (Some(device), Some(flushes)) => {
            let _ = write!(said, "; {} flushed {flushes} times", device.name);
        }
        (Some(device), None) => {
            let _ = write!(said, "; {} does not count flushes", device.name);
        }
        (None, _) => said.push_str("; no block device to ask"),
    }
    let found = if acknowledged == 0 {
        None
    } else if written == Some(0) {
        Some(verdict::of_nothing_stored(plan.promise))
    } else if device.is_some_and(|device| !has_fua(&device.name))
        && flushes.is_some_and(|flushes| flushes * 2 < acknowledged)
    {
        Some(DurabilityVerdict::NotDurable)
    } else {
        None
    };
    let outcome = if found.is_some() {
        CheckOutcome::Failed
    } else {
        CheckOutcome::ShowsNothing
    };
    let figures = [
        ("acknowledged", Some(acknowledged)),
        ("bytes_written", written),
        ("device_flushes", flushes),
        (
            "device_bytes_written",
            device.map(|device| device.bytes_written),
        ),
    ];
    let figures = figures
        .into_iter()
        .filter_map(|(name, figure)| Some((name, figure? as f64)));
    (
        found,
        Check::new(CheckKind::Counters, outcome, said).with(figures),
    )
}
