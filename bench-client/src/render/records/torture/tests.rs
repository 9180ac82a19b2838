use super::*;
use crate::host::environment::Environment;
use crate::record::torture::FaultKind;
use crate::record::torture::{Audited, FindingKind, Load, SuspectTransfer};
use crate::render::write::text::{Layout, write};

fn describe(record: &TortureRecord) -> String {
    write(&document(record), Layout::default())
}

fn record() -> TortureRecord {
    let server = Audited {
        own: true,
        transport: "ws".to_owned(),
        encoding: "json".to_owned(),
        durability_requested: None,
        durability: Some("wal-full".to_owned()),
        apply: None,
    };
    let load = Load {
        workers: 16,
        inflight: 8,
        connections: 16,
        cycle_ms: 2000,
    };
    let here = Environment::capture(std::path::Path::new("."));
    TortureRecord::new(here, server, load, 7)
}

fn row(fault: FaultKind, lost: u64) -> CycleRow {
    CycleRow {
        number: 1,
        fault,
        moment: Moment::Time { after_ms: 81 },
        injected: true,
        ended: "SIGKILL".to_owned(),
        syncs: None,
        counts: Counts {
            sent: 12,
            acknowledged: 10,
            lost,
            unknown: 2,
            unknown_present: 1,
            ..Counts::default()
        },
    }
}

pub(in super::super) fn loss() -> Finding {
    Finding {
        kind: FindingKind::Lost,
        cycle: 1,
        fault: Some(FaultKind::Kill),
        worker: Some(3),
        transfer: Some(SuspectTransfer {
            number: 9,
            from: 6,
            to: 7,
            amount: 1234,
            answer: Some("ok".to_owned()),
            applied: Some(0),
        }),
        message: "acknowledged, and not there".to_owned(),
        fails: true,
    }
}

#[test]
fn a_clean_audit_says_so() {
    let mut record = record();
    record.push(row(FaultKind::Kill, 0), Vec::new());
    record.push(row(FaultKind::PowerCut, 0), Vec::new());
    let text = describe(&record);
    assert!(text.contains("NOTHING LOST: 20 acknowledged"), "{text}");
    assert!(text.contains("1 kill, 1 power cut"), "{text}");
    assert!(!text.contains("to replay"), "{text}");
}

/// A kill leaves the page cache: the verdict says what that does not show, and a server that says
/// or shows that it does not sync is warned of.
#[test]
fn what_kills_alone_do_not_show_is_said() {
    let audit = |durability: &str, syncs, power_cut: bool| {
        let mut record = record();
        record.server.durability = Some(durability.to_owned());
        let mut killed = row(FaultKind::Kill, 0);
        killed.syncs = Some(SyncCount {
            syncs,
            transfers: 10,
        });
        record.push(killed, Vec::new());
        if power_cut {
            record.push(row(FaultKind::PowerCut, 0), Vec::new());
        }
        record.conclude(&[]);
        (describe(&record), record.warnings)
    };
    let untested = "; no power cut was tested";
    let (text, warnings) = audit("wal-full", 4, false);
    assert!(
        text.contains(&format!("durability wal-full{untested}")),
        "{text}"
    );
    assert!(
        text.contains("syncs: 4 for 10 transfers that were counted beside them, 2.5 per sync"),
        "{text}"
    );
    assert_eq!(warnings, [""; 0]);
    for (durability, syncs, said) in [
        (
            "off",
            0,
            "the server synced 0 times (fsync, fdatasync) while it answered 10 transfers",
        ),
        (
            "wal-normal",
            1,
            "durability wal-normal: a power cut may lose",
        ),
    ] {
        let (text, warnings) = audit(durability, syncs, false);
        assert!(text.contains(untested), "{text}");
        assert!(
            warnings[0].starts_with(said) && warnings.len() == 1,
            "{warnings:?}"
        );
        assert!(
            warnings[0].ends_with("add power-cut to --faults"),
            "{warnings:?}"
        );
        let (text, warnings) = audit(durability, syncs, true);
        assert!(!text.contains(untested) && warnings.is_empty(), "{text}");
    }
}

/// "0 lost" of a ledger that could not be read would be taken for a sound one.
#[test]
fn what_could_not_be_read_back_is_not_called_there() {
    let mut record = record();
    let mut cut = row(FaultKind::PowerCut, 0);
    cut.counts.unverified = 10;
    let kind = FindingKind::DidNotComeBack;
    record.push(cut, vec![Finding { kind, ..loss() }]);
    let text = describe(&record);
    let said = "FAILED: 1 did_not_come_back (10 acknowledged); whether all 10 acknowledged transfers \
                are lost cannot be known";
    assert!(text.contains(said), "{text}");
    assert!(text.contains(" unverified"), "a column: {text}");
    assert!(cycle_line(&record.cycles[0], 1, &[]).contains("10 acknowledged, 10 unverified"));
    record.push(row(FaultKind::PowerCut, 0), Vec::new());
    let text = describe(&record);
    let said = "whether 10 of the 20 acknowledged transfers are lost";
    assert!(text.contains(said), "{text}");
}

fn crash_states(lost: u64) -> CrashStates {
    use crate::record::crash_states::RecordedRun;
    use crate::record::crash_states::ReplayReport;
    use crate::torture::crash_states::Model;
    let report = ReplayReport {
        states: 300,
        lost,
        examples: (lost > 0)
            .then(|| "a cut before line 7".to_owned())
            .into_iter()
            .collect(),
        ..ReplayReport::default()
    };
    let mut states = CrashStates::asked(300);
    states.runs.push(RecordedRun {
        acknowledged: 50,
        replays: vec![busload_audit::crash_states::replay::replayed(
            Model::STRICT,
            report,
        )],
        ..RecordedRun::default()
    });
    states.sum_up();
    states
}

