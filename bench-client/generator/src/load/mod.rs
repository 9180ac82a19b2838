//! The load: client threads, their workers and what they record.
//!
//! Each client thread is an operating-system thread with a runtime, histograms and account
//! table of its own; its workers share those without a lock. Nothing shared between
//! threads is written per operation.

mod accounts;
mod alarm;
mod edges;
mod pacer;
mod phases;
mod recorder;
mod resolve;
mod series;
mod tally;
mod worker;

pub use accounts::{Accounts, Moves};
pub use edges::Edges;
pub use pacer::{ClosedLoop, Due, OpenLoop, Pacer};
pub use phases::{Phase, Schedule};
pub use series::{ThreadInterval, Ticks};
pub use tally::{Counts, Offered, Tally, Times};

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::config::{Measure, Pace, Resolve, Shard};
use crate::connector::{ConnectError, Connector, WorkerId};
use crate::workload::{TransferSource, Zipf};
use alarm::Alarm;
use recorder::ThreadRecorder;
use resolve::Resolver;
pub use resolve::session_half;
use series::Series;
use worker::{Worker, WorkerEnd};

/// Sessions that one client thread opens at the same time.
const CONNECTS_AT_ONCE: usize = 64;
/// Longest wait for a session: a server that has no place left for it accepts nothing and
/// says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often each event loop is asked how late it is.
const LAG_PROBE_EVERY: Duration = Duration::from_millis(10);

/// Everything the load loop needs to know.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Sessions, each with its own window.
    pub workers: u32,
    /// Which of them are this machine's; the others are other machines'.
    pub shard: Shard,
    /// Transfers in flight per worker.
    pub max_inflight: usize,
    /// Client threads.
    pub threads: usize,
    /// How load is offered.
    pub pace: Pace,
    /// The distribution of accounts.
    pub zipf: Arc<Zipf>,
    /// What each transfer moves.
    pub amount: i64,
    /// The random seed.
    pub seed: u64,
    /// Load before the measurement.
    pub warmup: Duration,
    /// How much is measured.
    pub measure: Measure,
    /// After this long without an answer the outcome of a transfer is unknown.
    pub op_timeout: Duration,
    /// Give every transfer an id and find out what became of those of unknown outcome by
    /// sending them again; `None` sends each transfer once and without an id.
    pub exactly_once: Option<Resolve>,
    /// Length of an interval of the time series; `None` records none.
    pub interval: Option<Duration>,
}

/// Why no load could be put on a server.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A worker could not connect.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A worker was not refused and not served.
    #[error(
        "worker {worker} got no session within {waited:?}: the server may not take so \
         many, lower --concurrency"
    )]
    ConnectTimeout {
        /// The worker, from 0.
        worker: u32,
        /// How long it waited.
        waited: Duration,
    },
    /// A client thread could not be started or panicked.
    #[error("client thread: {0}")]
    Thread(String),
}

/// What all client threads together saw.
#[derive(Debug)]
pub struct LoadResult {
    /// Answers before the window.
    pub warmup: Tally,
    /// Answers inside the window.
    pub window: Tally,
    /// Answers after the window.
    pub drain: Tally,
    /// What an open loop has besides.
    pub offered: Option<Box<Offered>>,
    /// Transfers in flight: mean over the window.
    pub mean_inflight: f64,
    /// Committed transfers of the window, tick by tick.
    pub ticks: Ticks,
    /// How late the event loops were inside the window.
    pub loop_lag: Times,
    /// When the event loops of all client threads stood still together for the longest time, since
    /// the window opened; what lies before it is cut off.
    pub stalled: Option<(Duration, Duration)>,
    /// What crossed the ends of the window.
    pub edges: Edges,
    /// Processor time of each client thread inside the window, where the operating system
    /// tells.
    pub thread_cpu: Vec<Duration>,
    /// The window as it was.
    pub window_length: Duration,
    /// Transfers submitted inside the window.
    pub submitted: u64,
    /// Of those, how many named an account that was already in flight on the same client
    /// thread.
    pub collisions: u64,
    /// What the transfers of the whole run did with each account.
    pub accounts: Accounts,
    /// Sessions opened again after one broke.
    pub reconnects: u64,
    /// Answers that came after their transfer's timeout.
    pub late_answers: u64,
    /// Answers that contradicted themselves: their transfers are of unknown outcome.
    pub contradictory_answers: u64,
    /// Connections that the server had closed while they were idle, and that were replaced.
    pub idle_reconnects: u64,
    /// Transfers of unknown outcome that had one when they were sent again, over the whole
    /// run.
    pub resolved: u64,
    /// How often transfers were sent again.
    pub sent_again: u64,
    /// Answers to nothing that was asked: a breach of the protocol.
    pub unexpected_answers: u64,
    /// Workers that gave up because the server was gone, and the last reason.
    pub gave_up: u32,
    /// Why sessions broke, or could not be opened again: the first few.
    pub errors: Vec<String>,
}

