//! The threads of one node, each with a session of its own, and the queue they share.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use skiff_runner::RunError;
use tokio::sync::oneshot;

use crate::{
    exec::{self, Failure},
    job::Job,
    login::{Connection, Login, connection_error},
};

/// Sessions a node gets at most. More commands than that wait for their turn.
const MOST: usize = 3;
/// How long a session that broke, or one more session, may take to open. The node was there a moment ago:
/// only a machine that is emulated, and busy, takes more than a moment.
const RECONNECT: Duration = Duration::from_mins(1);

/// The queue of one node.
#[derive(Debug)]
pub(crate) struct Pool {
    login: Login,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: usize,
    closed: bool,
}

impl Pool {
    /// Opens the first session, with patience.
    pub(crate) async fn connect(login: Login, patience: Duration) -> Result<Arc<Self>, RunError> {
        let state = Mutex::new(State { threads: 1, ..State::default() });
        let pool = Arc::new(Self { login, state, changed: Condvar::new() });
        let (ready, opened) = oneshot::channel();
        let worker = Arc::clone(&pool);
        pool.spawn(move || match worker.login.open(patience, || !ready.is_closed()) {
            Err(error) => drop(ready.send(Err(error))),
            Ok(connection) => {
                if ready.send(Ok(())).is_ok() {
                    worker.work(Some(connection));
                }
            }
        })?;
        let gone = |_| connection_error(pool.login.target(), "the connecting thread ended");
        opened.await.map_err(gone)??;
        Ok(pool)
    }

    /// The node's login.
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    /// Queues a command and makes sure that a thread will take it.
    pub(crate) fn submit(self: &Arc<Self>, job: Job) -> Result<(), RunError> {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle {
            self.changed.notify_one();
            return Ok(());
        }
        if state.threads >= MOST {
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let worker = Arc::clone(self);
        let spawned = self.spawn(move || worker.work(None));
        if spawned.is_err() {
            let mut state = self.lock();
            state.threads -= 1;
            if state.threads > 0 {
                // Those that exist will get to it.
                return Ok(());
            }
        }
        spawned
    }

    /// Lets the threads end once the queue is empty.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn spawn(&self, body: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
        let spawned = thread::Builder::new().name("skiff-ssh".to_owned()).spawn(body);
        spawned
            .map(drop)
            .map_err(|error| connection_error(self.login.target(), format!("cannot start a thread: {error}")))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's life: takes commands until the pool is closed.
    fn work(&self, mut connection: Option<Connection>) {
        while let Some(job) = self.next() {
            self.serve(&mut connection, job);
        }
        if let Some(connection) = connection {
            exec::disconnect(&connection);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Runs one command; on a new session if there is none or the old one turns out to be dead
    /// before the command began.
    fn serve(&self, connection: &mut Option<Connection>, mut job: Job) {
        let mut fresh = false;
        while job.reply.wanted() {
            let patience = RECONNECT.min(job.command.timeout);
            let opened = match connection.take() {
                Some(kept) => Ok(kept),
                None => {
                    fresh = true;
                    self.login.open(patience, || job.reply.wanted())
                }
            };
            let current = match opened {
                Ok(current) => current,
                Err(error) => return job.reply.send(Err(error)),
            };
            match exec::run(&current, &mut job) {
                Ok(output) => {
                    *connection = Some(current);
                    return job.reply.send(Ok(output));
                }
                Err(Failure::NotStarted(_)) if !fresh => {}
                Err(Failure::NotStarted(detail) | Failure::Broken(detail)) => {
                    return job.reply.send(Err(connection_error(self.login.target(), detail)));
                }
                Err(Failure::Ended { reusable }) => {
                    *connection = reusable.then_some(current);
                    let (command, timeout) = (job.command.to_shell(), job.command.timeout);
                    return job.reply.send(Err(RunError::Timeout { command, timeout }));
                }
            }
        }
    }
}
