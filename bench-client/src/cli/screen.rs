//! The alternate screen of the terminal, left again however the program ends.
//!
//! While it is open, standard output may be the same terminal: what is printed there waits
//! until the screen is closed.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// What was printed while the screen was open; `None` while it is closed.
static SCREEN: Mutex<Option<Vec<String>>> = Mutex::new(None);
static HOOK: Once = Once::new();

fn lock() -> MutexGuard<'static, Option<Vec<String>>> {
    // Nothing that is done under the lock leaves it half done.
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why there can be no screen, in words that go on after "no terminal view: ".
fn unfit() -> Option<&'static str> {
    if !io::stderr().is_terminal() {
        Some("standard error is not a terminal")
    } else if std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb") {
        Some("TERM names no terminal that can move its cursor")
    } else if std::fs::File::open("/dev/tty").is_err() {
        // Its size is asked for there, and keys may be read from it.
        Some("the process has no controlling terminal")
    } else {
        None
    }
}

/// Takes the terminal over: raw mode, alternate screen, no cursor. A panic gives it back
/// before it says anything.
pub(crate) fn open() -> io::Result<()> {
    if let Some(why) = unfit() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            close();
            previous(panic);
        }));
    });
    let mut screen = lock();
    enable_raw_mode()?;
    // From here on it has to be given back, whatever happens.
    *screen = Some(Vec::new());
    let entered = execute!(io::stderr(), EnterAlternateScreen, Hide);
    drop(screen);
    entered.inspect_err(|_| close())
}

/// Gives the terminal back and prints what had to wait. Does nothing when it is not open.
pub(crate) fn close() {
    let mut screen = lock();
    let Some(waiting) = screen.take() else { return };
    // Nothing more can be done for a terminal that does not take this.
    let _ = execute!(io::stderr(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    drop(screen);
    for text in waiting {
        super::print(&text);
    }
}

/// Whether the terminal is taken over.
pub(crate) fn is_open() -> bool {
    lock().is_some()
}

/// Keeps `text` for standard output until the screen is closed; false when it is.
pub(crate) fn hold_back(text: &str) -> bool {
    let mut screen = lock();
    let Some(waiting) = screen.as_mut() else {
        return false;
    };
    waiting.push(text.to_owned());
    true
}

/// Writes to the screen what is flushed, in one piece, and nothing once it is closed.
#[derive(Debug, Default)]
pub(crate) struct ScreenWriter {
    pending: Vec<u8>,
}

impl Write for ScreenWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let screen = lock();
        let written = match *screen {
            Some(_) => io::stderr().write_all(&self.pending),
            None => Ok(()),
        };
        drop(screen);
        self.pending.clear();
        written
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn without_a_screen_nothing_is_held_back_and_nothing_drawn() {
        assert!(!hold_back("a report"));
        let mut writer = ScreenWriter::default();
        writer.write_all(b"\x1b[2J").unwrap();
        writer.flush().unwrap();
        assert!(writer.pending.is_empty());
        close();
    }

    /// Set for this very test when it starts itself again on a terminal of its own.
    const ON_A_TERMINAL: &str = "BUSLOAD_TEST_ON_A_TERMINAL";

    #[test]
    fn a_panic_gives_the_terminal_back() {
        if std::env::var_os(ON_A_TERMINAL).is_some() {
            open().unwrap();
            assert!(hold_back("a report"));
            panic!("as told");
        }
        let pty = nix::pty::openpty(None, None).unwrap();
        let stream = || Stdio::from(pty.slave.try_clone().unwrap());
        let mode = || nix::sys::termios::tcgetattr(&pty.slave).unwrap();
        let before = mode();
        let status = Command::new("setsid")
            .args([
                "--ctty".as_ref(),
                std::env::current_exe().unwrap().as_os_str(),
            ])
            .args(["--exact", "--nocapture"])
            .arg("cli::screen::tests::a_panic_gives_the_terminal_back")
            .env(ON_A_TERMINAL, "1")
            .env("TERM", "xterm-256color")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .status();
        assert!(!status.unwrap().success(), "it panicked");
        assert_eq!(mode(), before);
        drop(pty.slave);
        let mut said = Vec::new();
        // Ends with an error: the other end is closed.
        let _ = File::from(pty.master).read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        let at = |what: &str| {
            said.find(what)
                .unwrap_or_else(|| panic!("{what:?} in {said:?}"))
        };
        let entered = at("\x1b[?1049h");
        let left = at("\x1b[?1049l");
        assert!(
            entered < left && left < at("a report") && left < at("as told"),
            "{said:?}"
        );
        assert!(left < at("\x1b[?25h"), "and the cursor is back");
    }
}
