//! Whom a server talks to that is none of it: a process that no kill of the server reaches, and
//! in which its ledger may be.
//!
//! Everything that a server has started is a descendant of this process (see
//! [`descendants`](super::descendants)). A connection that one of them has made to a process that
//! is not, over TCP or a Unix socket, is to an outsider. So is a connection of this process to
//! the server that somebody else accepts.
//!
//! What is not seen: connections that outsiders make to the server, and those that are shorter
//! than the time between two looks; memory, files and pipes that are shared; Unix sockets of
//! another network namespace. Where the descriptors of a descendant cannot be read, and while one
//! ends, nothing is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process, Stat, StatFlags, all_processes};

use super::unix_peers::{UnixSocket, unix_sockets};

/// Where servers keep connections that hold no ledger: to the name service and to the log.
const HARMLESS: [&str; 7] = [
    "/dev/log",
    "/run/dbus/",
    "/run/nscd/",
    "/run/systemd/",
    "/var/lib/sss/pipes/",
    "/var/run/dbus/",
    "/var/run/nscd/",
];

/// Looks for outsiders again and again. One is believed when it is seen twice in a row: what
/// is read is not of one moment, and a socket that was just opened or closed seems to be
/// somebody else's.
#[derive(Debug)]
pub struct Outsiders {
    /// The port at which the server is reached.
    port: Option<u16>,
    /// Seen at the last look that told something, by the inode of the socket.
    last: BTreeMap<u64, String>,
    found: BTreeSet<String>,
}

impl Outsiders {
    /// None so far, of a server that is reached at `authority`.
    #[must_use]
    pub fn of(authority: &str) -> Self {
        let port = authority.rsplit_once(':').map(|(_, port)| port.parse());
        Self {
            port: port.and_then(Result::ok),
            last: BTreeMap::new(),
            found: BTreeSet::new(),
        }
    }

    /// Looks.
    pub fn look(&mut self) {
        let Some(seen) = look(self.port) else {
            return;
        };
        let again = seen
            .iter()
            .filter(|(socket, whom)| self.last.get(socket) == Some(whom));
        self.found.extend(again.map(|(_, whom)| whom.clone()));
        self.last = seen;
    }

    /// What was found: an address or a path each, with the name and id of a process where it is
    /// known.
    #[must_use]
    pub fn found(self) -> BTreeSet<String> {
        self.found
    }
}

/// A TCP socket: whose it is, and both its ends.
struct TcpSocket {
    inode: u64,
    local: SocketAddr,
    remote: SocketAddr,
}

/// Connections that lead outside; `None` when it cannot be told.
fn look(port: Option<u16>) -> Option<BTreeMap<u64, String>> {
    let own = i32::try_from(std::process::id()).ok()?;
    let family = family(own)?;
    // Before the descriptors are read: what was accepted then is among them now.
    let (connected, listening) = tcp_sockets(&family);
    let unix = unix_sockets().unwrap_or_default();
    let mine = sockets_of(family.first()?)?;
    let mut servers = HashSet::new();
    for process in &family[1..] {
        servers.extend(sockets_of(process)?);
    }
    // A process that is killed has no descriptors any more while a thread of it waits for a sync,
    // and its connections stay for as long: they would seem to be somebody else's.
    if family[1..].iter().any(is_ending) {
        return None;
    }
    let is_inside = |inode: &u64| mine.contains(inode) || servers.contains(inode);
    // Where the queue of those to be accepted is full, the client's end alone is established: to a
    // port of this machine at which the server itself listens.
    let is_queued = |socket: &TcpSocket| {
        let (remote, local) = (socket.remote, socket.local.ip());
        let mut listeners = listening.iter().filter(|(port, _)| *port == remote.port());
        (remote.ip().is_loopback() || remote.ip() == local)
            && listeners.any(|(_, inode)| servers.contains(inode))
    };
    let mut outside = BTreeMap::new();
    let by_ends: HashMap<_, _> = connected
        .iter()
        .map(|socket| ((socket.local, socket.remote), socket.inode))
        .collect();
    for socket in &connected {
        // What it accepted at its own port outlives the listener while it ends.
        let local = socket.local.port();
        let is_accepted = listening.iter().any(|(of, _)| *of == local) || Some(local) == port;
        let of_server = servers.contains(&socket.inode) && !is_accepted;
        let to_server = mine.contains(&socket.inode) && Some(socket.remote.port()) == port;
        if !of_server && !to_server {
            continue;
        }
        let peer = by_ends.get(&(socket.remote, socket.local));
        // Nobody has accepted it yet, or nobody will.
        let waits = peer.map_or_else(|| to_server && is_queued(socket), |peer| *peer == 0);
        if waits || peer.is_some_and(is_inside) {
            continue;
        }
        let whom = described(&socket.remote.to_string(), peer.copied());
        outside.insert(socket.inode, whom);
    }
    for (inode, UnixSocket { peer, name }) in &unix {
        // One with a name was accepted; what this process has as well was handed down.
        if !servers.contains(inode) || mine.contains(inode) || name.is_some() {
            continue;
        }
        if *peer == 0 || is_inside(peer) {
            continue;
        }
        let path = unix.get(peer).and_then(|peer| peer.name.as_deref());
        let path = path.unwrap_or("a Unix socket");
        if !HARMLESS.iter().any(|harmless| path.starts_with(harmless)) {
            outside.insert(*inode, described(path, Some(*peer)));
        }
    }
    Some(outside)
}

