//! The end of an audit of every transfer, as a person reads it: whether anything was lost, what was
//! done to the server, what became of the transfers, and what limited it. Everything else is in
//! [`torture`](super::torture).

use std::path::Path;

use super::torture::{finding, found_in, left_out, of_runs, replayed, syncs, verdict};
use super::words::joined;
use crate::figures::{counted, grouped};
use crate::record::torture::{FaultRow, Finding, TortureRecord};
use crate::render::document::{Document, Facts, Line, Tone};

/// What an audit without power cuts leaves open.
const UNTESTED: &str = "power cuts: what was written survives a kill without any sync, so kills alone \
                        cannot show that one is missing (--faults power-cut)";

/// The end of an audit. `path` is where the record is, if it stays.
#[must_use]
pub fn closing(record: &TortureRecord, path: Option<&Path>) -> Document {
    let mut facts = Facts::default();
    facts.add(word(record), verdict::found(record));
    let failing = record.findings.iter().filter(|one| one.fails);
    facts.add_known("found", first_of(failing.map(said)));
    let is_cycled = !record.cycles.is_empty();
    facts.add_known("done", is_cycled.then(|| done(record)));
    facts.add_known("ledger", is_cycled.then(|| ledger(record)));
    facts.add_known("syncs", syncs(record));
    facts.add_known("in doubt", is_cycled.then(|| in_doubt(record)));
    let states = record.crash_states.as_ref();
    let states = states.map(|states| format!("{}: {}", of_runs(states), found_in(&states.counts)));
    facts.add_known("states", states);
    let skipped = record.skipped.iter();
    let skipped = skipped.map(|one| format!("{}: {}", one.fault, one.why));
    facts.add_known("skipped", first_of(skipped));
    facts.add_known("left out", left_out(record));
    let is_warned = record.untested_loss().is_some();
    let untested = record.valid && is_cycled && !record.has_cut_power() && !is_warned;
    facts.add_known("untested", untested.then_some(UNTESTED));
    let odd = record.findings.iter().filter(|one| !one.fails).map(said);
    let warnings = first_of(record.warnings.iter().cloned().chain(odd));
    facts.add_known(Line::default().mark(Tone::Warn, "warning"), warnings);
    let kept = record.kept.first().map(|kept| {
        let replay = (!record.valid).then(|| "-v has the command that does it again".to_owned());
        joined(" · ", [Some(kept.clone()), replay])
    });
    facts.add_known("kept", kept);
    facts.add_known("record", path.map(|path| path.display().to_string()));
    let mut document = Document::default();
    document.facts(facts);
    document
}

/// The same in one line.
#[must_use]
pub fn in_a_line(record: &TortureRecord, path: Option<&Path>) -> Line {
    let counts = &record.counts;
    let states = record.crash_states.as_ref();
    let parts = [
        Some(format!("  {} acknowledged", grouped(counts.acknowledged))),
        Some(match counts.unverified {
            0 => format!("{} lost", grouped(counts.lost)),
            unverified => format!(
                "{} lost, {} unverified",
                grouped(counts.lost),
                grouped(unverified)
            ),
        }),
        Some(format!("{} in doubt", grouped(counts.unknown))),
        states.map(|states| counted(states.counts.states, "crash state")),
        (!record.has_cut_power()).then(|| "no power cut".to_owned()),
        path.map(|path| path.display().to_string()),
    ];
    word(record).plain(joined("  ", parts))
}

fn word(record: &TortureRecord) -> Line {
    let doubts = record.interrupted || record.shows_nothing() || record.untested_loss().is_some();
    let tone = match (record.valid, doubts) {
        (false, _) => Tone::Bad,
        (true, true) => Tone::Warn,
        (true, false) => Tone::Good,
    };
    Line::default().mark(tone, verdict::word(record))
}

fn said(one: &Finding) -> String {
    finding(one)
        .to_string()
        .trim_start_matches("warning: ")
        .to_owned()
}

/// The first, and how many more there are.
fn first_of(all: impl Iterator<Item = String>) -> Option<String> {
    let mut all = all;
    let first = all.next()?;
    let more = match all.count() as u64 {
        0 => String::new(),
        more => format!(" (and {} more)", grouped(more)),
    };
    Some(first + &more)
}

/// What was done to the server, and what of it did not come at the moment that was meant.
fn done(record: &TortureRecord) -> String {
    let kind = record.file_system.as_deref();
    let of = kind.map_or_else(String::new, |kind| format!(" of {kind}"));
    let count = |count: u64, what| (count > 0).then(|| counted(count, what));
    let missed = record.faults.iter().filter(|row| row.injected < row.cycles);
    let missed = missed.map(
        |FaultRow {
             fault,
             injected,
             cycles,
             ..
         }| { format!("{fault} {injected} of {cycles}") },
    );
    let missed = missed.collect::<Vec<_>>().join(", ");
    let parts = [
        count(record.kills, "interruption"),
        count(record.cuts, "power cut").map(|cuts| cuts + &of),
        (!missed.is_empty()).then(|| format!("at the moment that was meant: {missed}")),
    ];
    joined(" · ", parts)
}

