//! How records are shown: [`records`] says what is in each kind of record, as a [`document`] that
//! knows no form, with `charts` as data; [`mod@write`] puts any document into a form for people;
//! [`forms`] are those for other programs, and the list of all.

mod charts;
pub mod document;
mod form;
pub mod forms;
mod ratios;
pub mod records;
pub mod table;
pub mod write;
