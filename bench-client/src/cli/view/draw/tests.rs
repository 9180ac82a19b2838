use bench_client::config::Measure;
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
        client: "50 workers x 16 in flight".to_owned(),
        server: Some("durability wal-full".to_owned()),
        batch_size: Some(4096),
        inflight_limit: 800,
        interval: Some(Duration::from_secs(1)),
        ..State::window(
            "row 2 of 3, sqlite_ws_rpc",
            Measure::For(Duration::from_secs(10)),
        )
    };
    state.load("measuring", Duration::from_secs(2), 30_000.0);
    state.load("measuring", Duration::from_secs(4), 10_000.0);
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
        "50 workers x 16 in flight",
        "durability wal-full",
        "TPS  now 10,000   mean 20,000   max 30,000   (of 0.2 s each)",
        "p50  now 1.23 ms   max 1.23 ms",
        "p99  now 6.00 ms   max 6.00 ms",
        "^ checkpoint",
        "batch 1024.0 of 4,096 (25.0 %)",
        "sync  683 µs, 400/s: 273 ms of each second",
        "in flight 799 of 800   cores: client 0.98, server 0.81",
        "    4.0 s     21,345 TPS",
        "q or Ctrl-C: stop and record",
    ] {
        assert!(text.contains(figure), "{figure}\n{text}");
    }
}

/// The second of four intervals had one, and each is eight columns wide.
#[test]
fn the_mark_is_below_its_interval() {
    let lines = screen(&known(), look(), 100, 30);
    let marks = lines.iter().find(|line| line.contains('^')).unwrap();
    assert!(marks.starts_with(&format!("{}{} ", " ".repeat(8), "^".repeat(8))));
    // The p99 bars above it grow from interval to interval: the last is the highest.
    let place = lines.iter().position(|line| line.contains('^')).unwrap();
    let lowest: Vec<_> = lines[place - 1].chars().take(33).collect();
    assert!(lowest[..32].iter().all(|bar| *bar != ' '), "{lowest:?}");
    assert_eq!(lowest[32], ' ', "four intervals so far");
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
            state.load("measuring", TICK * tick, f64::from(tick) * 1e6);
        }
        for number in 0..intervals {
            state.interval(&interval(number));
        }
        let lines = screen(&state, Look { stopping, ..look() }, width, height);
        prop_assert!(lines.len() <= usize::from(height));
    }

    #[test]
    fn every_line_is_given_once(lines: u16) {
        let given: u32 = heights(lines).into_iter().map(u32::from).sum();
        prop_assert_eq!(given, u32::from(lines));
    }
}
