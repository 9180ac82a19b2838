use bench_client::config::Measure;
use bench_client::measure::TpsSoFar;
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

fn interval(number: u32) -> Interval {
    Interval {
        start_s: f64::from(number),
        seconds: 1.0,
        committed: 21_345,
        tps: 21_345.0,
        p50_ms: Some(1.23),
        p95_ms: Some(2.0),
        p99_ms: Some(f64::from(number) + 3.0),
        max_ms: 20.0,
        in_flight: 799.4,
        mean_batch: Some(1024.0),
        syncs_per_second: Some(400.0),
        sync_us: Some(683.0),
        checkpoints: Some(u64::from(number == 1)),
        checkpoint_ms: Some(0.0),
        checkpoint_stalled_ms: Some(0.0),
        client_cpu: Some(0.98),
        server_cpu: Some(0.81),
        latency_histogram: String::new(),
    }
}

fn known() -> State {
    let mut state = State {
        client: "50 workers × 16 in flight".to_owned(),
        server: Some("durability wal-full".to_owned()),
        batch_size: Some(4096),
        inflight_limit: 800,
        interval: Some(Duration::from_secs(1)),
        ..State::window(
            "row 2 of 3, sqlite_ws_rpc",
            Measure::For(Duration::from_secs(10)),
        )
    };
    let tps = |mean, latest| TpsSoFar { mean, latest };
    state.load("measuring", Duration::from_secs(2), tps(30_000.0, 30_000.0));
    state.load("measuring", Duration::from_secs(4), tps(20_000.0, 10_000.0));
    for number in 0..4 {
        state.interval(&interval(number));
    }
    state
}

fn look() -> Look {
    Look {
        colour: true,
        stopping: false,
        now: Instant::now(),
    }
}

fn screen(state: &State, look: Look, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, look)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells = buffer.content().chunks(usize::from(width.max(1)));
    cells
        .map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect())
        .collect()
}

#[test]
fn every_figure_is_there() {
    let lines = screen(&known(), look(), 100, 30);
    let text = lines.join("\n");
    for figure in [
        "row 2 of 3, sqlite_ws_rpc",
        "measuring 4.0 of 10.0 s",
        "6.0 s left",
        "50 workers × 16 in flight",
        "durability wal-full",
        "TPS  now 10,000   mean 20,000   max 30,000   (of 0.2 s each)",
        "p50  now 1.23 ms   max 1.23 ms",
        "p99  now 6.00 ms   max 6.00 ms",
        "▲ checkpoint",
        "batch 1024.0 of 4,096 (25.0 %)",
        "sync  683 µs, 400/s: 273 ms of each second",
        "in flight 799 of 800   cores: client 0.98, server 0.81",
        "    4.0 s     21,345 TPS",
        "q or Ctrl-C: stop and record",
    ] {
        assert!(text.contains(figure), "{figure}\n{text}");
    }
}

/// The second of four intervals had one, of ten seconds that are planned.
#[test]
fn all_charts_have_one_scale_of_time() {
    let state = known();
    for (width, height) in [(60, 20), (80, 24), (120, 24), (200, 50)] {
        let lines = screen(&state, look(), width, height);
        let text = lines.join("\n");
        let line = |what: &str| {
            let place = lines.iter().position(|line| line.starts_with(what));
            place.unwrap_or_else(|| panic!("no line begins with {what}\n{text}"))
        };
        let axis = lines
            .iter()
            .position(|line| line.contains('└'))
            .expect("an axis");
        // Without its first column, which is that of the labels.
        let from = lines[axis]
            .chars()
            .position(|it| it == '└')
            .expect("it is there")
            + 1;
        let plot = |line: usize| -> Vec<char> { lines[line].chars().skip(from).collect() };
        let columns = usize::from(width) - from;
        let at = |second: usize| second * columns / 10;
        let marks = plot(axis);
        let mut marked = marks.iter().zip(0..).filter(|(mark, _)| **mark == '▲');
        let (_, column) = marked.next().expect("a mark");
        assert!(
            (at(1)..=at(2)).contains(&column),
            "{column} of {width}\n{text}"
        );
        assert_eq!(marked.next(), None, "one for an interval\n{text}");
        // TPS fall after two seconds, and no bar is there after four.
        let (highest, lowest) = (plot(line("TPS") + 1), plot(line("p50") - 1));
        assert!(highest[at(1)] != ' ' && highest[at(3)] == ' ', "{text}");
        assert!(lowest[at(3)] != ' ' && lowest[at(4) + 1] == ' ', "{text}");
        let p99 = plot(axis - 1);
        assert!(p99[at(4) - 1] != ' ' && p99[at(4) + 1] == ' ', "{text}");
        for (what, unit) in [("TPS", "30k┤"), ("p50", "1.5 ms┤"), ("p99", "6 ms┤")] {
            assert!(lines[line(what) + 1].contains(unit), "{unit}\n{text}");
        }
        let times = &lines[axis + 1];
        assert!(
            times.contains(" 0 s ") && times.ends_with(" 10 s"),
            "{text}"
        );
    }
}

