//! The socket on which connections arrive, and how many were too many for it.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Where Linux counts what happened to listening sockets of this network namespace.
const NETSTAT: &str = "/proc/self/net/netstat";

pub(crate) struct Listener {
    socket: TcpListener,
    /// Of this network namespace when it began to listen, where the system tells.
    overflows_before: Option<u64>,
}

impl Listener {
    /// Listens; so many connections may wait to be accepted, or as many as the system allows.
    pub(crate) fn bind(address: SocketAddr, backlog: u32) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // A server that is started again finds connections of the one before in TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            overflows_before: overflows(),
            socket: socket.listen(backlog)?,
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.socket.accept().await
    }

    /// How often a connection found the queue of a listening socket full since this one began to
    /// listen. The kernel counts all of a network namespace together. `None` where it does not
    /// tell.
    pub(crate) fn overflows(&self) -> Option<u64> {
        overflows()
            .zip(self.overflows_before)
            .map(|(now, before)| now.saturating_sub(before))
    }
}

fn overflows() -> Option<u64> {
    counter(&std::fs::read_to_string(NETSTAT).ok()?, "ListenOverflows")
}

/// A counter of `TcpExt`, of which one line has the names and the next one the values.
fn counter(netstat: &str, name: &str) -> Option<u64> {
    let mut lines = netstat
        .lines()
        .filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|one| one == name)?;
    values.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_name() {
        let netstat = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 23 45\n\
                       IpExt: InNoRoutes ListenOverflows\nIpExt: 7 8\n";
        assert_eq!(counter(netstat, "ListenOverflows"), Some(23));
        assert_eq!(counter(netstat, "ListenOverflow"), None);
        assert_eq!(
            counter("TcpExt: ListenOverflows\n", "ListenOverflows"),
            None
        );
    }
}
