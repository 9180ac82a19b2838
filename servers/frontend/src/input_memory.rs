//! One budget for what all connections together have sent of requests that are not whole yet.
//!
//! Every bound of a message or a body is one of a single connection: many connections that each
//! stay just below it would take any amount of memory. So the bytes are counted where they are
//! read, and when all together exceed the budget, the connection that holds the most is told to
//! go. An ordinary request, which comes in one piece, costs a few loads and stores and no lock.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;

use crate::mailbox::Mailbox;

/// So much of each connection's input is not counted: it is no more than its buffers take
/// anyway, and an ordinary request never reaches the lock.
const FREE_BYTES: usize = 8 * 1024;

/// The share of the budget that connections may still hold which were told to go, while others
/// go on reading: one part in so many.
const GOING_PARTS: usize = 8;

/// Memory of connections that have ended which the allocator may keep.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Between the end of connections and the giving back of their memory: many end at once.
const GIVE_BACK_PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct InputMemory {
    budget: usize,
    held: Mutex<Held>,
    /// Connections that were told to go hold so much that the others wait for it.
    is_over: AtomicBool,
    /// Connections closed, or requests refused, because the budget was exceeded.
    refused: AtomicU64,
    freed: Notify,
}

/// What the connections hold beyond what is free. The keys are bytes and the connection's number.
#[derive(Default)]
struct Held {
    bytes: usize,
    /// Of connections that were told to go and have not dropped it yet.
    going: usize,
    connections: BTreeMap<(usize, u64), Arc<Input>>,
    /// Bytes of connections that have ended since memory was given back.
    freed: usize,
    /// The number of the next connection.
    next: u64,
}

/// The unfinished input of one connection. Only the connection's own task changes it, so that a
/// change is a load and a store; what the budget knows of it changes under the budget's lock.
pub(crate) struct Input {
    memory: Arc<InputMemory>,
    mailbox: Arc<Mailbox>,
    number: u64,
    /// Read since the last whole request; beyond it at most what `last` says.
    unfinished: AtomicUsize,
    /// Bytes of the last read: what was read after the end of a request is at most that.
    last: AtomicUsize,
    /// Bytes of the largest request so far: the library keeps the buffer that it was read into.
    largest: AtomicUsize,
    /// What the budget counts of it.
    counted: AtomicUsize,
    /// It was told to go, or goes: nothing more is counted.
    leaving: AtomicBool,
    /// It was told to go.
    refused: AtomicBool,
}

