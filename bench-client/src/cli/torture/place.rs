//! The directory of one audit.

use std::path::PathBuf;

use bench_client::host::environment::Environment;
use bench_client::record::torture::TortureRecord;

use super::super::output::new_name;
use super::{TortureArgs, usage};
use crate::cli::verbosity;

/// The directory of one audit: journal, tracer's log, and the database unless it was named.
pub(super) struct Place {
    pub(super) directory: PathBuf,
}

impl Place {
    pub(super) fn make(args: &TortureArgs, environment: &Environment) -> anyhow::Result<Self> {
        let directory = args.data_dir.join(new_name("torture", environment));
        // The last one is made here: what is in it is nobody else's.
        let made = std::fs::create_dir_all(&args.data_dir);
        made.and_then(|()| std::fs::create_dir(&directory))
            .map_err(|error| {
                usage(format!(
                    "cannot create the directory {}: {error}; choose another with --data-dir",
                    directory.display()
                ))
            })?;
        Ok(Self { directory })
    }

    /// Removes what was made, or says where it is.
    pub(super) fn clear_up(&self, keep: bool, record: &mut TortureRecord) {
        if keep {
            record.kept.push(self.directory.display().to_string());
        } else if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            verbosity::warning(&format!(
                "cannot remove {}: {error}",
                self.directory.display()
            ));
        }
    }
}