fn ledger(record: &TortureRecord) -> String {
    let counts = &record.counts;
    let wrong = |count: u64, what: &str| (count > 0).then(|| format!("{} {what}", grouped(count)));
    let parts = [
        Some(format!(
            "{} acknowledged, {} lost",
            grouped(counts.acknowledged),
            grouped(counts.lost)
        )),
        wrong(counts.unverified, "unverified"),
        wrong(counts.applied_twice, "twice"),
        wrong(counts.gaps, "missing before later ones"),
        wrong(counts.refused_present, "refused and there"),
        wrong(counts.unexplained, "unexplained"),
        (record.replay_matches == Some(false)).then(|| replayed(record).to_owned()),
        (record.snapshots > 0).then(|| counted(record.snapshots, "snapshot") + " of all balances"),
    ];
    joined(" · ", parts)
}

/// What became of transfers that nobody answered.
fn in_doubt(record: &TortureRecord) -> String {
    let counts = &record.counts;
    let again = record.exactly_once.as_ref().map(|once| {
        let not = match once.unresolved {
            0 => String::new(),
            count => format!(", {} NOT answered ok", grouped(count)),
        };
        format!("sent again: {} resolved{not}", grouped(once.resolved))
    });
    let [unknown, there, absent] = [
        counts.unknown,
        counts.unknown_present,
        counts.unknown_absent,
    ]
    .map(grouped);
    let unread = counts.unknown - counts.unknown_present - counts.unknown_absent;
    let unread = match unread {
        0 => String::new(),
        unread => format!(", {} unverified", grouped(unread)),
    };
    let all = format!("{unknown} without an answer: {there} applied, {absent} not{unread}");
    joined(" · ", [Some(all), again])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::torture::{FaultKind, Skipped};
    use crate::render::write::text::{Layout, write};

    const AUDIT: &str = include_str!("../../../tests/records/torture.json");

    fn record() -> TortureRecord {
        serde_json::from_str(AUDIT).unwrap()
    }

    fn text(record: &TortureRecord, width: usize, colour: bool) -> String {
        let layout = Layout {
            width: Some(width),
            verbose: false,
            colour,
        };
        let path = Path::new("results/runs/20261130.json");
        write(&closing(record, Some(path)), layout)
    }

    /// Of everything that can be wrong there is more than one.
    fn worst() -> TortureRecord {
        let mut record = record();
        let long = "a word and another ".repeat(20);
        for fails in [true, false, true, false] {
            let mut finding = super::super::torture::tests::loss();
            (finding.fails, finding.message) = (fails, long.clone());
            record.find(finding);
        }
        for _ in 0..2 {
            record.skipped.push(Skipped {
                fault: FaultKind::Eio,
                why: long.clone(),
            });
        }
        let all = FaultKind::ALL.into_iter();
        record.not_injected = all.filter(|kind| *kind != FaultKind::Kill).collect();
        record.warnings = vec![long; 2];
        record.kept = vec![".data/torture-1".to_owned()];
        record.interrupted = true;
        record
    }

    #[test]
    fn it_ends_with_the_record_and_begins_with_the_verdict_and_what_is_wrong_is_whole() {
        for record in [record(), worst()] {
            for width in [40, 60, 80, 100, 160] {
                let shown = text(&record, width, false);
                let word = verdict::word(&record);
                assert!(shown.starts_with(word), "{shown}");
                let wide = shown.lines().map(|line| line.chars().count()).max();
                assert!(wide <= Some(width), "{width}: {shown}");
                // One finding, one warning and one reason why a fault was left out.
                let said = shown.matches("word").count();
                assert!(said == 0 || said == 3 * 20, "{width}: {shown}");
                let last = shown.lines().last().unwrap();
                assert!(last.starts_with("record "), "{shown}");
            }
        }
    }

    #[test]
    fn what_became_of_the_transfers_is_on_it() {
        let mut record = record();
        let counts = &mut record.counts;
        (counts.acknowledged, counts.lost) = (165_200, 0);
        (
            counts.unknown,
            counts.unknown_present,
            counts.unknown_absent,
        ) = (1_504, 424, 1_080);
        let shown = text(&record, 100, false);
        for said in [
            "165,200 acknowledged, 0 lost",
            "1,504 without an answer: 424 applied, 1,080 not",
        ] {
            assert!(shown.contains(said), "no {said} in {shown}");
        }
        let line = in_a_line(&record, None).to_string();
        assert!(
            line.starts_with("NOTHING LOST  165,200 acknowledged  0 lost  1,504 in doubt"),
            "{line}"
        );
        assert!(line.ends_with("no power cut"), "{line}");
        assert!(shown.contains("\nuntested     power cuts: "), "{shown}");
    }

    #[test]
    fn a_ledger_that_is_lost_whole_is_never_0_lost_alone() {
        let mut record = record();
        (record.counts.acknowledged, record.counts.unverified) = (500, 500);
        let shown = text(&record, 100, false);
        assert!(
            shown.contains("500 acknowledged, 0 lost · 500 unverified"),
            "{shown}"
        );
        let line = in_a_line(&record, None).to_string();
        assert!(line.contains("0 lost, 500 unverified"), "{line}");
    }

    #[test]
    fn the_verdict_and_what_is_odd_are_in_colour() {
        let (good, bad) = ("\u{1b}[1m\u{1b}[32m", "\u{1b}[1m\u{1b}[31m");
        assert!(text(&record(), 80, true).starts_with(&format!("{good}NOTHING LOST")));
        let shown = text(&worst(), 80, true);
        assert!(shown.starts_with(&format!("{bad}FAILED")), "{shown}");
        assert!(shown.contains("\u{1b}[33mwarning"), "{shown}");
    }
}
