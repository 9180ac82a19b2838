//! A server in two processes: a front owns the port, and the ledger is in the memory of a daemon
//! behind it, which is in a session of its own and does not notice when the front is killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::{TcpListener, TcpStream};

use super::bank::Lie;
use super::server::{self, FILE, ITSELF, LIE, PORT, TALLY, variable};
use crate::common::{Running, free_port, is_alive, runtime, until};

/// Set in the process that is a front: how its daemon is started.
const FRONT: &str = "BUSLOAD_LIAR_FRONT";
/// Where the daemon listens, and where it leaves its process id, a line for each.
const BEHIND: &str = "BUSLOAD_LIAR_BEHIND";
const DAEMONS: &str = "BUSLOAD_LIAR_DAEMONS";
/// The file by which a front asks a daemon to listen.
const ASKED: &str = "BUSLOAD_LIAR_ASKED";

/// Who starts the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Daemon {
    /// The front, as a child that leads a session.
    Child,
    /// The front, by way of a process that ends at once, so that it has no parent here.
    Grandchild,
    /// Somebody else, before the audit begins.
    Beforehand,
    /// The same; and it owns the port, from the first time that a front asks it to.
    Listening,
}

impl Daemon {
    const ALL: [Self; 4] = [
        Self::Child,
        Self::Grandchild,
        Self::Beforehand,
        Self::Listening,
    ];
}

/// The liar itself in this process, but behind that port.
fn daemon(port: u16) -> Command {
    let liar = std::env::current_exe().expect("the test knows its own path");
    let mut command = Command::new("setsid");
    command.arg(liar);
    command.args(["--exact", ITSELF, "--nocapture"]);
    command
        .env(PORT, port.to_string())
        .env_remove(FRONT)
        .env_remove(ASKED);
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Leaves its process id if it is a daemon; as the front, stands before one until it is killed.
/// False for a liar that has neither.
pub(crate) fn run() -> bool {
    let Ok(how) = std::env::var(FRONT) else {
        if let Ok(daemons) = std::env::var(DAEMONS) {
            leave_pid(Path::new(&daemons));
        }
        if let Ok(asked) = std::env::var(ASKED) {
            until("a front asks", || Path::new(&asked).exists().then_some(()));
        }
        return false;
    };
    let how = Daemon::ALL
        .into_iter()
        .find(|one| format!("{one:?}") == how);
    let how = how.expect("it is one of them");
    if how == Daemon::Listening {
        std::fs::write(variable(ASKED), "").expect("it can be written");
        loop {
            std::thread::park();
        }
    }
    let behind: u16 = variable(BEHIND).parse().expect("a port");
    let is_there = || std::net::TcpStream::connect(("127.0.0.1", behind)).is_ok();
    if !is_there() {
        let mut daemon = daemon(behind);
        match how {
            Daemon::Child => drop(daemon.spawn().expect("setsid can be started")),
            Daemon::Grandchild => {
                let mut between = Command::new("sh");
                between.args(["-c", "\"$@\" & exit", "sh", "setsid"]);
                between.args(daemon.get_args());
                between
                    .env(PORT, behind.to_string())
                    .env_remove(FRONT)
                    .env_remove(ASKED);
                between.stdin(Stdio::null());
                between.stdout(Stdio::null()).stderr(Stdio::null());
                let ended = between.status().expect("sh can be started");
                assert!(ended.success());
            }
            Daemon::Beforehand | Daemon::Listening => panic!("there is no daemon"),
        }
        until("the daemon listens", || is_there().then_some(()));
    }
    runtime().block_on(async {
        let address = format!("127.0.0.1:{}", variable(PORT));
        let listener = TcpListener::bind(address).await.expect("the port is free");
        loop {
            let (mut client, _) = listener.accept().await.expect("somebody connects");
            tokio::spawn(async move {
                let address = ("127.0.0.1", behind);
                let daemon = TcpStream::connect(address).await;
                let mut daemon = daemon.expect("it listens");
                // Either may go first.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut daemon).await;
            });
        }
    })
}

fn leave_pid(daemons: &Path) {
    use std::io::Write as _;

    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(daemons);
    let mut file = file.expect("it can be opened");
    let line = format!("{}\n", std::process::id());
    file.write_all(line.as_bytes()).expect("it is written");
}

/// A front before a daemon, to be started by an audit; all daemons are killed when this is
/// dropped.
pub(crate) struct Front {
    pub(crate) command: String,
    pub(crate) port: u16,
    daemons: PathBuf,
    _beforehand: Option<Running>,
}

impl Front {
    pub(crate) fn of(lie: Lie, how: Daemon, directory: &Path) -> Self {
        let (port, behind) = (free_port(), free_port());
        let [daemons, tally, asked] =
            ["daemons", "tally", "asked"].map(|name| directory.join(name));
        let variables = format!(
            "{FRONT}={how:?} {BEHIND}={behind} {DAEMONS}={} {ASKED}={} ",
            daemons.display(),
            asked.display()
        );
        let mut beforehand = daemon(behind);
        beforehand.env(LIE, format!("{lie:?}")).env(TALLY, &tally);
        beforehand.env(FILE, directory.join("beforehand"));
        beforehand.env(DAEMONS, &daemons);
        if how == Daemon::Listening {
            beforehand.env(PORT, port.to_string()).env(ASKED, asked);
        }
        let is_started = matches!(how, Daemon::Beforehand | Daemon::Listening);
        Self {
            command: server::command_with(lie, port, &tally, &variables),
            port,
            daemons,
            _beforehand: is_started.then(|| Running::start(&mut beforehand)),
        }
    }

    /// All daemons that were ever started.
    pub(crate) fn daemons(&self) -> Vec<Pid> {
        let pids = std::fs::read_to_string(&self.daemons).unwrap_or_default();
        let pids = pids.lines().map(|pid| pid.parse().expect("a process id"));
        pids.map(Pid::from_raw).collect()
    }

    pub(crate) fn living(&self) -> usize {
        let daemons = self.daemons().into_iter();
        daemons.filter(|daemon| is_alive(*daemon)).count()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        for daemon in self.daemons() {
            if is_alive(daemon) {
                let _ = kill(daemon, Signal::SIGKILL);
            }
        }
    }
}
