//! The run record and the forms in which it is shown.

pub mod article;
pub mod audit_text;
pub mod bmf;
pub mod compare_csv;
pub mod compare_markdown;
pub mod compare_words;
pub mod csv;
pub mod forms;
pub mod github_benchmark;
pub mod gobench;
pub mod hgrm;
pub mod hlog;
pub mod html;
pub mod junit;
pub mod markdown;
pub mod step_summary;
pub mod summary;
pub mod table;
pub mod torture_text;
mod torture_verdict;
pub mod tracked;
