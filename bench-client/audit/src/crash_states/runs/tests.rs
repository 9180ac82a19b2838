use super::*;

#[test]
fn states_are_dealt_evenly() {
    for states in [0, 1, 7, 8, 9, 300, 2000, 10_000_001] {
        let parts = 2 * MODELS.len() as u64;
        let shares = [0, 4].map(|first| share_out(states, parts, first)).concat();
        assert_eq!(shares.iter().sum::<u64>(), states);
        let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
        assert!(most - least <= 1, "{shares:?}");
    }
}

/// The trace of a server whose database is elsewhere has only its conversation in it.
#[test]
fn a_trace_without_a_write_is_seen() {
    use super::super::Role;
    let mut history = EventHistory::default();
    history
        .steps
        .push((1, Step::File(Event::Created(Role::Log))));
    assert!(!has_written(&history));
    let written = Event::Written {
        role: Role::Log,
        offset: 0,
        data: vec![1],
    };
    history.steps.push((2, Step::File(written)));
    assert!(has_written(&history));
}

#[test]
fn every_model_is_tried_and_answers_are_checked_for_both_fates_of_removals() {
    let mut shapes: Vec<_> = MODELS
        .iter()
        .map(|(model, _)| (model.sector_bytes, model.removals_need_sync))
        .collect();
    shapes.sort_unstable();
    assert_eq!(
        shapes,
        [(512, false), (512, true), (4096, false), (4096, true)]
    );
    for comes_back in [true, false] {
        let of = |(model, _): &&(Model, bool)| model.removals_need_sync == comes_back;
        assert!(MODELS.iter().filter(of).any(|(_, checks)| *checks));
    }
}