impl LoadResult {
    /// Whether any transfer had an outcome, also a bad or an unknown one, before the window
    /// ended. Of what is answered after a stop, nothing is measured.
    #[must_use]
    pub fn saw_an_outcome(&self) -> bool {
        self.warmup.counts.total() + self.window.counts.total() > 0
    }

    /// The counts of the whole run: warm-up, window and drain.
    #[must_use]
    pub fn whole_run(&self) -> Counts {
        let mut counts = self.warmup.counts;
        counts.add(&self.window.counts);
        counts.add(&self.drain.counts);
        counts
    }
}

/// Counters that client threads publish once per turn, for the progress line.
#[derive(Debug, Default)]
pub struct Progress {
    per_thread: Vec<AtomicU64>,
}

impl Progress {
    /// Transfers committed so far.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.per_thread
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .sum()
    }
}

/// A load whose workers are all connected and wait for the start.
pub struct Load {
    plan: LoadPlan,
    start: watch::Sender<Option<Schedule>>,
    signals: Signals,
    progress: Arc<Progress>,
    results: mpsc::Receiver<ThreadResult>,
    interval: Option<Duration>,
    intervals: Option<mpsc::Receiver<ThreadInterval>>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// What ends a load early.
#[derive(Debug, Clone, Default)]
struct Signals {
    /// Nothing more is to be submitted.
    stop: Arc<AtomicBool>,
    /// The server has ended, and nobody will answer in its place.
    gone: Arc<AtomicBool>,
}

struct ThreadResult {
    recorder: ThreadRecorder,
    ends: Vec<WorkerEnd>,
}

impl Load {
    /// Starts the client threads and connects every worker.
    ///
    /// # Errors
    /// A worker could not connect.
    pub async fn connect<C: Connector>(connector: C, plan: LoadPlan) -> Result<Self, LoadError> {
        let workers = plan.shard.workers(plan.workers).count();
        let threads = plan.threads.clamp(1, workers.max(1));
        let session = session_half(plan.seed);
        let connector = Arc::new(connector);
        let (start, started) = watch::channel(None);
        let signals = Signals::default();
        let per_thread = (0..threads).map(|_| AtomicU64::new(0)).collect();
        let progress = Arc::new(Progress { per_thread });
        let (connected, mut all_connected) = mpsc::channel(threads);
        let (result, results) = mpsc::channel(threads);
        let interval = series::interval_length(plan.interval, plan.measure);
        let waiting = series::messages(interval, plan.measure) * threads;
        let (ended, intervals) = mpsc::channel(waiting);
        let mut handles = Vec::with_capacity(threads);
        for index in 0..threads {
            let client = ClientThread {
                index,
                threads,
                session,
                plan: plan.clone(),
                connector: Arc::clone(&connector),
                started: started.clone(),
                signals: signals.clone(),
                progress: Arc::clone(&progress),
                interval,
                ended: ended.clone(),
            };
            let (connected, result) = (connected.clone(), result.clone());
            let handle = thread::Builder::new()
                .name(format!("client-{index}"))
                .spawn(move || client.run(&connected, &result))
                .map_err(|error| LoadError::Thread(error.to_string()))?;
            handles.push(handle);
        }
        drop(connected);
        for _ in 0..threads {
            match all_connected.recv().await {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(LoadError::Thread("ended before it connected".to_owned())),
            }
        }
        Ok(Self {
            plan,
            start,
            signals,
            progress,
            results,
            interval,
            intervals: Some(intervals),
            threads: handles,
        })
    }

    /// Lets the workers go. The schedule says when the window opens and closes.
    #[must_use]
    pub fn start(&self) -> Schedule {
        self.start_at(Instant::now())
    }

    /// The same with a schedule that begins at this time, which has come: not when a thread saw
    /// that it had.
    #[must_use]
    pub fn start_at(&self, start: Instant) -> Schedule {
        let schedule = Schedule::from(start, self.plan.warmup, self.plan.measure);
        self.start.send_replace(Some(schedule));
        schedule
    }

    /// Transfers committed so far.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Client threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// How long the intervals are: longer than asked for, where there would be too many of
    /// them; `None` when none are recorded.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// What each client thread saw in each interval, as they end; `None` at the second call.
    pub fn intervals(&mut self) -> Option<mpsc::Receiver<ThreadInterval>> {
        self.intervals.take()
    }

