//! Which Unix sockets are connected to which, as the kernel tells through its socket diagnostics
//! (`sock_diag(7)`): `/proc/net/unix` does not say.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

/// The kernel answers at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// As much as the kernel sends in one piece.
const PIECE_BYTES: usize = 64 * 1024;

/// Of `linux/netlink.h`, `linux/sock_diag.h` and `linux/unix_diag.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const TCP_ESTABLISHED: u32 = 1;
const UDIAG_SHOW_NAME_AND_PEER: u32 = 1 | 4;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_PEER: u16 = 2;
const HEADER_BYTES: usize = 16;
const MESSAGE_BYTES: usize = 16;

/// A connected Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnixSocket {
    /// The inode of the socket at the other end; 0 when there is none.
    pub(super) peer: u64,
    /// The path that it was bound to, or whose listener it was accepted from; of an abstract one
    /// with `@` in front.
    pub(super) name: Option<String>,
}

/// All connected Unix sockets of this network namespace, by inode.
///
/// # Errors
/// The kernel does not tell.
pub(super) fn unix_sockets() -> io::Result<HashMap<u64, UnixSocket>> {
    let kernel = SocketAddrNetlink::new(0, 0);
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        flags,
        Some(SOCK_DIAG),
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
    sendto(&socket, &request(), SendFlags::empty(), &kernel)?;
    let mut sockets = HashMap::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let (length, _) = recv(&socket, piece.as_mut_slice(), RecvFlags::empty())?;
        if read_piece(&piece[..length], &mut sockets)? {
            return Ok(sockets);
        }
    }
}

/// Asks for all connected sockets, with names and peers.
fn request() -> Vec<u8> {
    let mut request = Vec::with_capacity(40);
    request.extend(40_u32.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    // Sequence number and port: there is one request on this socket.
    request.extend([0; 8]);
    let family = u8::try_from(AddressFamily::UNIX.as_raw()).unwrap_or(1);
    request.extend([family, 0, 0, 0]);
    request.extend((1_u32 << TCP_ESTABLISHED).to_ne_bytes());
    request.extend(0_u32.to_ne_bytes());
    request.extend(UDIAG_SHOW_NAME_AND_PEER.to_ne_bytes());
    request.extend([0; 8]);
    request
}

/// Reads one piece of the answer; true when it was the last.
fn read_piece(mut piece: &[u8], sockets: &mut HashMap<u64, UnixSocket>) -> io::Result<bool> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    while !piece.is_empty() {
        let length = u32_at(piece, 0).and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| (HEADER_BYTES..=piece.len()).contains(length));
        let length = length.ok_or_else(broken)?;
        match u16_at(piece, 4) {
            Some(NLMSG_DONE) => return Ok(true),
            Some(NLMSG_ERROR) => return Err(io::ErrorKind::Unsupported.into()),
            _ => {}
        }
        let message = &piece[HEADER_BYTES..length];
        let inode = u32_at(message, 4).ok_or_else(broken)?;
        let attributes = message.get(MESSAGE_BYTES..).ok_or_else(broken)?;
        sockets.insert(inode.into(), read_attributes(attributes));
        piece = piece.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn read_attributes(mut attributes: &[u8]) -> UnixSocket {
    let mut socket = UnixSocket {
        peer: 0,
        name: None,
    };
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let length = usize::from(length);
        let Some(value) = attributes.get(4..length) else {
            break;
        };
        match kind {
            UNIX_DIAG_PEER => socket.peer = u32_at(value, 0).unwrap_or(0).into(),
            UNIX_DIAG_NAME => {
                let name = String::from_utf8_lossy(value).replace('\0', "@");
                socket.name = Some(name.trim_end_matches('@').to_owned());
            }
            _ => {}
        }
        let next = length.next_multiple_of(4);
        attributes = attributes.get(next..).unwrap_or_default();
    }
    socket
}

fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    let bytes = bytes.get(place..place + 2)?;
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    let bytes = bytes.get(place..place + 4)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn inode(stream: &impl std::os::fd::AsRawFd) -> u64 {
        let link = format!("/proc/self/fd/{}", stream.as_raw_fd());
        let link = std::fs::read_link(link).unwrap();
        let link = link.to_string_lossy();
        let inode = link.strip_prefix("socket:[").unwrap();
        inode.strip_suffix(']').unwrap().parse().unwrap()
    }

    #[test]
    fn the_kernel_says_who_is_at_the_other_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        let sockets = unix_sockets().unwrap();
        let of = |stream: &UnixStream| sockets[&inode(stream)].clone();
        assert!(client.as_raw_fd() > 0);
        assert_eq!(
            (of(&client).peer, of(&client).name),
            (inode(&accepted), None)
        );
        let name = Some(path.display().to_string());
        assert_eq!(
            (of(&accepted).peer, of(&accepted).name),
            (inode(&client), name)
        );
        assert_eq!(of(&one).peer, inode(&other));
        assert!(
            !sockets.contains_key(&inode(&listener)),
            "it is not connected"
        );
    }

    #[test]
    fn what_is_cut_off_is_no_answer() {
        let mut sockets = HashMap::new();
        assert!(read_piece(&[1, 2, 3], &mut sockets).is_err());
        let mut message = request();
        message[0] = 39;
        message.truncate(39);
        assert!(read_piece(&message[..30], &mut sockets).is_err());
        assert!(!read_piece(&[], &mut sockets).unwrap());
    }
}
