//! How the server under audit is started, again and again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{ConnectorKind, Encoding, Target};
use crate::connector::Endpoint;
use crate::control::ControlClient;
use crate::target::{ServerProcess, ServerSpec, Serving, TargetError, Waiting, answers, vacant};

/// Longest time for which somebody may accept connections at the place of a server that has
/// ended.
pub const VACATING: Duration = Duration::from_secs(5);
/// Pause between two looks at the place.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// How requests travel, and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// The connector.
    pub connector: ConnectorKind,
    /// How transfers are written.
    pub encoding: Encoding,
}

impl Wire {
    /// A control plane to a server.
    #[must_use]
    pub fn control(self, endpoint: &Endpoint) -> ControlClient {
        ControlClient::new(self.connector, endpoint.clone())
    }
}

/// A server that is started on the same ledger again and again.
#[derive(Debug, Clone)]
pub struct ServerCommand {
    /// Whose it is.
    pub target: Target,
    /// Where it listens, unless it says so in its first line.
    pub place: Option<Endpoint>,
    /// File that takes all of its output, anew at each start; what the start before left is beside
    /// it. Without one the last lines of its error output are kept.
    pub output: Option<PathBuf>,
    /// How requests travel.
    pub wire: Wire,
    /// Accounts of a new ledger of this program's own server.
    pub accounts: u32,
    /// What each of them starts with.
    pub initial_balance: i64,
}

impl ServerCommand {
    /// It is this program's own server: it seeds itself, and must end as the protocol says.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.target.is_built_in()
    }

    /// The command with the words of a wrapper before it.
    ///
    /// # Errors
    /// This program's own file cannot be found, or there is no command.
    pub fn spec(
        &self,
        wrapper: &[String],
        database: &Path,
        wiping: bool,
    ) -> Result<ServerSpec, TargetError> {
        let serving = Serving {
            connector: self.wire.connector,
            accounts: self.accounts,
            initial_balance: self.initial_balance,
            database,
            fresh: wiping,
            connections: None,
        };
        let unfound = |source| TargetError::Spawn {
            program: "this program's own file".to_owned(),
            source,
        };
        let spec = ServerSpec::start(&self.target, &serving).map_err(unfound)?;
        let spec = spec.ok_or_else(|| unfound(std::io::ErrorKind::NotFound.into()))?;
        Ok(ServerSpec {
            output: self.output.clone(),
            ..spec.wrapped(wrapper)
        })
    }

    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started, or does not get ready.
    pub async fn start(
        &self,
        wrapper: &[String],
        database: &Path,
        wiping: bool,
        waiting: &mut dyn Waiting,
    ) -> Result<ServerProcess, TargetError> {
        let spec = self.spec(wrapper, database, wiping)?;
        if let Some(output) = &spec.output {
            // There is none before the first start.
            let _ = std::fs::rename(output, output.with_extension("before.log"));
        }
        ServerProcess::start_at(&spec, self.place.as_ref(), waiting).await
    }

    /// Starts it for the first time, when nobody has its place.
    ///
    /// # Errors
    /// As of [`start`](Self::start); or there is a server already, which is left alone.
    pub async fn start_first(
        &self,
        database: &Path,
        wiping: bool,
        waiting: &mut dyn Waiting,
    ) -> Result<ServerProcess, TargetError> {
        vacant(self.place.as_ref()).await?;
        self.start(&[], database, wiping, waiting).await
    }

    /// The server has ended: who still accepts connections at its place, [`VACATING`] later.
    /// Nobody, for a server that says itself where it listens: it chooses a new place each time.
    pub async fn still_answering(&self) -> Option<&Endpoint> {
        let place = self.place.as_ref()?;
        let vacated = async {
            while answers(place).await {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        let waited = tokio::time::timeout(VACATING, vacated).await;
        waited.is_err().then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::target_file::Start;
    use crate::config::{About, Private};

    #[test]
    fn a_recipe_says_how_it_is_started() {
        let command = ServerCommand {
            target: Target::Command {
                about: About::default(),
                start: Private(Start {
                    command: ["server", "--file={database}", "x"]
                        .map(str::to_owned)
                        .to_vec(),
                    ..Start::default()
                }),
                url: Private::default(),
                approach: Private::default(),
                data_dir: Private::default(),
                keep_db: false,
            },
            place: None,
            output: None,
            wire: Wire {
                connector: ConnectorKind::SqliteRpc,
                encoding: Encoding::Json,
            },
            accounts: 2,
            initial_balance: 1,
        };
        let words = |wrapper: &[&str], wiping| {
            let wrapper: Vec<_> = wrapper.iter().map(|word| (*word).to_owned()).collect();
            let spec = command.spec(&wrapper, Path::new("a b"), wiping).unwrap();
            let mut words = vec![spec.program.display().to_string()];
            words.extend(spec.args);
            words
        };
        assert_eq!(words(&[], false), ["server", "--file=a b", "x"]);
        assert_eq!(
            words(&["strace", "-f"], true),
            ["strace", "-f", "server", "--file=a b", "x"]
        );
    }
}
