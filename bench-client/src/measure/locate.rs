//! Where the measured server is, as far as this machine can tell: its process, and the directory
//! of its database.

use std::path::PathBuf;

use busload_wire::control::Info;

use crate::config::{RunConfig, Target};
use crate::connector::Endpoint;
use crate::host::environment::Storage;
use crate::host::{listener, preload};
use crate::target::ServerProcess;

/// What is known of the server from outside of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Location {
    /// Its process; of one at a URL only when it is certain.
    pub(super) pid: Option<u32>,
    /// The directory of its database.
    pub(super) directory: Option<PathBuf>,
    /// Libraries that were preloaded into it; `None` where they cannot be looked up.
    pub(super) preload: Option<Vec<String>>,
    /// What its database is stored on, where that is not what the environment has.
    pub(super) storage: Option<Storage>,
}

impl Location {
    /// Of a server that this program has started, or of one at a loopback address.
    pub(super) fn of(
        config: &RunConfig,
        endpoint: &Endpoint,
        server: Option<&ServerProcess>,
        info: Option<&Info>,
    ) -> Self {
        if let Some(server) = server {
            let directory = config.target.data_place();
            let elsewhere = match &config.target {
                Target::Command { data_dir, .. } => {
                    directory.as_ref().filter(|place| **place != data_dir.0)
                }
                _ => None,
            };
            return Self {
                pid: Some(server.pid()),
                preload: preload::of_process(server.pid()),
                storage: elsewhere.map(|place| Storage::of_directory(place)),
                directory,
            };
        }
        let said = info.map(|info| info.pid);
        let Some(listening) = listener::pid_at(&endpoint.authority, said) else {
            return Self::default();
        };
        let directory = listener::database_directory(listening);
        Self {
            // A proxy listens and does not do the work.
            pid: (said == Some(listening) || directory.is_some()).then_some(listening),
            storage: directory.as_deref().map(Storage::of_directory),
            directory,
            preload: preload::of_process(listening),
        }
    }
}
