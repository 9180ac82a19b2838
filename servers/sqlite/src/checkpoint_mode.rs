//! Who keeps the write-ahead log short.

use crate::named::named;

named! {
    /// Who copies the log into the database.
    CheckpointMode, UnknownCheckpointMode =
        "no way to checkpoint '{0}': use background or between-batches";
    /// A thread of its own, and the writer only the rest.
    Background = "background",
    /// The writer, all of it between two batches.
    BetweenBatches = "between-batches",
}
