//! The books of a server that lies: what it does with a transfer, what it writes, and what it
//! says of itself.
//!
//! The ledger is a file of lines, written before the answer and replayed at the start, which
//! outlives the process (not the machine, which nobody cuts off here). The tally beside it is
//! what the liar admits: a line for every lie, written before it is told, for the audit's
//! findings to be held against.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use busload_wire::control::{Balances, Stats};
use serde_json::{Value, json};

use super::tally::{Moved, numbers};

/// Which transfer of a connection is lied about: one for each connection and cycle, so that the
/// balances tell which it was.
pub(crate) const FIRST: u64 = 10;
/// How many transfers in a row are lied about by [`Lie::RefusesABatch`].
const BATCH: u64 = 3;
/// How long after the answer [`Lie::AnswersEarly`] writes.
const LATE: Duration = Duration::from_millis(100);
/// How many lines [`Lie::ForgetsTheEnd`] forgets at each start.
const FORGOTTEN: usize = 10;

/// How a server treats transfers and those who ask about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// Writes, applies, answers: the control.
    None,
    /// Answers, and writes 100 ms later.
    AnswersEarly,
    /// Applies one and does not answer it.
    DropsAnswers,
    /// The same, to a client that does not wait for it.
    NeverAnswers,
    /// Cannot write one, and answers as if it had.
    SwallowsErrors,
    /// Answers one as refused, and applies it.
    RefusesAndApplies,
    /// The same with three in a row, as if they were a batch.
    RefusesABatch,
    /// Applies one twice.
    AppliesTwice,
    /// Answers one twice.
    AnswersTwice,
    /// Writes only the seeding.
    OnlyInMemory,
    /// One arrives nowhere.
    LosesMoney,
    /// Rejects one for want of money that is there.
    RejectsWrongly,
    /// Loses the last ten lines of its ledger at each start.
    ForgetsTheEnd,
    /// Claims to remember ids, and applies whatever comes.
    ForgetsIds,
    /// Syncs what it writes, and does not ask whether that has failed.
    IgnoresSyncErrors,
    /// The same, but ends when it has failed: the control for it.
    MindsSyncErrors,
    /// Gives up at every second start.
    StartsAtTheSecondTry,
    /// Has `stats`, and shows in them what is: the control for those below, which treat transfers
    /// as they should and, while they come, show books that never were.
    ShowsTheBooks,
    /// Shows the last transfer debited and not yet credited.
    ShowsHalf,
    /// Shows the last payer with less than nothing.
    ShowsDebt,
    /// Shows one account less, its money with its neighbour.
    ShowsFewer,
    /// Shows one account more.
    ShowsMore,
}

impl Lie {
    pub(crate) const ALL: [Self; 22] = [
        Self::None,
        Self::AnswersEarly,
        Self::DropsAnswers,
        Self::NeverAnswers,
        Self::SwallowsErrors,
        Self::RefusesAndApplies,
        Self::RefusesABatch,
        Self::AppliesTwice,
        Self::AnswersTwice,
        Self::OnlyInMemory,
        Self::LosesMoney,
        Self::RejectsWrongly,
        Self::ForgetsTheEnd,
        Self::ForgetsIds,
        Self::IgnoresSyncErrors,
        Self::MindsSyncErrors,
        Self::StartsAtTheSecondTry,
        Self::ShowsTheBooks,
        Self::ShowsHalf,
        Self::ShowsDebt,
        Self::ShowsFewer,
        Self::ShowsMore,
    ];

    fn has_stats(self) -> bool {
        matches!(
            self,
            Self::ShowsTheBooks
                | Self::ShowsHalf
                | Self::ShowsDebt
                | Self::ShowsFewer
                | Self::ShowsMore
        )
    }
}

fn place(account: i64) -> usize {
    usize::try_from(account).expect("small")
}

pub(crate) struct Bank {
    pub(crate) lie: Lie,
    balances: Vec<i64>,
    /// Everything that was ever applied.
    applied: HashSet<Moved>,
    /// The last that this process applied: without one there is no load on it.
    last: Option<Moved>,
    file: File,
    tally: File,
    /// What is written late, and when. Bounded by what a load can send in [`LATE`].
    late: VecDeque<(Instant, String)>,
}