#[test]
fn crash_states_have_a_line_and_alone_no_table() {
    let mut record = record();
    record.push_states(crash_states(0));
    let text = describe(&record);
    for expected in [
        "300 crash states of 1 recorded run with 50 acknowledged transfers: nothing wrong",
        "NOTHING LOST: all 300 crash states have",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(!text.contains("injected"), "{text}");
    record.push(row(FaultKind::PowerCut, 0), Vec::new());
    let text = describe(&record);
    assert!(
        text.contains("10 acknowledged transfers are all there, once; all 300"),
        "{text}"
    );
}

#[test]
fn crash_states_with_a_loss_fail_with_an_example() {
    let mut record = record();
    record.push_states(crash_states(3));
    assert!(!record.valid);
    let text = describe(&record);
    for expected in [
        "3 of 300 crash states have lost acknowledged transfers\n",
        "for example a cut before line 7",
        "lost in crash states: ",
        "FAILED: 3 of 300 crash states have lost",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_loss_names_the_transfer_and_how_to_replay() {
    let mut record = record();
    record.push(row(FaultKind::Kill, 1), vec![loss()]);
    assert!(!record.valid);
    let text = describe(&record);
    record.environment.command_line = ["torture", "--server-command=node 'a b.js'", "--kills=2"]
        .map(str::to_owned)
        .into();
    let text_of = describe(&record);
    let (_, command) = text_of
        .split_once("to replay (seed 7): ")
        .expect("it is there");
    let words = shlex::split(command.lines().next().unwrap_or_default());
    assert_eq!(words, Some(record.environment.command_line.clone()));
    let line = "lost in cycle 1 (kill), worker 3, transfer 9 (1234 from 6 to 7, answered ok): \
                acknowledged, and not there";
    for expected in [line, "FAILED: 1 lost", "to replay (seed 7): "] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_warning_leaves_the_audit_valid() {
    let mut record = record();
    let warning = Finding {
        fails: false,
        ..loss()
    };
    record.push(row(FaultKind::Kill, 0), vec![warning]);
    assert!(record.valid && describe(&record).contains("warning: lost"));
}

#[test]
fn findings_are_listed_up_to_a_limit_and_counted_beyond() {
    let mut record = record();
    record.push(row(FaultKind::Kill, 500), vec![loss(); 500]);
    assert_eq!(
        record.findings.len() as u64 + record.findings_not_listed,
        500
    );
    let said = "… and 480 more: 180 in the record, and 300 only counted there";
    assert!(describe(&record).contains(said));
    let mut record = self::record();
    record.push(row(FaultKind::Kill, 30), vec![loss(); 30]);
    assert!(describe(&record).contains("… and 10 more, in the record\n"));
    let mut record = self::record();
    record.push(row(FaultKind::Kill, 20), vec![loss(); 20]);
    assert!(!describe(&record).contains('…'));
}

#[test]
fn the_last_line_names_every_class_that_failed() {
    let mut record = record();
    let finding = |kind, fails| Finding {
        kind,
        fails,
        ..loss()
    };
    let findings = vec![
        finding(FindingKind::WrongRejection, true),
        finding(FindingKind::WrongRejection, true),
        finding(FindingKind::UnexpectedEnd, false),
        finding(FindingKind::Gap, true),
    ];
    let mut row = row(FaultKind::Kill, 0);
    row.counts.gaps = 1;
    record.push(row, findings);
    let text = describe(&record);
    let expected = "FAILED: 1 gap, 2 wrong_rejection (10 acknowledged), with";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn an_audit_without_acknowledgements_is_warned_of() {
    let warned = |acknowledged| {
        let mut record = record();
        let mut row = row(FaultKind::Kill, 0);
        row.counts.acknowledged = acknowledged;
        record.push(row, Vec::new());
        record.conclude(&[]);
        record.warnings.len()
    };
    assert_eq!((warned(0), warned(1)), (1, 0));
}

#[test]
fn a_fault_that_never_struck_is_a_warning() {
    let mut record = record();
    for injected in [false, true] {
        let fault = FaultKind::Kill;
        record.push(
            CycleRow {
                injected,
                ..row(fault, 0)
            },
            Vec::new(),
        );
        let fault = FaultKind::SyncKill;
        record.push(
            CycleRow {
                injected: false,
                ..row(fault, 0)
            },
            Vec::new(),
        );
    }
    record.conclude(&[]);
    assert_eq!(record.warnings.len(), 1, "{:?}", record.warnings);
    let text = describe(&record);
    let expected = "\nwarning: sync-kill was injected in none of its 2 cycles";
    assert!(text.contains(expected), "{text}");
    assert!(record.valid);
}

#[test]
fn faults_without_a_cycle_are_named() {
    let mut record = record();
    record.push(row(FaultKind::Kill, 0), Vec::new());
    record.conclude(&[FaultKind::Kill, FaultKind::Eio, FaultKind::Term]);
    assert_eq!(record.not_injected, [FaultKind::Eio, FaultKind::Term]);
    let said = "eio, term: --kills 3 has them all";
    assert_eq!(left_out(&record).as_deref(), Some(said));
    assert!(describe(&record).contains(&format!("no cycle of {said}")));
    record.interrupted = true;
    let said = "eio, term: the audit ended before";
    assert_eq!(left_out(&record).as_deref(), Some(said));
}
