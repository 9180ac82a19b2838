//! The terminal view of a measurement, on a thread of its own.
//!
//! The measurement only leaves notes in [`State`]. Drawing and reading keys happen here, at
//! most [`DRAW_EVERY`], and never while the state is locked: a slow terminal holds nobody up.

mod axis;
mod chart;
mod draw;
mod series;
mod state;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bench_client::config::RunConfig;
use bench_client::measure::{Progress, TpsSoFar};
use bench_client::record::series::Interval;
use busload_wire::control::Info;
use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::watch;

use super::screen::{self, ScreenWriter};
use super::verbosity;
use state::State;

/// Between two drawings: as often as the measurement tells how far it is.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// The open view; closed, and the terminal given back, when dropped.
pub(crate) struct View {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    closing: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A drawing that panicked changed nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// There is none that can be drawn on.
    pub(crate) fn open(interrupted: watch::Receiver<bool>) -> io::Result<Self> {
        screen::open()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State::starting()),
            closing: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        let thread = Terminal::new(CrosstermBackend::new(ScreenWriter::default()))
            .and_then(|terminal| {
                std::thread::Builder::new()
                    .name("view".to_owned())
                    .spawn(move || show(terminal, &for_thread, &interrupted))
            })
            .inspect_err(|_| screen::close())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Shows this row from now on.
    pub(crate) fn row(&self, title: String, plan: &RunConfig) -> RowView<'_> {
        *self.shared.state() = State::of_row(title, plan);
        RowView { view: self }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic has been reported already, and the measurement does without a view.
            let _ = thread.join();
        }
        screen::close();
    }
}

/// One row's way to the view.
pub(crate) struct RowView<'a> {
    view: &'a View,
}

impl Progress for RowView<'_> {
    fn stage(&self, what: &str) {
        self.view.shared.state().stage(what, Instant::now());
    }

    fn load(&self, phase: &str, elapsed: Duration, tps: TpsSoFar) {
        self.view.shared.state().load(phase, elapsed, tps);
    }

    fn server(&self, info: &Info) {
        self.view.shared.state().server(info);
    }

    fn interval(&self, interval: &Interval) {
        self.view.shared.state().interval(interval);
    }
}

/// Draws and reads keys until the view is closed or the terminal is gone.
fn show(
    mut terminal: Terminal<CrosstermBackend<ScreenWriter>>,
    shared: &Shared,
    interrupted: &watch::Receiver<bool>,
) {
    let colour = verbosity::is_coloured_on(&io::stderr());
    while !shared.closing.load(Ordering::Relaxed) {
        let look = draw::Look {
            colour,
            stopping: *interrupted.borrow(),
            now: Instant::now(),
        };
        // The closure fills a buffer; the terminal is written to after it, without the lock.
        let drawn = terminal.draw(|frame| draw::draw(frame, &shared.state(), look));
        if drawn.is_err() || read_keys(look.now + DRAW_EVERY).is_err() {
            // Out of raw mode, so that Ctrl-C is a signal again.
            screen::close();
            return;
        }
    }
}

/// Sleeps until then, and does what keys ask for meanwhile.
fn read_keys(until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if !event::poll(left)? {
            return Ok(());
        }
        if let Event::Key(key) = event::read()?
            && asks_to_stop(key)
        {
            // In raw mode the terminal sends none: so this does exactly what it would do.
            kill(getpid(), Signal::SIGINT)?;
        }
        if left.is_zero() {
            return Ok(());
        }
    }
}

/// q, and Ctrl-C, which arrives as a key in raw mode.
fn asks_to_stop(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && match key.code {
            KeyCode::Char('c') => control,
            KeyCode::Char('q' | 'Q') => !control,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_control_c_stop_and_nothing_else_does() {
        let press = |code, modifiers| asks_to_stop(KeyEvent::new(code, modifiers));
        assert!(press(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(press(KeyCode::Char('Q'), KeyModifiers::SHIFT));
        assert!(press(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!press(KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!press(KeyCode::Char('q'), KeyModifiers::CONTROL));
        assert!(!press(KeyCode::Esc, KeyModifiers::NONE));
        let released = KeyEvent::new_with_kind(
            KeyCode::Char('q'),
            KeyModifiers::NONE,
            KeyEventKind::Release,
        );
        assert!(!asks_to_stop(released), "once per key");
    }
}
