//! What a server asks of its process and is told by it: memory, open files, signals.

pub(crate) mod allocator;
pub(crate) mod descriptors;
pub(crate) mod signals;
