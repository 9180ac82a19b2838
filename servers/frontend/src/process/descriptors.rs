//! How many files this process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that are kept for the database, its journal, the listener, the runtime and
/// standard streams: a ledger that cannot open its journal cannot commit.
const SPARE_DESCRIPTORS: u64 = 48;

/// As many descriptors as the operating system allows, since connections are what uses them up;
/// the limit then, if there is one.
pub(crate) fn raise_limit() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Some(hard);
    }
    Some(soft)
}

/// Connections for which a limit of descriptors has room; at least one.
pub(crate) fn connections_within(limit: Option<u64>) -> usize {
    limit.map_or(usize::MAX, |limit| {
        let left = limit.saturating_sub(SPARE_DESCRIPTORS).max(1);
        usize::try_from(left).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept_for_the_ledger() {
        assert_eq!(connections_within(Some(1024)), 976);
        assert_eq!(connections_within(Some(16)), 1);
        assert_eq!(connections_within(None), usize::MAX);
    }
}
