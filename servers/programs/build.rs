//! Tells the programs what they were built from.

use std::path::Path;

fn main() {
    busload_revision::emit(Path::new("../.."));
}
