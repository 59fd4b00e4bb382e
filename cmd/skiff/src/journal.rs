//! A cluster's log of events: what the last `start` or `stop` did, and whether it is still at it.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use skiff_config::ClusterName;
use skiff_report::{Event, Reporter, Step};
use skiff_store::Store;

use crate::{
    failure::Failure,
    ui::{Json, Stream, Ui},
};

/// How long a failure says something about the cluster's state.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// Passes every event on, and keeps the steps in the cluster's log.
pub(crate) struct Journal {
    inner: Arc<dyn Reporter>,
    log: Json,
    /// A step was kept: before that, another skiff may hold the cluster, and the log is its own.
    at_work: AtomicBool,
}

impl Journal {
    pub(crate) fn new(inner: Arc<dyn Reporter>, store: Store, cluster: ClusterName) -> Self {
        let log = Log { store, cluster, begun: false, line: Vec::new() };
        Self { inner, log: Json::new(Stream::new(log)), at_work: AtomicBool::new(false) }
    }

    /// Keeps why the command failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.at_work.load(Ordering::Relaxed) {
            self.log.failure(failure);
        }
    }
}

impl Reporter for Journal {
    fn report(&self, event: Event) {
        let keep = match &event {
            Event::Step { step, .. } => *step > Step::InitialSetup,
            Event::Stage { .. } => true,
            _ => false,
        };
        if keep {
            self.at_work.store(true, Ordering::Relaxed);
            self.log.report(event.clone());
        }
        self.inner.report(event);
    }
}

/// The log as something to write lines to. A cluster that has no file yet has no log: a start that
/// is refused leaves nothing behind.
struct Log {
    store: Store,
    cluster: ClusterName,
    begun: bool,
    line: Vec<u8>,
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Keeps the line, one event.
    fn flush(&mut self) -> io::Result<()> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if !matches!(self.store.load(&self.cluster), Ok(Some(_))) {
            return Ok(());
        }
        if !self.begun {
            self.store.start_events(&self.cluster).map_err(io::Error::other)?;
            self.begun = true;
        }
        self.store.append_event(&self.cluster, &line).map_err(io::Error::other)
    }
}

/// What a command is doing with a cluster right now, or what ended the last one a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doing {
    /// minikube's code for it.
    pub(crate) code: u16,
    /// Name of the step.
    pub(crate) step: String,
    /// Its message.
    pub(crate) detail: String,
}

/// Reads a log's last event; `at_work` if some skiff holds the cluster's lock. `None` if there is
/// nothing to tell.
pub(crate) fn doing(events: &[String], at_work: bool, now: Timestamp) -> Option<Doing> {
    let event: Value = serde_json::from_str(events.last()?).ok()?;
    let at: Timestamp = event["time"].as_str()?.parse().ok()?;
    let data = |key: &str| event["data"][key].as_str().unwrap_or_default().to_owned();
    let name = data("name");
    // A log is that of one command, and deleting a cluster stops its nodes.
    let deleting = events.iter().any(|line| line.contains(r#""name":"Deleting""#));
    let code = match (event["type"].as_str()?, name.as_str()) {
        ("dev.skiff.error", _) => (data("exitcode") == "26" && now.duration_since(at) < RECENT).then_some(507)?,
        (_, "Done") => return None,
        _ if deleting => at_work.then_some(120)?,
        (_, "Pausing") => at_work.then_some(101)?,
        (_, "Unpausing") => at_work.then_some(102)?,
        (_, "Stopping" | "PowerOff") => at_work.then_some(110)?,
        _ => at_work.then_some(100)?,
    };
    Some(Doing { code, step: name, detail: data("message") })
}

#[cfg(test)]
mod tests {
    use skiff_config::{ClusterFile, SpecFile};
    use skiff_report::{ExitCode, Recorder};

    use super::*;

    struct Place {
        _folder: tempfile::TempDir,
        store: Store,
        name: ClusterName,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { store: Store::open(folder.path()).unwrap(), name: "dev".parse().unwrap(), _folder: folder }
        }

        fn with_cluster() -> Self {
            let place = Self::new();
            place.store.save(&ClusterFile::new(place.name.clone(), SpecFile::default())).unwrap();
            place
        }

        fn journal(&self) -> Journal {
            Journal::new(Arc::new(Recorder::default()), self.store.clone(), self.name.clone())
        }

        fn doing(&self) -> Option<u16> {
            doing(&self.store.events(&self.name).unwrap(), true, Timestamp::now()).map(|doing| doing.code)
        }
    }

    #[test]
    fn the_last_step_tells_what_is_going_on() {
        let place = Place::with_cluster();
        let journal = place.journal();
        journal.step(Step::StartingNode, "Starting node dev");
        assert_eq!(place.doing(), Some(100));
        journal.info("not a step");
        journal.report(Event::Stage { number: 0, total: 2, name: "Stopping", message: String::new() });
        assert_eq!(place.doing(), Some(110));
        journal.step(Step::Done, "ready");
        assert_eq!(place.doing(), None);
        assert_eq!(place.store.events(&place.name).unwrap().len(), 3);
        let waiting = place.journal();
        waiting.step(Step::InitialSetup, "again");
        waiting.failure(&Failure::usage("gave up", ""));
        assert_eq!(place.store.events(&place.name).unwrap().len(), 3);
        place.journal().step(Step::SelectingDriver, "again");
        assert_eq!(place.store.events(&place.name).unwrap().len(), 1);
    }

    #[test]
    fn a_cluster_whose_nodes_are_stopped_to_be_deleted_is_being_deleted() {
        let place = Place::with_cluster();
        let journal = place.journal();
        for name in ["Deleting", "Stopping"] {
            journal.report(Event::Stage { number: 0, total: 3, name, message: String::new() });
            assert_eq!(place.doing(), Some(120), "{name}");
        }
    }

    #[test]
    fn a_failure_ends_it_and_a_full_disk_is_remembered() {
        let place = Place::with_cluster();
        let journal = place.journal();
        journal.step(Step::StartingNode, "Starting node dev");
        journal.failure(&Failure::usage("no", ""));
        assert_eq!(place.doing(), None);
        journal.failure(&Failure::new("GUEST_NO_SPACE", ExitCode::INSUFFICIENT_STORAGE, "full", ""));
        assert_eq!(place.doing(), Some(507));
    }

    #[test]
    fn a_command_that_was_killed_is_not_at_work() {
        let place = Place::with_cluster();
        let journal = place.journal();
        journal.step(Step::StartingNode, "Starting node dev");
        let tell = |at_work, now| doing(&place.store.events(&place.name).unwrap(), at_work, now);
        assert!(tell(true, Timestamp::now()).is_some() && tell(false, Timestamp::now()).is_none());
        journal.failure(&Failure::new("GUEST_NO_SPACE", ExitCode::INSUFFICIENT_STORAGE, "full", ""));
        assert!(tell(false, Timestamp::now()).is_some());
        assert_eq!(tell(false, Timestamp::now() + RECENT + RECENT), None);
    }

    #[test]
    fn a_cluster_that_does_not_exist_leaves_no_log() {
        let place = Place::new();
        place.journal().step(Step::StartingNode, "starting");
        assert!(!place.store.profile_dir(&place.name).exists());
    }
}