    /// Asks the workers to stop submitting; what is in flight is still awaited.
    #[must_use]
    pub fn stopper(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.signals.stop)
    }

    /// Whether transfers of unknown outcome are sent again until they have one.
    #[must_use]
    pub fn sends_again(&self) -> bool {
        self.plan.exactly_once.is_some()
    }

    /// Tells the workers, when they are to stop, that nobody is there any more to be asked what
    /// became of the transfers of unknown outcome: they stay unknown, at once.
    #[must_use]
    pub fn forsaker(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.signals.gone)
    }

    /// Waits for all workers to end and merges what they saw.
    ///
    /// # Errors
    /// A client thread panicked.
    pub async fn finish(mut self) -> Result<LoadResult, LoadError> {
        let mut merged: Option<ThreadRecorder> = None;
        let mut ends = Vec::new();
        let mut thread_cpu = Vec::new();
        for _ in 0..self.threads.len() {
            let Some(result) = self.results.recv().await else {
                return Err(LoadError::Thread("panicked".to_owned()));
            };
            ends.extend(result.ends);
            thread_cpu.extend(result.recorder.series.cpu());
            match &mut merged {
                Some(merged) => merged.merge(&result.recorder),
                None => merged = Some(result.recorder),
            }
        }
        for handle in self.threads {
            handle
                .join()
                .map_err(|_| LoadError::Thread("panicked".to_owned()))?;
        }
        let schedule = *self.start.borrow();
        let recorder = merged.ok_or_else(|| LoadError::Thread("none ran".to_owned()))?;
        Ok(summarise(recorder, &ends, thread_cpu, schedule))
    }
}

/// Errors kept for the record; a dead server breaks every session for the same reason.
const MAX_ERRORS: usize = 5;

#[expect(clippy::cast_precision_loss, reason = "a mean needs no 53 bits")]
fn summarise(
    recorder: ThreadRecorder,
    ends: &[WorkerEnd],
    thread_cpu: Vec<Duration>,
    schedule: Option<Schedule>,
) -> LoadResult {
    let window_length = schedule.map_or(Duration::ZERO, |schedule| {
        // Workers that gave up end before the window does.
        let early = recorder.stopped_at.into_iter().chain(recorder.ended_at);
        schedule.window_length(recorder.last_window_answer, early.min())
    });
    let mut errors: Vec<String> = Vec::new();
    for error in ends.iter().filter_map(|end| end.error.as_ref()) {
        if errors.len() < MAX_ERRORS && !errors.contains(error) {
            errors.push(error.clone());
        }
    }
    LoadResult {
        accounts: recorder.accounts,
        submitted: recorder.submitted,
        collisions: recorder.collisions,
        mean_inflight: if window_length.is_zero() {
            0.0
        } else {
            recorder.series.inflight_ns() as f64 / window_length.as_nanos() as f64
        },
        ticks: recorder.series.ticks().clone(),
        loop_lag: recorder.loop_lag,
        stalled: schedule
            .zip(recorder.stalled)
            .map(|(schedule, (from, to))| {
                let since = |at: Instant| at.saturating_duration_since(schedule.window_start);
                (since(from), since(to))
            }),
        edges: recorder.edges,
        thread_cpu,
        offered: recorder.offered,
        window_length,
        reconnects: ends.iter().map(|end| end.reconnects).sum(),
        late_answers: ends.iter().map(|end| end.late_answers).sum(),
        contradictory_answers: ends.iter().map(|end| end.contradictory_answers).sum(),
        idle_reconnects: ends.iter().map(|end| end.idle_reconnects).sum(),
        resolved: ends.iter().map(|end| end.resolved).sum(),
        sent_again: ends.iter().map(|end| end.sent_again).sum(),
        unexpected_answers: recorder.unexpected_answers,
        gave_up: u32::try_from(ends.iter().filter(|end| end.gave_up).count()).unwrap_or(u32::MAX),
        errors,
        warmup: recorder.warmup,
        window: recorder.window,
        drain: recorder.drain,
    }
}

struct ClientThread<C> {
    index: usize,
    threads: usize,
    /// The upper half of all transfer ids.
    session: u64,
    plan: LoadPlan,
    connector: Arc<C>,
    started: watch::Receiver<Option<Schedule>>,
    signals: Signals,
    progress: Arc<Progress>,
    interval: Option<Duration>,
    ended: mpsc::Sender<ThreadInterval>,
}

