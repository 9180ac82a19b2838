//! Places where a test can stop the writer, by the variable `FAILPOINTS` (`NAME=ACTIONS`, several
//! with `;` between them) or by the `fail` crate's `cfg`. Without the feature `failpoints`, which
//! only tests switch on, nothing is left of them.
//!
//! Besides that crate's own actions (`panic`, `sleep(MILLISECONDS)`, …) each knows `return`: the
//! process ends at once, as `kill -9` would end it.

/// Every transfer of the batch is applied, COMMIT was not called.
pub(crate) const BEFORE_COMMIT: &str = "before-commit";
/// COMMIT has returned, nobody was answered.
pub(crate) const AFTER_COMMIT: &str = "after-commit";
/// The outcomes were handed to the front end.
pub(crate) const AFTER_ANSWER: &str = "after-answer";

/// Reads the variable, once in a process.
#[cfg(feature = "failpoints")]
pub(crate) fn arm() {
    static ARMED: std::sync::Once = std::sync::Once::new();
    ARMED.call_once(|| {
        let text = std::env::var("FAILPOINTS").unwrap_or_default();
        for (name, actions) in text.split(';').filter_map(|one| one.split_once('=')) {
            fail::cfg(name, actions).expect("a test knows what it writes into FAILPOINTS");
        }
    });
}

#[cfg(feature = "failpoints")]
pub(crate) fn reach(name: &'static str) {
    fail::fail_point!(name, |_| std::process::abort());
}

#[cfg(not(feature = "failpoints"))]
pub(crate) const fn arm() {}

#[cfg(not(feature = "failpoints"))]
pub(crate) const fn reach(_: &'static str) {}
