//! The server as it was before and after the load: its counters with all balances, its process,
//! its disk.

use busload_wire::control::{Info, Stats, Verification as OwnVerification};

use super::locate::Location;
use crate::config::RunConfig;
use crate::control::{ControlClient, ControlError};
use crate::host::device::DeviceCounters;
use crate::host::process::ProcessUsage;
use crate::observation::OwnVerified;
use crate::record::Device;

/// What the server looked like at one time.
#[derive(Default)]
pub(super) struct ServerSnapshot {
    pub(super) stats: Option<Stats>,
    usage: ProcessUsage,
    device: Option<DeviceCounters>,
}

impl ServerSnapshot {
    /// Takes it. Without verification the balances are left alone.
    pub(super) async fn take(
        config: &RunConfig,
        control: &mut ControlClient,
        location: &Location,
    ) -> Result<Self, ControlError> {
        let stats = control.stats(config.verification().is_some()).await?;
        Ok(Self {
            stats,
            ..Self::of_machine(location)
        })
    }

    /// What this machine says of it, without asking it.
    pub(super) fn of_machine(location: &Location) -> Self {
        let usage = location
            .pid
            .map_or_else(ProcessUsage::default, ProcessUsage::of_tree);
        Self {
            stats: None,
            usage,
            device: location
                .directory
                .as_deref()
                .and_then(DeviceCounters::of_path),
        }
    }

    /// What the block device did between the two.
    pub(super) fn device_since(&self, opening: &Self) -> Option<Device> {
        let (before, after) = opening.device.as_ref().zip(self.device.as_ref())?;
        let done = after.since(before);
        Some(Device {
            name: done.name,
            writes: done.writes,
            bytes_written: done.bytes_written,
            flushes: done.flushes,
        })
    }

    /// Bytes that the process caused to be written to storage between the two.
    pub(super) fn storage_bytes_since(&self, opening: &Self) -> Option<u64> {
        let written = |of: &Self| Some(of.usage.written?.to_storage);
        Some(written(self)?.saturating_sub(written(opening)?))
    }

    /// Largest resident set of the process so far.
    pub(super) fn peak_memory_bytes(&self) -> Option<u64> {
        self.usage.peak_memory_bytes
    }
}

/// A server that is not ours verifies itself; ours has told its balances already.
pub(super) async fn own_verification(
    config: &RunConfig,
    control: &mut ControlClient,
    info: Option<&Info>,
    died: bool,
) -> Option<Result<OwnVerified, String>> {
    if config.verification().is_none() || info.is_some() || died {
        return None;
    }
    match control.verify().await {
        Ok(OwnVerification::Verified {
            accounts, changed, ..
        }) => Some(Ok(OwnVerified {
            accounts: accounts.parse().ok(),
            changed: changed.parse().unwrap_or(0),
        })),
        Ok(OwnVerification::Skipped { .. }) | Err(ControlError::UnknownMethod(_)) => None,
        Err(error) => Some(Err(error.to_string())),
    }
}
