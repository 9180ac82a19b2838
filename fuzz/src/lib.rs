//! What the fuzz targets share: messages made from bytes, and servers to send bytes to.

pub mod any;
pub mod servers;
