//! Where the measured server is, as far as this machine can tell: its process, and the directory
//! of its database.

use std::path::PathBuf;

use busload_wire::control::Info;

use super::directory;
use crate::config::RunConfig;
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
    /// What the database of a server at a URL is stored on; that of this program's own is in the
    /// environment.
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
            return Self {
                pid: Some(server.pid()),
                directory: directory(config).map(PathBuf::from),
                preload: preload::of_process(server.pid()),
                storage: None,
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
