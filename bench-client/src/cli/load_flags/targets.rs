//! `--target`: from names and files to what is measured.

use std::sync::{Arc, Mutex, PoisonError};

use bench_client::config::target_file::Choices;
use bench_client::config::{ConnectorKind, Target, TargetFile};
use bench_client::targets::{self, Found, TargetsError};
use clap::ValueEnum as _;

use crate::cli::usage;

/// What a name of `--target` stands for.
#[derive(Debug, Clone)]
pub(crate) enum Chosen {
    /// This program's own server.
    Own(ConnectorKind),
    /// A target file.
    File(Arc<Found>),
}

/// What was found, by name: a search of knobs asks for the same again and again.
static FOUND: Mutex<Vec<(String, Arc<Found>)>> = Mutex::new(Vec::new());
/// What `version` commands said, by the target's name and folder.
static VERSIONS: Mutex<Vec<(Arc<Found>, Option<String>)>> = Mutex::new(Vec::new());

/// What a name or path stands for.
pub(crate) fn choose(name: &str) -> anyhow::Result<Chosen> {
    if let Ok(connector) = ConnectorKind::from_str(name, false) {
        return Ok(Chosen::Own(connector));
    }
    let mut all = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, found)) = all.iter().find(|(other, _)| other == name) {
        return Ok(Chosen::File(Arc::clone(found)));
    }
    // Without a folder for them nothing is installed.
    let directory = targets::directory().unwrap_or_default();
    let found = targets::find(name, &directory).map_err(|error| usage(&error.to_string()))?;
    let found = Arc::new(found);
    all.push((name.to_owned(), Arc::clone(&found)));
    Ok(Chosen::File(found))
}

impl Chosen {
    pub(crate) fn connector(&self) -> ConnectorKind {
        match self {
            Self::Own(connector) => *connector,
            Self::File(found) => found.file.connector,
        }
    }

    pub(crate) fn file(&self) -> Option<&TargetFile> {
        match self {
            Self::Own(_) => None,
            Self::File(found) => Some(&found.file),
        }
    }

    /// What a row carries of a target file; `None` of this program's own server. Its `version`
    /// command is run.
    pub(crate) fn target(&self, choices: Choices) -> anyhow::Result<Option<Target>> {
        let Self::File(found) = self else {
            return Ok(None);
        };
        let asked = || {
            let version = version(found)?;
            let choices = Choices { version, ..choices };
            let folder = match &found.file.start {
                Some(_) => found.folder()?,
                None => found.folder.as_deref().unwrap_or(std::path::Path::new("")),
            };
            Ok(found.file.target(folder, choices))
        };
        let target = asked().map_err(|error: TargetsError| usage(&error.to_string()))?;
        Ok(Some(target))
    }
}

fn version(found: &Arc<Found>) -> Result<Option<String>, TargetsError> {
    let mut all = VERSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, version)) = all.iter().find(|(other, _)| Arc::ptr_eq(other, found)) {
        return Ok(version.clone());
    }
    // Of one that runs elsewhere a program here says nothing, unless it is there to be asked.
    let version = match found.folder {
        None if found.file.start.is_none() => None,
        _ => targets::version(found)?,
    };
    all.push((Arc::clone(found), version.clone()));
    Ok(version)
}
