//! The writers: each puts any document into its form.

mod cards;
pub mod html;
pub mod markdown;
mod svg;
mod table;
pub mod text;

pub use svg::DrawError;