impl<C: Connector> ClientThread<C> {
    fn run(
        self,
        connected: &mpsc::Sender<Result<(), LoadError>>,
        result: &mpsc::Sender<ThreadResult>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = connected.try_send(Err(LoadError::Thread(error.to_string())));
                return;
            }
        };
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            let workers = match self.connect_all().await {
                Ok(workers) => workers,
                Err(error) => {
                    let _ = connected.try_send(Err(error));
                    return;
                }
            };
            let _ = connected.try_send(Ok(()));
            let mut started = self.started.clone();
            let schedule = match started.wait_for(Option::is_some).await {
                Ok(schedule) => *schedule,
                Err(_) => None,
            };
            // The load was dropped before it was started.
            let Some(schedule) = schedule else { return };
            let thread_result = self.drive(workers, schedule).await;
            let _ = result.try_send(thread_result);
        });
    }

    fn my_workers(&self) -> impl Iterator<Item = WorkerId> {
        let mine = self.plan.shard.workers(self.plan.workers);
        mine.skip(self.index).step_by(self.threads).map(WorkerId)
    }

    async fn connect_all(&self) -> Result<Vec<(WorkerId, C::Session)>, LoadError> {
        use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
        let connector = &self.connector;
        stream::iter(self.my_workers())
            .map(|worker| async move {
                let session =
                    tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(worker)).await;
                let timeout = LoadError::ConnectTimeout {
                    worker: worker.0,
                    waited: CONNECT_TIMEOUT,
                };
                Ok::<_, LoadError>((worker, session.map_err(|_| timeout)??))
            })
            .buffer_unordered(CONNECTS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn drive(
        &self,
        workers: Vec<(WorkerId, C::Session)>,
        schedule: Schedule,
    ) -> ThreadResult {
        let series = Series::new(
            schedule,
            self.interval,
            self.plan.measure,
            self.ended.clone(),
        );
        let progress = Arc::clone(&self.progress);
        let recorder = ThreadRecorder::new(&self.plan, schedule, progress, self.index, series);
        let recorder = Rc::new(RefCell::new(recorder));
        let tasks: Vec<_> = workers
            .into_iter()
            .map(|(id, session)| match self.plan.pace {
                Pace::Closed => self.spawn(id, session, ClosedLoop, schedule, &recorder),
                Pace::Open {
                    rate,
                    arrival,
                    latency_limit,
                } => {
                    let (workers, seed) = (self.plan.workers, self.plan.seed);
                    let pacer = OpenLoop::new(
                        rate,
                        arrival,
                        latency_limit,
                        id,
                        workers,
                        seed,
                        schedule.start,
                    );
                    self.spawn(id, session, pacer, schedule, &recorder)
                }
            })
            .collect();
        let probe = tokio::task::spawn_local(probe_lag(Rc::clone(&recorder)));
        let mut ends = Vec::with_capacity(tasks.len());
        for task in tasks {
            match task.await {
                Ok(end) => ends.push(end),
                // A defect of the client itself: let the thread die of it, loudly.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        probe.abort();
        let _ = probe.await;
        let recorder = Rc::into_inner(recorder).expect("the tasks that shared it have ended");
        let mut recorder = recorder.into_inner();
        recorder.finish(Instant::now());
        ThreadResult { recorder, ends }
    }

    fn spawn<P: Pacer + 'static>(
        &self,
        id: WorkerId,
        session: C::Session,
        pacer: P,
        schedule: Schedule,
        recorder: &Rc<RefCell<ThreadRecorder>>,
    ) -> tokio::task::JoinHandle<WorkerEnd> {
        let resolver = self
            .plan
            .exactly_once
            .map(|bounds| Resolver::new(bounds, self.session, id, self.plan.max_inflight));
        let worker = Worker::new(
            id,
            Arc::clone(&self.connector),
            session,
            &self.plan,
            TransferSource::new(Arc::clone(&self.plan.zipf), self.plan.seed, id.0),
            pacer,
            schedule,
            self.signals.clone(),
            Rc::clone(recorder),
            resolver,
        );
        tokio::task::spawn_local(worker.run())
    }
}

/// Asks the event loop again and again how late it is.
async fn probe_lag(recorder: Rc<RefCell<ThreadRecorder>>) {
    // Without a timer there is no lag to tell.
    let Ok(mut alarm) = Alarm::new() else { return };
    loop {
        let due = Instant::now() + LAG_PROBE_EVERY;
        alarm.at(due).await;
        let now = Instant::now();
        recorder.borrow_mut().note_loop_lag(due, now);
    }
}
