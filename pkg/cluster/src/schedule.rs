//! Scheduled stops: a process that waits, and the note about it.
//!
//! The note in the profile is the truth: a process that waits and is not named there any more ends
//! without a deed, so that a schedule can be replaced or taken back even where a process cannot be
//! signalled.

use std::time::{Duration, SystemTime};

use skiff_config::ClusterName;
use skiff_store::{Process, Store};

use crate::{ClusterError, clock, identity};

/// File of the profile.
const FILE: &str = "scheduled-stop";
/// How often the waiting process looks at the note, and at the clock: hosts sleep, and clocks are set.
const LOOK: Duration = Duration::from_secs(5);

/// A stop that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledStop {
    /// When.
    pub at: SystemTime,
    /// Who waits for it.
    pub process: Process,
}

/// The stop that a cluster is waiting for; `None` if there is none, or whoever waited is gone.
///
/// # Errors
/// When the profile cannot be read.
pub fn scheduled_stop(store: &Store, name: &ClusterName) -> Result<Option<ScheduledStop>, ClusterError> {
    Ok(noted(store, name)?.filter(|stop| stop.process.is_alive() != Some(false)))
}

fn noted(store: &Store, name: &ClusterName) -> Result<Option<ScheduledStop>, ClusterError> {
    let text = identity::read(store, name, FILE)?.unwrap_or_default();
    let mut lines = text.lines();
    let at = lines.next().and_then(clock::parse);
    let process = lines.next().and_then(|line| line.parse().ok());
    Ok(at.zip(process).map(|(at, process)| ScheduledStop { at, process }))
}

/// Notes that a process waits to stop the cluster; the one that waited before ends.
///
/// # Errors
/// When there is no such cluster, or the note cannot be written.
pub fn note_scheduled_stop(store: &Store, name: &ClusterName, stop: &ScheduledStop) -> Result<(), ClusterError> {
    store.load(name)?.ok_or_else(|| ClusterError::NotFound(name.clone()))?;
    cancel_scheduled_stop(store, name)?;
    let text = format!("{}\n{}\n", clock::rfc3339(stop.at), stop.process);
    store.write_file(name, FILE, text.as_bytes())?;
    Ok(())
}

/// Takes a scheduled stop back. False if there was none to come.
///
/// # Errors
/// When the note cannot be read or removed.
pub fn cancel_scheduled_stop(store: &Store, name: &ClusterName) -> Result<bool, ClusterError> {
    let Some(stop) = noted(store, name)? else {
        store.remove_file(name, FILE)?;
        return Ok(false);
    };
    store.remove_file(name, FILE)?;
    let waiting = stop.process.is_alive() != Some(false);
    // Whoever stops the cluster because its time has come is not to be ended by itself.
    if stop.process != Process::me() {
        stop.process.terminate();
    }
    Ok(waiting)
}

/// Waits until a scheduled stop is due. False if it was taken back or replaced meanwhile.
///
/// # Errors
/// When the note cannot be read.
pub async fn await_scheduled_stop(store: &Store, name: &ClusterName, at: SystemTime) -> Result<bool, ClusterError> {
    let me = Process::me();
    loop {
        let left = at.duration_since(SystemTime::now()).unwrap_or_default();
        tokio::time::sleep(left.min(LOOK)).await;
        if noted(store, name)?.is_none_or(|stop| stop.process != me) {
            return Ok(false);
        }
        if SystemTime::now() >= at {
            return Ok(true);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use skiff_config::{ClusterFile, SpecFile};

    use super::*;

    /// A store with the profile of one cluster.
    pub(crate) fn place() -> (tempfile::TempDir, Store, ClusterName) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let name: ClusterName = "dev".parse().unwrap();
        store.save(&ClusterFile::new(name.clone(), SpecFile::default())).unwrap();
        (folder, store, name)
    }

    fn soon(process: Process) -> ScheduledStop {
        let at = clock::parse("2100-01-01T00:00:00Z").unwrap();
        ScheduledStop { at, process }
    }

    #[test]
    fn a_schedule_is_told_until_it_is_taken_back() {
        let (_folder, store, name) = place();
        assert_eq!(scheduled_stop(&store, &name).unwrap(), None);
        assert!(!cancel_scheduled_stop(&store, &name).unwrap());
        let stop = soon(Process::me());
        note_scheduled_stop(&store, &name, &stop).unwrap();
        assert_eq!(scheduled_stop(&store, &name).unwrap(), Some(stop));
        assert!(cancel_scheduled_stop(&store, &name).unwrap());
        assert_eq!(scheduled_stop(&store, &name).unwrap(), None);
    }

    #[test]
    fn a_new_schedule_ends_whoever_waits_for_the_old_one() {
        let (_folder, store, name) = place();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        note_scheduled_stop(&store, &name, &soon(Process::of(child.id()).unwrap())).unwrap();
        note_scheduled_stop(&store, &name, &soon(Process::me())).unwrap();
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_schedule_whose_process_died_is_none() {
        let (_folder, store, name) = place();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        note_scheduled_stop(&store, &name, &soon(Process::of(child.id()).unwrap())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(scheduled_stop(&store, &name).unwrap(), None);
    }

    #[tokio::test]
    async fn whoever_is_not_named_any_more_does_nothing() {
        let (_folder, store, name) = place();
        let past = SystemTime::UNIX_EPOCH;
        assert!(!await_scheduled_stop(&store, &name, past).await.unwrap());
        note_scheduled_stop(&store, &name, &soon(Process::me())).unwrap();
        assert!(await_scheduled_stop(&store, &name, past).await.unwrap());
    }

    #[test]
    fn only_clusters_that_exist_can_be_stopped_later() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let error = note_scheduled_stop(&store, &"dev".parse().unwrap(), &soon(Process::me())).unwrap_err();
        assert!(matches!(error, ClusterError::NotFound(_)));
        assert!(!store.profile_dir(&"dev".parse().unwrap()).exists());
    }
}
