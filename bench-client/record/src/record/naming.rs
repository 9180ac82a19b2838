//! What a person calls a record, and says of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A title and a note, which say nothing of what was measured: records are compared whatever they
/// are called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Naming {
    /// What a person calls it (`--title`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What a person says of it (`--note`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
