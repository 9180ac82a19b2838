//! Where images are written and opened.

use std::io;
use std::path::Path;

use busload_engine::EngineError;
use busload_sqlite::{Inspection, inspect};
use tempfile::TempDir;

use super::record::Role;
use super::replay_error::ReplayError;
use super::state::Image;

/// Where images are put if it is there: they are opened in their thousands.
const MEMORY: &str = "/dev/shm";

/// A directory in which one image after another is opened.
pub(super) struct ScratchDirectory {
    directory: TempDir,
    /// What the files hold, so that one that stays the same is not written again; `None`
    /// when that is not known.
    written: Option<Image>,
}

impl ScratchDirectory {
    pub(super) fn new() -> Result<Self, ReplayError> {
        let memory = Path::new(MEMORY);
        let mut builder = tempfile::Builder::new();
        builder.prefix("busload-images-");
        let directory = builder.tempdir_in(memory).or_else(|_| builder.tempdir());
        let directory = directory.map_err(|source| ReplayError::Write {
            directory: std::env::temp_dir(),
            source,
        })?;
        Ok(Self {
            directory,
            written: Some(Image::default()),
        })
    }

    /// Recovers and reads an image. The inner error says that it cannot be read.
    pub(super) fn open(
        &mut self,
        image: &Image,
    ) -> Result<Result<Inspection, EngineError>, ReplayError> {
        let database = self.directory.path().join("image");
        self.write(image, &database)
            .map_err(|source| ReplayError::Write {
                directory: self.directory.path().to_owned(),
                source,
            })?;
        let found = inspect(&database);
        // Playing back a journal changes the database and removes the journal.
        if image[Role::Journal.index()].is_some() || found.is_err() {
            self.written = None;
        }
        Ok(found)
    }

    fn write(&mut self, image: &Image, database: &Path) -> io::Result<()> {
        let written = self.written.take();
        for role in Role::ALL {
            let content = &image[role.index()];
            if written.as_ref().map(|written| &written[role.index()]) == Some(content) {
                continue;
            }
            let path = role.path(database);
            match content {
                Some(content) => std::fs::write(&path, content)?,
                None => match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
            }
        }
        self.written = Some(image.clone());
        Ok(())
    }
}

/// Writes the files of an image beside `database`, where none of them is yet.
///
/// # Errors
/// They cannot be written.
pub fn write_image(image: &Image, database: &Path) -> io::Result<()> {
    for role in Role::ALL {
        if let Some(content) = &image[role.index()] {
            std::fs::write(role.path(database), content)?;
        }
    }
    Ok(())
}