impl InputMemory {
    pub(crate) fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self {
            budget,
            held: Mutex::default(),
            is_over: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            freed: Notify::new(),
        })
    }

    /// The input of a new connection; `mailbox` wakes its task.
    pub(crate) fn connection(self: &Arc<Self>, mailbox: Arc<Mailbox>) -> Arc<Input> {
        let mut held = self.lock();
        held.next += 1;
        Arc::new(Input {
            memory: Arc::clone(self),
            mailbox,
            number: held.next,
            unfinished: AtomicUsize::new(0),
            last: AtomicUsize::new(0),
            largest: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        })
    }

    /// How many connections were told to go because all together held too much.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Has the allocator give back what connections held that have ended, for ever.
    pub(crate) async fn give_back(&self, trim: fn()) {
        loop {
            self.freed.notified().await;
            let freed = self.lock().freed;
            if freed < self.budget / GOING_PARTS {
                tokio::time::sleep(GIVE_BACK_PAUSE).await;
            }
            self.lock().freed = 0;
            trim();
        }
    }

    /// The memory of a connection's input has been dropped.
    fn drop_share(&self, input: &Arc<Input>) {
        let mut held = self.lock();
        let bytes = input.counted.load(Ordering::Relaxed);
        if input.is_refused() {
            input.counted.store(0, Ordering::Relaxed);
            held.going -= bytes;
            self.note_going(&held);
        } else {
            held.count(input, 0);
        }
        held.freed += bytes;
        if held.freed >= KEPT_BYTES {
            self.freed.notify_one();
        }
    }

    fn note_going(&self, held: &Held) {
        let is_over = held.going > self.budget / GOING_PARTS;
        self.is_over.store(is_over, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Counts `bytes` for a connection instead of what was counted.
    fn count(&mut self, input: &Arc<Input>, bytes: usize) {
        let before = input.counted.swap(bytes, Ordering::Relaxed);
        self.bytes = self.bytes + bytes - before;
        if before > 0 {
            self.connections.remove(&(before, input.number));
        }
        if bytes > 0 {
            self.connections
                .insert((bytes, input.number), Arc::clone(input));
        }
        debug_assert!(
            self.bytes > 0 || self.connections.is_empty(),
            "nothing is left over"
        );
    }

    fn refuse_largest(&mut self) -> Option<Arc<Input>> {
        let (&(bytes, _), input) = self.connections.last_key_value()?;
        let input = Arc::clone(input);
        self.count(&input, 0);
        input.counted.store(bytes, Ordering::Relaxed);
        self.going += bytes;
        input.leaving.store(true, Ordering::Relaxed);
        input.refused.store(true, Ordering::Relaxed);
        Some(input)
    }
}

impl Input {
    /// Bytes have come in.
    pub(crate) fn read(self: &Arc<Self>, bytes: usize) {
        let unfinished = self.unfinished.load(Ordering::Relaxed) + bytes;
        self.unfinished.store(unfinished, Ordering::Relaxed);
        self.last.store(bytes, Ordering::Relaxed);
        if unfinished > FREE_BYTES {
            self.count();
        }
    }

    /// A request of so many bytes is whole, and out of the connection's buffers. What was read
    /// beyond its end came with the last read.
    pub(crate) fn whole(self: &Arc<Self>, bytes: usize) {
        let last = self.last.load(Ordering::Relaxed);
        self.unfinished.store(last, Ordering::Relaxed);
        if bytes > self.largest.load(Ordering::Relaxed).max(FREE_BYTES) {
            self.largest.store(bytes, Ordering::Relaxed);
        }
        if self.counted.load(Ordering::Relaxed) > 0 {
            self.count();
        }
    }

    /// Bytes of the unfinished request were none of it, and are out of the buffers.
    pub(crate) fn aside(&self, bytes: usize) {
        let unfinished = self.unfinished.load(Ordering::Relaxed);
        self.unfinished
            .store(unfinished.saturating_sub(bytes), Ordering::Relaxed);
    }

    /// What it held is dropped, and nothing is counted any more: the connection ends.
    pub(crate) fn leave(self: &Arc<Self>) {
        self.leaving.store(true, Ordering::Relaxed);
        if self.counted.load(Ordering::Relaxed) > 0 {
            self.memory.drop_share(self);
        }
    }

    /// Whether to read only later, because others have still to drop what they must. Whoever
    /// reads ordinary requests does not wait.
    pub(crate) fn must_wait(&self) -> bool {
        self.unfinished.load(Ordering::Relaxed) > FREE_BYTES
            && self.memory.is_over.load(Ordering::Relaxed)
            && !self.leaving.load(Ordering::Relaxed)
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Until the connection is told to go. Its task's waker is the mailbox's.
    pub(crate) fn refused(&self) -> impl Future<Output = ()> + '_ {
        poll_fn(|cx| {
            self.mailbox.register(cx.waker());
            if self.is_refused() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    /// Tells the budget what is held; beyond the budget, the largest are told to go.
    ///
    /// What was read is held twice, once in the library's read buffer and once in the message or
    /// body that it becomes; and that buffer stays as large as the largest request made it.
    #[cold]
    fn count(self: &Arc<Self>) {
        let unfinished = self.unfinished.load(Ordering::Relaxed);
        let largest = self.largest.load(Ordering::Relaxed);
        let bytes = match unfinished {
            0..=FREE_BYTES => largest,
            _ => unfinished + unfinished.max(largest),
        };
        let mut to_go = Vec::new();
        let mut held = self.memory.lock();
        if self.leaving.load(Ordering::Relaxed) {
            return;
        }
        held.count(self, bytes);
        while held.bytes > self.memory.budget {
            to_go.extend(held.refuse_largest());
        }
        self.memory.note_going(&held);
        drop(held);
        let refused = to_go.len() as u64;
        self.memory.refused.fetch_add(refused, Ordering::Relaxed);
        for input in to_go {
            input.mailbox.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn connections<const N: usize>(budget: usize) -> (Arc<InputMemory>, [Arc<Input>; N]) {
        let memory = InputMemory::new(budget);
        let inputs = std::array::from_fn(|_| memory.connection(Mailbox::new()));
        (memory, inputs)
    }

    #[test]
    fn requests_that_come_in_one_piece_are_never_counted() {
        let (memory, [input]) = connections::<1>(0);
        for _ in 0..1000 {
            input.read(4 * KIB);
            input.whole(4 * KIB);
        }
        assert!(!input.is_refused());
        assert_eq!((memory.lock().bytes, memory.refused()), (0, 0));
    }

    #[test]
    fn the_one_that_holds_the_most_is_told_to_go() {
        let (memory, [small, large, late]) = connections::<3>(200 * KIB);
        small.read(20 * KIB);
        large.read(60 * KIB);
        assert_eq!(memory.lock().bytes, 160 * KIB, "both copies of both");
        late.read(30 * KIB);
        assert_eq!(
            [&small, &large, &late].map(|input| input.is_refused()),
            [false, true, false]
        );
        assert_eq!((memory.lock().bytes, memory.refused()), (100 * KIB, 1));
        // It is not counted again while it goes, and the others wait for what it holds.
        large.read(500 * KIB);
        assert_eq!((memory.lock().bytes, memory.refused()), (100 * KIB, 1));
        let fresh = memory.connection(Mailbox::new());
        fresh.read(KIB);
        let all = [&small, &large, &late, &fresh];
        assert_eq!(
            all.map(|input| input.must_wait()),
            [true, false, true, false]
        );
        large.leave();
        assert_eq!(memory.lock().going, 0);
        assert_eq!(all.map(|input| input.must_wait()), [false; 4]);
        // Alone beyond the budget, it is the largest itself.
        late.read(80 * KIB);
        assert!(late.is_refused());
        small.leave();
        assert_eq!(memory.lock().bytes, 0);
    }

    #[test]
    fn a_whole_request_is_given_back_but_for_the_buffer_it_came_through() {
        let (memory, [input]) = connections::<1>(1000 * KIB);
        input.read(100 * KIB);
        input.read(4 * KIB);
        assert_eq!(memory.lock().bytes, 208 * KIB);
        input.whole(100 * KIB);
        assert_eq!(memory.lock().bytes, 100 * KIB);
        // Beyond its end there may be all of the last read; the buffer is there already.
        input.read(6 * KIB);
        assert_eq!(memory.lock().bytes, 110 * KIB);
        input.leave();
        assert_eq!(memory.lock().bytes, 0);
    }

    #[test]
    fn pings_are_no_part_of_the_message_they_come_between() {
        let (memory, [input]) = connections::<1>(1000 * KIB);
        for _ in 0..1000 {
            input.read(KIB);
            input.aside(KIB);
        }
        assert_eq!(memory.lock().bytes, 0);
    }
}
