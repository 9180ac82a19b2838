//! How a server ended that was started for a row.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a server ended. Whatever it had started has ended, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerEnd {
    /// What told it to stop: a signal, or `end of input` where its standard input was closed.
    /// Absent when it had ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// Its exit code; absent when a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// From being told to its end, with all processes of its group, in seconds.
    pub seconds: f64,
    /// After so many seconds it was still there, or another process of its group was, and the
    /// group was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed_after_seconds: Option<f64>,
    /// Processes, besides itself, that were still there then: number and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

impl ServerEnd {
    /// What a person should know of it; nothing of one that ended as it was told.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let seconds = self.killed_after_seconds?;
        let asked = self.asked_by.as_deref().unwrap_or("being told");
        let left = match self.left.as_slice() {
            [] => String::new(),
            left => format!(" (with {})", left.join(", ")),
        };
        Some(format!(
            "the server was still there {seconds:.0} s after {asked}, and was killed{left}"
        ))
    }
}