impl Bank {
    /// What the file says.
    pub(crate) fn open(lie: Lie, path: &Path, tally: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().collect();
        let mut forgotten = Vec::new();
        if lie == Lie::ForgetsTheEnd && lines.len() > FORGOTTEN {
            forgotten = lines.split_off((lines.len() - FORGOTTEN).max(1));
        }
        let append = |path| File::options().create(true).append(true).open(path);
        let mut bank = Self {
            lie,
            balances: Vec::new(),
            applied: HashSet::new(),
            last: None,
            file: append(path).expect("the ledger can be opened"),
            tally: append(tally).expect("the tally can be opened"),
            late: VecDeque::new(),
        };
        for line in &lines {
            match numbers(line)[..] {
                [accounts, initial] => bank.balances = vec![initial; place(accounts)],
                [from, to, amount, received] => {
                    bank.enter(Moved { from, to, amount }, received);
                }
                _ => panic!("{line}"),
            }
        }
        for line in &forgotten {
            let (moved, _) = line.rsplit_once(' ').expect("it has words");
            bank.admit("told", moved);
        }
        if !forgotten.is_empty() {
            let kept = lines.join("\n") + "\n";
            std::fs::write(path, kept).expect("the ledger can be written");
        }
        let in_debt = bank.balances.iter().filter(|balance| **balance < 0).count();
        for _ in 0..in_debt {
            bank.admit("in_debt", "an account");
        }
        bank
    }

    fn write(&mut self, lines: &str) {
        // In one call: a kill leaves it whole or not there.
        self.file
            .write_all(lines.as_bytes())
            .expect("it is written");
        match self.lie {
            Lie::IgnoresSyncErrors => drop(self.file.sync_data()),
            Lie::MindsSyncErrors if self.file.sync_data().is_err() => {
                eprintln!("error: what is written may not be there");
                std::process::exit(5);
            }
            _ => {}
        }
    }

    /// A line for the tally.
    pub(crate) fn admit(&mut self, word: &str, what: impl fmt::Display) {
        let line = format!("{word} {what}\n");
        self.tally
            .write_all(line.as_bytes())
            .expect("it is written");
    }

    /// Moves money.
    fn enter(&mut self, moved: Moved, received: i64) {
        self.balances[place(moved.from)] -= moved.amount;
        self.balances[place(moved.to)] += received;
        self.applied.insert(moved);
    }

    /// Writes what is due of what is written late, in order.
    pub(crate) fn write_late(&mut self) {
        while let Some((due, _)) = self.late.front() {
            if *due > Instant::now() {
                return;
            }
            if let Some((_, line)) = self.late.pop_front() {
                self.write(&line);
            }
        }
    }

    /// Whether this transfer, the so-manieth of its connection, is lied about.
    fn is_lied_about(&self, moved: &Moved, number: u64) -> bool {
        match self.lie {
            Lie::DropsAnswers
            | Lie::NeverAnswers
            | Lie::SwallowsErrors
            | Lie::RefusesAndApplies
            | Lie::AppliesTwice
            | Lie::AnswersTwice
            | Lie::LosesMoney
            | Lie::RejectsWrongly => number == FIRST,
            Lie::RefusesABatch => (FIRST..FIRST + BATCH).contains(&number),
            Lie::OnlyInMemory => true,
            Lie::ForgetsIds => self.applied.contains(moved),
            _ => false,
        }
    }