#[test]
fn a_line_ends_with_a_part_or_a_word() {
    for (width, text) in [
        (40, "TPS  now 10,000   mean 20,000"),
        (31, "TPS  now 10,000   mean 20,000"),
        (28, "TPS  now 10,000"),
    ] {
        assert_eq!(clipped(&tps(&known()), width), text);
    }
    assert_eq!(clipped("stop and record", 8), "stop and");
    assert_eq!(clipped("stop", 2), "");
    let lines = screen(&known(), look(), 80, 50);
    let interval = lines.iter().find(|line| line.contains("21,345 TPS"));
    let interval = interval.expect("it is there").trim_end();
    assert!(
        interval.ends_with("p99 6.00 ms") || interval.ends_with("in flight 799"),
        "{interval}"
    );
}

#[test]
fn a_small_terminal_says_what_charts_need() {
    for (width, height) in [(40, 24), (59, 24), (100, 15)] {
        let text = screen(&known(), look(), width, height).join("\n");
        let needs = format!("charts need 60 × 16, here {width} × {height}");
        assert!(text.contains(&needs) && !text.contains('└'), "{text}");
    }
    let text = screen(&known(), look(), 60, 16).join("\n");
    assert!(
        !text.contains("charts need") && text.contains('└'),
        "{text}"
    );
}

#[test]
fn the_smallest_terminal_has_the_most_important() {
    let lines = screen(&known(), look(), 20, 5);
    let text = lines.join("\n");
    for figure in [
        "measuring",
        "TPS  now 10,000",
        "p50  now",
        "p99  now",
        "q or Ctrl-C",
    ] {
        assert!(text.contains(figure), "{figure}\n{text}");
    }
}

#[test]
fn stopping_is_said_and_what_a_second_key_does() {
    let stopping = Look {
        stopping: true,
        ..look()
    };
    let text = screen(&known(), stopping, 80, 24).join("\n");
    assert!(text.contains("STOPPING: measuring"), "{text}");
    assert!(text.contains("quit at once"), "{text}");
}

#[test]
fn without_colour_there_is_none_and_the_text_is_the_same() {
    let without = Look {
        colour: false,
        ..look()
    };
    let state = known();
    assert_eq!(
        screen(&state, without, 100, 30),
        screen(&state, look(), 100, 30)
    );
    let coloured = |look| {
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        terminal.draw(|frame| draw(frame, &state, look)).unwrap();
        let buffer = terminal.backend().buffer();
        buffer.content().iter().any(|cell| cell.fg != Color::Reset)
    };
    assert!(coloured(look()));
    assert!(!coloured(without));
}

#[test]
fn a_server_that_tells_nothing_leaves_gaps() {
    let mut state = known();
    state.batch_size = None;
    state.server = None;
    state.intervals.clear();
    state.interval(&Interval {
        mean_batch: None,
        syncs_per_second: None,
        sync_us: None,
        checkpoints: None,
        server_cpu: None,
        ..interval(0)
    });
    let text = screen(&state, look(), 100, 30).join("\n");
    for figure in ["batch -", "sync  -", "server -", "does not tell"] {
        assert!(text.contains(figure), "{figure}\n{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_size_and_any_state_can_be_drawn(
        width in 0_u16..300,
        height in 0_u16..120,
        ticks in 0_u32..400,
        intervals in 0_u32..400,
        stopping: bool,
        counted: bool,
    ) {
        let measure = if counted {
            Measure::Transfers(1)
        } else {
            Measure::For(Duration::from_secs(u64::from(ticks)))
        };
        let mut state = State::window("row", measure);
        state.interval = Some(Duration::from_secs(1));
        for tick in 0..ticks {
            let latest = f64::from(tick) * 1e6;
            state.load("measuring", TICK * tick, TpsSoFar { mean: latest, latest });
        }
        for number in 0..intervals {
            state.interval(&interval(number));
        }
        let lines = screen(&state, Look { stopping, ..look() }, width, height);
        prop_assert!(lines.len() <= usize::from(height));
    }

    #[test]
    fn every_line_is_given_once(columns: u16, lines: u16) {
        let given: u32 = heights(columns, lines).into_iter().map(u32::from).sum();
        prop_assert_eq!(given, u32::from(lines));
    }
}
