//! Gc: clusters whose makers are gone.
//!
//! Nothing is removed without proof: a lease that is over, or a making that was cut off long ago.
//! Machines and networks without a profile may belong to another skiff home, so they are only told about, unless
//! the lease they carry is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use skiff_config::{ClusterFile, ClusterName, Phase};
use skiff_driver::Driver;

use crate::{ClusterError, Host, clock, delete, host::driver_error, lease::Lease};

/// How long a cluster that was never finished may be of interest to somebody.
const UNFINISHED: Duration = Duration::from_hours(1);
/// How long to wait for somebody who works on a cluster: whoever does is not gone.
const BUSY: Duration = Duration::from_millis(100);

/// A cluster and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// The cluster.
    pub cluster: ClusterName,
    /// Why it was removed or kept, as a part of a sentence.
    pub why: String,
}

/// What came of a gc.
#[derive(Debug, Default)]
pub struct GcReport {
    /// What was removed, or would be.
    pub removed: Vec<Garbage>,
    /// What looks like garbage and was kept.
    pub kept: Vec<Garbage>,
    /// What could not be removed.
    pub failed: Vec<(Garbage, ClusterError)>,
}

/// Removes the clusters of this driver that nobody needs any more; with `dry_run` only tells which.
///
/// # Errors
/// When the profiles cannot be listed or the driver does not answer. What cannot be removed does not
/// keep the rest from going.
pub async fn gc<D: Driver, C, K>(
    host: &Host<D, C, K>,
    now: SystemTime,
    dry_run: bool,
) -> Result<GcReport, ClusterError> {
    let mut report = GcReport::default();
    for cluster in candidates(host).await? {
        let garbage = |why: String| Garbage { cluster: cluster.clone(), why };
        match judge(host, &cluster, now, host.store.is_locked(&cluster)).await? {
            Verdict::InUse => {}
            Verdict::Unknown(why) => report.kept.push(garbage(why)),
            Verdict::Over(why) if dry_run => report.removed.push(garbage(why)),
            Verdict::Over(why) => {
                let Ok(lock) = tokio::time::timeout(BUSY, host.lock(&cluster)).await else {
                    report.kept.push(garbage(format!("{why}, but a skiff works on it")));
                    continue;
                };
                let removed = async {
                    let _lock = lock?;
                    // Somebody may have come back to it before it was locked.
                    if !matches!(judge(host, &cluster, now, false).await?, Verdict::Over(_)) {
                        return Ok(false);
                    }
                    delete::remove(host, &cluster).await?;
                    if host.store.active_profile()?.as_deref() == Some(cluster.as_str()) {
                        host.store.set_active_profile(None)?;
                    }
                    Ok(true)
                };
                match removed.await {
                    Ok(true) => report.removed.push(garbage(why)),
                    Ok(false) => {}
                    Err(error) => report.failed.push((garbage(why), error)),
                }
            }
        }
    }
    Ok(report)
}

/// What is to be done with a cluster.
enum Verdict {
    /// Somebody needs it, or may.
    InUse,
    /// Nobody does.
    Over(String),
    /// Nothing here tells.
    Unknown(String),
}

/// All clusters there are: by profile, and by the labels of machines and networks.
async fn candidates<D: Driver, C, K>(host: &Host<D, C, K>) -> Result<BTreeSet<ClusterName>, ClusterError> {
    let machines = host.driver.list(None).await.map_err(driver_error)?.into_iter().map(|node| node.cluster);
    let networks = host.driver.networks().await.map_err(driver_error)?.into_iter().map(|network| network.cluster);
    let profiles = host.store.list()?.into_iter().filter_map(|entry| entry.name.parse().ok());
    Ok(machines.chain(networks).chain(profiles).collect())
}

/// `locked` if another skiff works on it.
async fn judge<D: Driver, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    now: SystemTime,
    locked: bool,
) -> Result<Verdict, ClusterError> {
    match host.store.load(cluster) {
        Ok(Some(file)) => {
            let driver = host.driver.kind().to_string();
            if file.status.driver.as_ref().is_some_and(|stored| *stored != driver) {
                return Ok(Verdict::InUse);
            }
            let lease = Lease::load(&host.store, cluster)?;
            Ok(stored(&file, &lease, locked, now))
        }
        Ok(None) => Ok(orphaned(&marks(host, cluster).await?, now)),
        Err(error) => Ok(Verdict::Unknown(format!("its profile is damaged: {error}"))),
    }
}

fn stored(file: &ClusterFile, lease: &Lease, locked: bool, now: SystemTime) -> Verdict {
    if let Some(ended) = lease.ended(now) {
        return Verdict::Over(ended.to_string());
    }
    let begun = file.status.created.as_deref().and_then(clock::parse);
    let old = begun.is_some_and(|begun| begun + UNFINISHED <= now);
    if file.status.phase == Phase::Creating && old && !locked {
        return Verdict::Over("its making was cut off more than an hour ago".to_owned());
    }
    Verdict::InUse
}

/// What a cluster's machines are marked with. Where a skiff was killed before it made one, its network is.
async fn marks<D: Driver, C, K>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
) -> Result<Vec<BTreeMap<String, String>>, ClusterError> {
    let nodes = host.driver.list(Some(cluster)).await.map_err(driver_error)?;
    if !nodes.is_empty() {
        return Ok(nodes.into_iter().map(|node| node.marks).collect());
    }
    let networks = host.driver.networks().await.map_err(driver_error)?;
    Ok(networks.into_iter().filter(|network| network.cluster == *cluster).map(|network| network.marks).collect())
}

/// Judges what no profile belongs to, by what it is marked with.
fn orphaned(marks: &[BTreeMap<String, String>], now: SystemTime) -> Verdict {
    let mut ended = marks.iter().map(|marks| Lease::from_marks(marks).ended(now));
    match ended.next() {
        None => Verdict::InUse,
        Some(Some(first)) if ended.all(|end| end.is_some()) => {
            Verdict::Over(format!("no profile here belongs to it, and {first}"))
        }
        Some(_) => {
            Verdict::Unknown("no profile here belongs to it: another skiff home may have it, or nobody".to_owned())
        }
    }
}
