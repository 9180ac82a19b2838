//! How a batch was applied, where rows are shown and compared.

use busload_sqlite::Apply;

use super::Row;

/// What stands beside the durability of a server: rows whose batches were coalesced are never
/// shown without it.
#[must_use]
pub fn with_apply(durability: &str, apply: Option<&str>) -> String {
    match apply {
        Some(apply) if apply != Apply::PerTransfer.as_str() => {
            format!("{durability}, apply: {apply}")
        }
        _ => durability.to_owned(),
    }
}

impl Row {
    /// How the server applied its batches; `None` where that is not known. Servers that count for
    /// themselves and do not tell are of before there was a choice.
    #[must_use]
    pub fn apply_or_default(&self) -> Option<&str> {
        let counts = self.server.is_some() || self.config.target.durability().is_some();
        let default = counts.then_some(Apply::PerTransfer.as_str());
        self.apply.as_deref().or(default)
    }

    /// The durability, and what else a figure is never quoted without.
    #[must_use]
    pub fn durability_and_apply(&self) -> String {
        let told = self.durability != "unknown";
        match self.config.target.about() {
            // A promise, and nothing that the server has shown.
            Some(about) if !told => format!("promised: {}", about.durability),
            _ => with_apply(&self.durability, self.apply.as_deref()),
        }
    }
}