    /// How often and with what a transfer is answered.
    fn transfer(&mut self, moved: Moved, number: u64) -> (usize, Value) {
        let refused = |code: &str| json!({"ok": false, "error": code});
        let lied = self.is_lied_about(&moved, number);
        if lied {
            self.admit("told", moved);
        }
        let (mut times, mut answer) = (1, json!({"ok": true}));
        let (mut copies, mut received) = (1, moved.amount);
        match self.lie {
            _ if !lied => {}
            Lie::RejectsWrongly => return (1, refused("insufficient_funds")),
            Lie::SwallowsErrors => return (1, answer),
            Lie::DropsAnswers | Lie::NeverAnswers => times = 0,
            Lie::AnswersTwice => times = 2,
            Lie::RefusesAndApplies | Lie::RefusesABatch => answer = refused("storage_full"),
            Lie::AppliesTwice => copies = 2,
            Lie::LosesMoney => received = 0,
            _ => {}
        }
        for _ in 0..copies {
            self.enter(moved, received);
        }
        self.last = Some(moved);
        let lines = format!("{moved} {received}\n").repeat(copies);
        match self.lie {
            Lie::OnlyInMemory => {}
            Lie::AnswersEarly => self.late.push_back((Instant::now() + LATE, lines)),
            _ => self.write(&lines),
        }
        (times, answer)
    }

    /// What it says of all balances. Under load some lie; at rest all are right.
    fn stats(&mut self) -> Value {
        let mut shown = self.balances.clone();
        let word = if let Some(last) = self.last {
            match self.lie {
                Lie::ShowsHalf => shown[place(last.to)] -= last.amount,
                Lie::ShowsDebt => {
                    let all_and_one = shown[place(last.from)] + 1;
                    shown[place(last.from)] -= all_and_one;
                    shown[place(last.to)] += all_and_one;
                }
                Lie::ShowsFewer => {
                    let gone = shown.pop().expect("there are accounts");
                    *shown.last_mut().expect("there are more") += gone;
                }
                Lie::ShowsMore => shown.push(0),
                _ => {}
            }
            if shown == self.balances {
                "whole"
            } else {
                "torn"
            }
        } else {
            "idle"
        };
        self.admit(word, "snapshot");
        let mut digest = DefaultHasher::new();
        shown.hash(&mut digest);
        let balances = Balances {
            accounts: shown.len() as u64,
            total: shown
                .iter()
                .map(|one| i128::from(*one))
                .sum::<i128>()
                .to_string(),
            lowest: shown
                .iter()
                .min()
                .map_or(String::new(), ToString::to_string),
            digest: format!("{:016x}", digest.finish()),
        };
        let stats = Stats {
            balances: Some(balances),
            ..Stats::default()
        };
        serde_json::to_value(stats).expect("it is JSON")
    }

    /// The answer to a request, and how often it is given. `number` counts the transfers of the
    /// connection, from 1.
    pub(crate) fn answer(&mut self, request: &Value, number: u64) -> (usize, Value) {
        let args = &request["args"];
        let result = match request["name"].as_str().unwrap_or_default() {
            "transfer" => {
                let moved = Moved::of(args, ["from_id", "to_id", "amount"]);
                return self.transfer(moved, number);
            }
            "stats" if self.lie.has_stats() => self.stats(),
            "info" if self.lie == Lie::ForgetsIds => info(),
            "getAccount" => {
                let id = usize::try_from(args["id"].as_u64().expect("an account")).expect("small");
                let found = self.balances.get(id);
                found.map_or(Value::Null, |b| json!({"id": id, "balance": b.to_string()}))
            }
            "seed" => {
                let accounts = args["accounts"].as_i64().expect("a number");
                let initial = args["initialBalance"].as_i64().expect("a number");
                self.balances = vec![initial; place(accounts)];
                self.write(&format!("{accounts} {initial}\n"));
                Value::Null
            }
            name => {
                let error = format!("unknown method: {name}");
                return (1, json!({"ok": false, "error": error}));
            }
        };
        (1, json!({"ok": true, "result": result}))
    }
}

/// What a server that remembers ids says of itself.
fn info() -> Value {
    json!({
        "server": "liar",
        "version": "1",
        "transport": "ws",
        "encodings": ["json"],
        "durability": "custom",
        "pragmas": {},
        "sqlite_version": "none",
        "database": "lines",
        "batch_size": 1,
        "batch_timeout_us": 0.0,
        "queue_transfers": 1,
        "max_inflight_per_connection": 1_000,
        "exactly_once": true,
        "pid": std::process::id(),
    })
}
