//! What a row says about its syncs and the disk below them.

use super::{invalid, warning};
use crate::config::About;
use crate::config::target_file::Promise;
use crate::disk::{SYNC_MIN_US, SyncMeasurement};
use crate::figures::{counted, in_us};
use crate::host::environment::{WITHOUT_PRELOAD, preloaded_message};
use crate::record::durability::RowAudit;
use crate::record::{Verdict, VerdictCode};

pub(in crate::judge) fn fake(reasons: &[String]) -> Verdict {
    invalid(
        VerdictCode::Fake,
        reasons.join("; "),
        "the answers were not made durable as declared: do not quote this row",
    )
}

pub(in crate::judge) fn not_durable(mode: &str) -> Verdict {
    warning(
        VerdictCode::NotDurable,
        format!("durability {mode}: a power cut may lose acknowledged transfers"),
        if mode.starts_with("postgres-") {
            "compare only with rows of the same durability, or set fsync, full_page_writes and \
             synchronous_commit on in the database"
        } else {
            "compare only with rows of the same durability, or use --durability wal-full"
        },
    )
}

/// It syncs at COMMIT, and what commits is not among what it has synced.
pub(in crate::judge) fn delete_full() -> Verdict {
    warning(
        VerdictCode::NotDurable,
        "durability delete-full, SQLite's default: acknowledged transfers survive a killed \
         process, but a power cut may take the last of them back, since the removal of the \
         journal is not synced"
            .to_owned(),
        "compare only with rows of the same durability, or use --durability delete-extra \
         or wal-full",
    )
}

/// The client has asked to be answered before it is durable.
pub(in crate::judge) fn unconfirmed_reads() -> Verdict {
    warning(
        VerdictCode::NotDurable,
        "confirmed reads are off: the server answers before its commit log is synced, and a power \
         cut may lose acknowledged transfers"
            .to_owned(),
        "compare only with rows of the same, or use --confirmed-reads on",
    )
}

/// The server itself does not tell: what its target's file says of it is a promise, and an audit
/// shows whether it is kept.
pub(in crate::judge) fn durability_not_told(about: Option<&About>) -> Verdict {
    let unknown = |message, remedy: &str| warning(VerdictCode::DurabilityUnknown, message, remedy);
    match about {
        Some(about) if about.durability == Promise::NotDurable => warning(
            VerdictCode::NotDurable,
            format!(
                "the target file of {} says that it is not durable: acknowledged transfers may be \
                 lost",
                about.name
            ),
            "compare only with rows of the same durability",
        ),
        Some(about) if about.durability == Promise::Durable => unknown(
            format!(
                "the target file of {} promises durability, the server itself does not say",
                about.name
            ),
            "bench-client audit watches whether it syncs before it answers",
        ),
        _ => unknown(
            "the server does not say how durable it is".to_owned(),
            "state it beside the number, or look with bench-client audit",
        ),
    }
}

/// Someone has watched from outside, and a server's own word is less than that.
pub(in crate::judge) fn audit_failed(audit: &RowAudit) -> Verdict {
    warning(
        VerdictCode::NotDurable,
        format!(
            "its audit of {} says {}, whatever the server says of itself",
            audit.at,
            audit.verdict.as_str()
        ),
        "read the audit's record with bench-client report; audit again once the server is mended",
    )
}

pub(in crate::judge) fn sync_too_fast(sync_us: f64, baseline_us: f64) -> Verdict {
    warning(
        VerdictCode::SyncTooFast,
        format!(
            "the server's sync p50 is {}, the disk's fastest is {}",
            in_us(Some(sync_us)),
            in_us(Some(baseline_us))
        ),
        "check that the database is on the disk that was measured",
    )
}

pub(in crate::judge) fn sync_does_nothing(what: &str) -> Verdict {
    warning(
        VerdictCode::SyncDoesNothing,
        format!(
            "{what}: no medium makes a write durable in less than {SYNC_MIN_US:.0} µs, so \
             its syncs do nothing"
        ),
        "do not quote it as durable: start it without LD_PRELOAD and eatmydata, on a file \
         system and a virtual disk that honour syncs",
    )
}

pub(in crate::judge) fn sync_swallowed(by_c_library_us: f64, by_kernel_us: f64) -> Verdict {
    warning(
        VerdictCode::SyncDoesNothing,
        format!(
            "fdatasync takes {} through the C library and {} by system call: what is between them \
             swallows the syncs of SQLite",
            in_us(Some(by_c_library_us)),
            in_us(Some(by_kernel_us))
        ),
        WITHOUT_PRELOAD,
    )
}

pub(in crate::judge) fn sync_methods_apart(
    fast: &SyncMeasurement,
    slow: &SyncMeasurement,
) -> Verdict {
    warning(
        VerdictCode::SyncMethodsApart,
        format!(
            "a durable write ({}) takes {} by {} and {} by {}: {:.0} times apart, \
             they are not both syncs",
            fast.pattern,
            in_us(Some(fast.typical_us())),
            fast.method,
            in_us(Some(slow.typical_us())),
            slow.method,
            slow.typical_us() / fast.typical_us()
        ),
        "find out which of them reaches the medium; measure on another disk or file system \
         with --data-dir",
    )
}

pub(in crate::judge) fn flushes_missing(claim: &str, flushes: u64) -> Verdict {
    warning(
        VerdictCode::FlushesMissing,
        format!(
            "{claim}, the disk below its database flushed its cache {} meanwhile, for all programs \
             together",
            counted(flushes, "time")
        ),
        "do not quote it as durable: look for what swallows syncs (LD_PRELOAD, eatmydata, a \
         file system without barriers)",
    )
}

pub(in crate::judge) fn preloaded(libraries: &[&str]) -> Verdict {
    warning(
        VerdictCode::Preloaded,
        preloaded_message(libraries, "the server"),
        WITHOUT_PRELOAD,
    )
}

pub(in crate::judge) fn unstable(before_us: f64, after_us: f64) -> Verdict {
    warning(
        VerdictCode::Unstable,
        format!(
            "the disk's sync p50 was {} before and {} after the run",
            in_us(Some(before_us)),
            in_us(Some(after_us))
        ),
        "stop other users of the disk and repeat; compare rows as ratios only",
    )
}

pub(in crate::judge) fn rounds_apart(
    SyncMeasurement {
        method, pattern, ..
    }: &SyncMeasurement,
    least_us: f64,
    most_us: f64,
) -> Verdict {
    warning(
        VerdictCode::WideSpread,
        format!(
            "the disk was busy: rounds of {method}, {pattern}, differ {:.0}-fold ({} to {})",
            most_us / least_us,
            in_us(Some(least_us)),
            in_us(Some(most_us))
        ),
        "stop other users of the disk and repeat",
    )
}
