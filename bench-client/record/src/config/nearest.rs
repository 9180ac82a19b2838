//! What somebody may have meant.

/// Words that are at least as alike are taken for slips of each other, as clap takes them.
const ALIKE_MIN: f64 = 0.7;

/// The word among those that are known that is most like this one, if it is like one.
fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.into_iter().map(|one| (strsim::jaro(word, one), one));
    let alike = alike.filter(|(alike, _)| *alike > ALIKE_MIN);
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, one)| one)
}

/// ` (did you mean this?)` after a word that is not known.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |it| format!(" (did you mean {it}?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_known_and_another_word_is_not() {
        let known = ["sqlite_rpc", "sqlite_ws_rpc", "node-sqlite-ws"];
        assert_eq!(nearest("node-sqlite-w", known), Some("node-sqlite-ws"));
        assert_eq!(nearest("sqlite-ws-rpc", known), Some("sqlite_ws_rpc"));
        assert_eq!(nearest("yours", known), None);
        assert_eq!(
            did_you_mean("{prot}", ["{port}"]),
            " (did you mean {port}?)"
        );
    }
}
