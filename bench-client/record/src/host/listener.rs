//! The process behind an address of this machine: who listens there, and where its database is.

use std::path::PathBuf;

/// The process that listens at `authority` ("host:port"), when that is a loopback address and
/// `/proc` tells; `expected` is looked at first. Where several share the socket, one of them.
#[cfg(target_os = "linux")]
#[must_use]
pub fn pid_at(authority: &str, expected: Option<u32>) -> Option<u32> {
    let sockets = linux::listening_sockets(authority);
    if sockets.is_empty() {
        return None;
    }
    let holds = |process: &procfs::process::Process| linux::holds_one_of(process, &sockets);
    let expected = expected.and_then(|pid| {
        let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
        holds(&process).then_some(pid)
    });
    expected.or_else(|| {
        let mut all = procfs::process::all_processes().ok()?.flatten();
        let found = all.find(|process| holds(process))?;
        u32::try_from(found.pid).ok()
    })
}

/// The directory of the SQLite database that a process has open, when this process sees the same
/// file there.
#[cfg(target_os = "linux")]
#[must_use]
pub fn database_directory(pid: u32) -> Option<PathBuf> {
    linux::database_directory(i32::try_from(pid).ok()?)
}

/// Not told by this operating system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn pid_at(_authority: &str, _expected: Option<u32>) -> Option<u32> {
    None
}

/// Not told by this operating system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn database_directory(_pid: u32) -> Option<PathBuf> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{self, File};
    use std::io::Read as _;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;

    use procfs::net::{TcpState, tcp, tcp6};
    use procfs::process::{FDTarget, Process};

    /// What every SQLite database begins with.
    const SQLITE_HEADER: &[u8; 16] = b"SQLite format 3\0";

    /// The inodes of the sockets that listen there.
    pub(super) fn listening_sockets(authority: &str) -> Vec<u64> {
        let Some((addresses, port)) = loopback(authority) else {
            return Vec::new();
        };
        let sockets = tcp().into_iter().chain(tcp6()).flatten();
        let listening = sockets.filter(|socket| {
            let address = socket.local_address.ip();
            socket.state == TcpState::Listen
                && socket.local_address.port() == port
                && (address.is_unspecified() || addresses.contains(&address))
        });
        listening.map(|socket| socket.inode).collect()
    }

    fn loopback(authority: &str) -> Option<(Vec<IpAddr>, u16)> {
        let (host, port) = authority.rsplit_once(':')?;
        let host = host.trim_matches(['[', ']']);
        let addresses = if host == "localhost" {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        } else {
            vec![host.parse().ok()?]
        };
        let all = addresses.iter().all(IpAddr::is_loopback);
        all.then_some((addresses, port.parse().ok()?))
    }

    pub(super) fn holds_one_of(process: &Process, sockets: &[u64]) -> bool {
        // Processes of other users do not tell.
        let descriptors = process.fd().into_iter().flatten().flatten();
        descriptors
            .map(|descriptor| descriptor.target)
            .any(|target| matches!(target, FDTarget::Socket(inode) if sockets.contains(&inode)))
    }

    pub(super) fn database_directory(pid: i32) -> Option<PathBuf> {
        let descriptors = Process::new(pid).ok()?.fd().ok()?.flatten();
        let mut directories = descriptors.filter_map(|descriptor| {
            let FDTarget::Path(path) = descriptor.target else {
                return None;
            };
            // Another mount namespace may have another file of that name.
            let (there, here) = (
                fs::metadata(format!("/proc/{pid}/fd/{}", descriptor.fd)).ok()?,
                fs::metadata(&path).ok()?,
            );
            let same = (there.dev(), there.ino()) == (here.dev(), here.ino());
            if !same || !here.is_file() {
                return None;
            }
            let mut header = [0; SQLITE_HEADER.len()];
            File::open(&path).ok()?.read_exact(&mut header).ok()?;
            (header == *SQLITE_HEADER).then(|| path.parent().map(PathBuf::from))?
        });
        directories.next()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_addresses_of_this_machine_are_looked_up() {
            assert!(loopback("127.0.0.1:80").is_some());
            assert!(loopback("[::1]:80").is_some());
            assert!(loopback("localhost:80").is_some());
            for elsewhere in ["192.0.2.1:80", "example.org:80", "127.0.0.1", ""] {
                assert!(loopback(elsewhere).is_none(), "{elsewhere}");
            }
        }

        #[test]
        fn this_process_is_found_by_the_socket_it_listens_at_and_its_database() {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let authority = listener.local_addr().unwrap().to_string();
            let me = std::process::id();
            assert_eq!(super::super::pid_at(&authority, None), Some(me));
            assert_eq!(super::super::pid_at(&authority, Some(1)), Some(me));
            drop(listener);
            assert_eq!(super::super::pid_at(&authority, Some(me)), None);

            let directory = tempfile::tempdir().unwrap();
            let database = rusqlite::Connection::open(directory.path().join("a.sqlite")).unwrap();
            database.execute_batch("CREATE TABLE t (x)").unwrap();
            let found = database_directory(i32::try_from(me).unwrap()).unwrap();
            // Other tests of this process may have databases open as well.
            assert!(found.is_dir());
        }
    }
}
