//! An engine with a front end that lives in the test: what the writer answers is collected
//! over a bounded channel, and the writer can be held between two batches.

#![allow(dead_code, reason = "each test crate uses its own part")]

use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use busload_engine::{
    Config, ControlCall, ControlReply, Degradation, Engine, EngineError, Notice, Outcome, Reply,
    ReplyPort, Storage, Work, WriterThread,
};
use busload_wire::control::{Stats, Verification};
use busload_wire::{RequestId, Transfer};

/// Far longer than anything takes: only so that a test which would hang fails instead.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(5);

/// The address of the call that holds the writer.
const HOLD: u32 = u32::MAX;
/// The address of control calls.
const CONTROL: u32 = u32::MAX - 1;
/// A transfer from this account to itself makes the port panic when it is answered.
pub(crate) const PANIC_ACCOUNT: i64 = -77;

/// Whether tests that CI runs scaled down have the sizes and times of the list of cases
/// (docs/reliability-evidence.md): when `BUSLOAD_LONG` is 1.
pub(crate) fn is_full_size() -> bool {
    std::env::var_os("BUSLOAD_LONG").is_some_and(|value| value == "1")
}

/// Says, past the test harness, what size a test had or what it counted.
pub(crate) fn tell(name: &str, what: &str) {
    let line = format!("{}::{name}: {what}\n", env!("CARGO_CRATE_NAME"));
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr takes a line");
}

pub(crate) type Answered = Result<ControlReply, EngineError>;

/// What the writer says.
#[derive(Debug)]
pub(crate) enum Mail {
    /// The outcomes of one batch.
    Batch(Vec<Reply<u32>>),
    Control(Option<RequestId>, Answered),
    /// The writer waits until it is let go.
    Held,
    Stopped,
}

#[derive(Clone)]
struct Port {
    notices: Arc<Mutex<Vec<Notice>>>,
    mail: SyncSender<Mail>,
    let_go: Arc<Mutex<Receiver<()>>>,
}

impl Port {
    fn post(&self, mail: Mail) {
        // A test may have ended before its writer.
        let _ = self.mail.send(mail);
    }
}

impl ReplyPort for Port {
    type Address = u32;

    fn transfers(&mut self, batch: &mut Vec<Reply<u32>>) {
        let mut work = batch.iter().flat_map(|reply| &reply.work);
        assert!(
            !work.any(|one| one.transfer.from == PANIC_ACCOUNT),
            "as the test wished"
        );
        self.post(Mail::Batch(std::mem::take(batch)));
    }

    fn control(&mut self, to: u32, id: Option<RequestId>, reply: Answered) {
        if to == HOLD {
            self.post(Mail::Held);
            let _ = self.let_go.lock().expect("nobody panicked").recv();
        } else {
            self.post(Mail::Control(id, reply));
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.notices.lock().expect("nobody panicked").push(notice);
    }

    fn stopped(&mut self) {
        self.post(Mail::Stopped);
    }
}

/// While this lives the writer does nothing.
pub(crate) struct Hold<'b>(&'b Bank);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let _ = self.0.let_go.send(());
    }
}

pub(crate) struct Bank {
    pub(crate) engine: Engine<u32>,
    pub(crate) writer: WriterThread,
    mail: Receiver<Mail>,
    let_go: SyncSender<()>,
    notices: Arc<Mutex<Vec<Notice>>>,
}

pub(crate) fn transfer(from: i64, to: i64, amount: i64) -> Transfer {
    Transfer {
        from,
        to,
        amount,
        transfer_id: None,
    }
}

pub(crate) fn work(transfers: &[Transfer]) -> Vec<Work> {
    let id = |n| RequestId::new(n).expect("small");
    (0..)
        .zip(transfers)
        .map(|(n, transfer)| Work::new(Some(id(n)), *transfer))
        .collect()
}

impl Bank {
    pub(crate) fn on(config: &Config, storage: Box<dyn Storage>) -> Result<Self, EngineError> {
        Self::on_several(config, vec![storage])
    }