/// This process, and then its descendants.
fn family(own: i32) -> Option<Vec<Process>> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    let mut family = Vec::new();
    for process in all_processes().ok()?.flatten() {
        if process.pid() == own {
            family.push(process);
        } else if let Ok(stat) = process.stat()
            && !has_ended(&stat)
        {
            children.entry(stat.ppid).or_default().push(process);
        }
    }
    let mut next = 0;
    while let Some(parent) = family.get(next).map(Process::pid) {
        family.extend(children.remove(&parent).unwrap_or_default());
        next += 1;
    }
    Some(family)
}

/// Nothing of it is left but what its parent has not asked for. One whose first thread has ended
/// is a zombie as well, as long as others go on.
fn has_ended(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X') && stat.num_threads <= 1
}

/// Whether a process lets go of what it has open, or has done so.
fn is_ending(process: &Process) -> bool {
    let exiting = StatFlags::PF_EXITING.bits();
    process
        .stat()
        .map_or(true, |stat| stat.flags & exiting != 0)
}

/// The sockets that a process has open; `None` when it may not be asked.
fn sockets_of(process: &Process) -> Option<HashSet<u64>> {
    let descriptors = process.fd().ok()?.flatten();
    let sockets = descriptors.filter_map(|descriptor| match descriptor.target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    });
    Some(sockets.collect())
}

/// The established connections in all network namespaces of these processes, and the ports at
/// which somebody listens there, each with the listener's inode.
fn tcp_sockets(family: &[Process]) -> (Vec<TcpSocket>, Vec<(u16, u64)>) {
    let mut connected = Vec::new();
    let mut listening = Vec::new();
    let mut seen = HashSet::new();
    for process in family {
        let namespace = std::fs::read_link(format!("/proc/{}/ns/net", process.pid()));
        if !namespace.is_ok_and(|namespace| seen.insert(namespace)) {
            continue;
        }
        let tables = [process.tcp(), process.tcp6()];
        for entry in tables.into_iter().flatten().flatten() {
            match entry.state {
                TcpState::Established => connected.push(TcpSocket {
                    inode: entry.inode,
                    local: canonical(entry.local_address),
                    remote: canonical(entry.remote_address),
                }),
                TcpState::Listen => {
                    listening.push((entry.local_address.port(), entry.inode));
                }
                _ => {}
            }
        }
    }
    (connected, listening)
}

/// An address of IPv4 is that, also at a socket of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whose socket it is, as far as this process may know.
fn described(place: &str, socket: Option<u64>) -> String {
    let owner = socket.and_then(|socket| {
        let all = all_processes().ok()?.flatten();
        let mut owners = all
            .filter(|process| sockets_of(process).is_some_and(|sockets| sockets.contains(&socket)));
        owners.next()?.stat().ok()
    });
    match owner {
        Some(owner) => format!("{place} ({}, process {})", owner.comm, owner.pid),
        None => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpStream;
    use std::process::{Command, Stdio};
    use std::sync::{Mutex, PoisonError};

    use super::Outsiders;

    /// Accepts a connection, and then ends in its first thread only, as a server does that is
    /// killed while another thread of it syncs.
    const DYING: &str = "\
import ctypes, os, platform, socket, threading, time
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
accepted = listener.accept()
def lives_on():
    while 'State:\\tZ' not in open(f'/proc/{os.getpid()}/status').read():
        time.sleep(0.001)
    print('ended', flush=True)
    time.sleep(60)
threading.Thread(target=lives_on, daemon=True).start()
exit = {'x86_64': 60, 'aarch64': 93}[platform.machine()]
ctypes.CDLL(None).syscall(exit, 0)
";

    /// Listens and has accepted nothing: as a server whose queue is full, its kernel has not made a
    /// connection of what the client takes for one.
    const QUEUED: &str = "\
import socket, time
listener = socket.create_server(('127.0.0.1', 0))
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
print(listener.getsockname()[1], flush=True)
print('listens', flush=True)
time.sleep(60)
";

    /// Whom two looks find, once a server has said a second line to a connection; `None` without
    /// Python.
    fn found_with(script: &str, name: &str) -> Option<BTreeSet<String>> {
        // While one server ends, nothing is told of another.
        static ALONE: Mutex<()> = Mutex::new(());
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let server = Command::new("python3")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut server) = server else {
            eprintln!("skipped target::outsiders::tests::{name}: there is no python3");
            return None;
        };
        let mut said = BufReader::new(server.stdout.take().expect("it is piped")).lines();
        let mut said = || said.next().expect("it says more").expect("it is text");
        let address = format!("127.0.0.1:{}", said());
        let _connection = TcpStream::connect(&address).expect("it listens");
        said();
        let mut outsiders = Outsiders::of(&address);
        outsiders.look();
        outsiders.look();
        server.kill().expect("it is a child");
        server.wait().expect("it has ended");
        Some(outsiders.found())
    }

    #[test]
    fn a_server_that_is_about_to_end_is_no_outsider() {
        let found = found_with(DYING, "a_server_that_is_about_to_end_is_no_outsider");
        assert!(found.is_none_or(|found| found.is_empty()));
    }

    #[test]
    fn a_server_that_has_not_accepted_yet_is_no_outsider() {
        let found = found_with(QUEUED, "a_server_that_has_not_accepted_yet_is_no_outsider");
        assert!(found.is_none_or(|found| found.is_empty()));
    }
}
