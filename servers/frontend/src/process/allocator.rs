//! What the binaries ask of the allocator that they have chosen, mimalloc.

#![expect(
    unsafe_code,
    reason = "the one call of mimalloc that its crate does not wrap"
)]

use mimalloc as _;

unsafe extern "C" {
    /// Part of mimalloc, which is linked in with the crate of that name.
    fn mi_collect(force: bool);
}

/// Lets memory be taken in the system's small pages only. To be called before it is needed.
///
/// With huge pages, the room that is reserved for a WebSocket frame when its header has come is
/// taken from the system as a whole with its first byte: a client would be given a megabyte for
/// a few bytes.
pub(crate) fn use_small_pages() {
    // A system that knows no huge pages gives none.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_thp_disable(true);
}

/// Gives memory that is not used any more back to the operating system.
///
/// mimalloc does so by itself only while the program allocates: what thousands of connections
/// have held would stay for as long as nobody asks for anything. In a program with another
/// allocator there is nothing to give back.
pub(crate) fn trim() {
    // SAFETY: it may be called at any time, from any thread (mimalloc.h), and takes no pointer.
    unsafe { mi_collect(true) }
}
