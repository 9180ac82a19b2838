//! The run record and the forms in which it is shown.

pub mod article;
pub mod comparison;
pub mod csv;
pub mod device;
pub mod environment;
pub mod hgrm;
pub mod hlog;
pub mod html;
pub mod knobs;
pub mod load_record;
pub mod markdown;
pub mod process;
pub mod record;
pub mod rows;
pub mod series;
pub mod summary;
pub mod table;

pub use environment::Environment;
pub use record::{Record, Row, SCHEMA_VERSION};
