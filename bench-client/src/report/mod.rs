//! The run record and the forms in which it is shown.

pub mod article;
pub mod bmf;
pub mod compare_csv;
pub mod compare_markdown;
pub mod compare_words;
pub mod comparison;
pub mod crash_states;
pub mod csv;
pub mod device;
pub mod environment;
pub mod github_benchmark;
pub mod gobench;
pub mod hgrm;
pub mod hlog;
pub mod html;
pub mod junit;
pub mod knobs;
pub mod listener;
pub mod load_record;
pub mod markdown;
pub mod preload;
pub mod process;
pub mod record;
pub mod rows;
pub mod series;
pub mod step_summary;
pub mod summary;
pub mod table;
pub mod torture;
pub mod torture_text;
mod torture_verdict;
pub mod tracked;

pub use environment::Environment;
pub use record::{Record, Row, SCHEMA_VERSION};