    /// One writer for each.
    pub(crate) fn on_several(
        config: &Config,
        storages: Vec<Box<dyn Storage>>,
    ) -> Result<Self, EngineError> {
        let (mail, received) = sync_channel(100_000);
        let (let_go, let_go_received) = sync_channel(1);
        let notices = Arc::default();
        let port = Port {
            notices: Arc::clone(&notices),
            mail,
            let_go: Arc::new(Mutex::new(let_go_received)),
        };
        let ports = vec![port; storages.len()];
        let (engine, writer) = Engine::start_several(config, storages, ports)?;
        Ok(Self {
            engine,
            writer,
            mail: received,
            let_go,
            notices,
        })
    }

    /// What health was told of since the last call, and whether they began.
    pub(crate) fn notices(&self) -> Vec<(Degradation, bool)> {
        let notices = std::mem::take(&mut *self.notices.lock().expect("nobody panicked"));
        notices
            .iter()
            .map(|notice| (notice.degradation, notice.began.is_some()))
            .collect()
    }

    pub(crate) fn next_mail(&self) -> Mail {
        self.mail
            .recv_timeout(ANSWER_TIMEOUT)
            .expect("the writer answers")
    }

    /// Whether nothing arrives for a while.
    pub(crate) fn is_quiet(&self, duration: Duration) -> bool {
        matches!(
            self.mail.recv_timeout(duration),
            Err(RecvTimeoutError::Timeout)
        )
    }

    /// Holds the writer once it has done everything submitted so far.
    pub(crate) fn hold(&self) -> Hold<'_> {
        let call = ControlCall::GetAccount { id: 0 };
        self.engine
            .control(HOLD, None, call)
            .expect("the engine is open");
        assert!(matches!(self.next_mail(), Mail::Held));
        Hold(self)
    }

    pub(crate) fn submit(&self, to: u32, transfers: &[Transfer]) -> Vec<Work> {
        self.engine.submit(to, work(transfers))
    }

    pub(crate) fn next_batch(&self) -> Vec<Reply<u32>> {
        match self.next_mail() {
            Mail::Batch(batch) => batch,
            other => panic!("not a batch: {other:?}"),
        }
    }

    /// The outcomes of the next `count` transfers, in the order of their answers.
    pub(crate) fn outcomes(&self, count: usize) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while outcomes.len() < count {
            let work = self.next_batch().into_iter().flat_map(|reply| reply.work);
            outcomes.extend(work.map(|one| one.outcome));
        }
        assert_eq!(outcomes.len(), count);
        outcomes
    }

    /// Submits as one vector and waits.
    pub(crate) fn apply(&self, transfers: &[Transfer]) -> Vec<Outcome> {
        assert_eq!(self.submit(1, transfers).len(), 0, "nothing is refused");
        self.outcomes(transfers.len())
    }

    pub(crate) fn call(&self, call: ControlCall) -> Answered {
        self.engine.control(CONTROL, None, call)?;
        match self.next_mail() {
            Mail::Control(None, reply) => reply,
            other => panic!("not the answer to a call: {other:?}"),
        }
    }

    pub(crate) fn verify(&self) -> Result<Verification, EngineError> {
        match self.call(ControlCall::Verify)? {
            ControlReply::Verified(verification) => Ok(verification),
            other => panic!("{other:?}"),
        }
    }

    /// Counters after everything submitted so far.
    pub(crate) fn stats(&self) -> Stats {
        match self.call(ControlCall::Stats { histograms: true }) {
            Ok(ControlReply::Stats(snapshot)) => snapshot.pack(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn balance(&self, id: i64) -> Option<i64> {
        match self.call(ControlCall::GetAccount { id }) {
            Ok(ControlReply::Account(account)) => account.map(|account| {
                assert_eq!(account.id, id);
                account.balance.parse().expect("a decimal string")
            }),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn balances(&self, accounts: usize) -> Vec<i64> {
        (0_i64..)
            .take(accounts)
            .map(|id| self.balance(id).expect("the account is there"))
            .collect()
    }

    /// Closes, and gives back what was still answered.
    pub(crate) fn stop(self) -> (Vec<Reply<u32>>, Result<(), EngineError>) {
        self.engine.close();
        let mut rest = Vec::new();
        loop {
            match self.next_mail() {
                Mail::Batch(batch) => rest.extend(batch),
                Mail::Stopped => break,
                Mail::Control(..) | Mail::Held => {}
            }
        }
        (rest, self.writer.join())
    }

    pub(crate) fn stop_cleanly(self) {
        let (rest, result) = self.stop();
        assert!(rest.is_empty(), "nothing was queued");
        result.expect("the writer ends well");
    }
}
