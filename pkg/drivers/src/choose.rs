//! Which driver a cluster gets.

use std::{collections::BTreeSet, time::Duration};

use skiff_config::ClusterName;
use skiff_driver::{Capabilities, Driver};
use tokio::time::timeout;

use crate::{
    AUTO, AnyDriver, Choice, Finding, Providers, SelectError, Verdict,
    error::none_of,
    names::{ORDER, parse},
    survey::{examine, taken},
};

/// The driver of that name, or for [`AUTO`] the first that works. One that was asked for by name is
/// never replaced by another.
///
/// # Errors
/// When there is no such driver, or it does not work here.
pub async fn choose(name: &str, providers: &Providers) -> Result<Choice, SelectError> {
    let wanted = if name == AUTO { ORDER.to_vec() } else { vec![parse(name)?] };
    let mut passed_over = Vec::new();
    for kind in wanted {
        match examine(kind, providers).await {
            (Finding { verdict: Verdict::Usable(capabilities), emulation, .. }, Some(driver)) => {
                passed_over.push(Finding { kind, verdict: Verdict::Usable(capabilities), emulation });
                if taken(&passed_over).is_none() {
                    break;
                }
                passed_over.pop();
                return Ok(Choice { driver, capabilities, passed_over });
            }
            (Finding { verdict: Verdict::Unusable(source), .. }, _) if name != AUTO => {
                return Err(SelectError::Unusable { kind, source });
            }
            (finding, _) => passed_over.push(finding),
        }
    }
    Err(none_of(passed_over))
}

/// A driver that may not have been checked.
#[derive(Debug)]
pub struct Opened {
    /// The driver.
    pub driver: AnyDriver,
    /// What it can do, where that had to be found out.
    pub capabilities: Option<Capabilities>,
    /// The drivers that would have been preferred and do not work.
    pub passed_over: Vec<Finding>,
}

/// The driver of that name, unchecked: for what the driver has made already, and for who checks it
/// anyway. For [`AUTO`] the first that works.
///
/// # Errors
/// When there is no such driver, or it cannot be reached.
pub async fn open(name: &str, providers: &Providers) -> Result<Opened, SelectError> {
    if name == AUTO {
        let Choice { driver, capabilities, passed_over } = choose(AUTO, providers).await?;
        return Ok(Opened { driver, capabilities: Some(capabilities), passed_over });
    }
    let kind = parse(name)?;
    let driver = providers.connect(kind).await.map_err(|source| SelectError::Unusable { kind, source })?;
    Ok(Opened { driver, capabilities: None, passed_over: Vec::new() })
}

/// How long a driver may take to tell whether a cluster is its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// The driver that has machines of a cluster, by what the drivers tell; those that do not answer
/// are left out.
pub async fn owner(providers: &Providers, cluster: &ClusterName) -> Option<&'static str> {
    for kind in ORDER {
        let Ok(driver) = providers.connect(kind).await else { continue };
        let listed = timeout(PATIENCE, driver.list(Some(cluster))).await;
        if listed.is_ok_and(|nodes| nodes.is_ok_and(|nodes| !nodes.is_empty())) {
            return Some(kind.as_str());
        }
    }
    None
}

/// All clusters that have machines, whatever the driver; drivers that do not answer are left out.
pub async fn clusters(providers: &Providers) -> BTreeSet<ClusterName> {
    let mut clusters = BTreeSet::new();
    for kind in ORDER {
        let Ok(driver) = providers.connect(kind).await else { continue };
        if let Ok(Ok(nodes)) = timeout(PATIENCE, driver.list(None)).await {
            clusters.extend(nodes.into_iter().map(|node| node.cluster));
        }
    }
    clusters
}

#[cfg(test)]
mod tests {
    use skiff_driver::DriverKind;
    use skiff_report::{Diagnose, ExitCode};

    use super::*;

    fn nowhere() -> Providers {
        Providers { docker_host: Some("unix:///nonexistent/docker.sock".to_owned()), ..Providers::default() }
    }

    #[tokio::test]
    async fn an_unknown_driver_is_answered_with_the_list() {
        for error in [choose("vagrant", &nowhere()).await.unwrap_err(), open("vagrant", &nowhere()).await.unwrap_err()]
        {
            assert_eq!((error.reason().id, error.reason().exit), ("DRV_NOT_FOUND", ExitCode::DRIVER_NOT_FOUND));
        }
    }

    #[tokio::test]
    async fn opening_asks_no_more_than_whether_it_is_there() {
        let error = open("docker", &nowhere()).await.unwrap_err();
        assert!(matches!(error, SelectError::Unusable { kind: DriverKind::Docker, .. }), "{error}");
    }

    #[tokio::test]
    async fn drivers_that_do_not_answer_own_nothing() {
        let home = tempfile::tempdir().unwrap();
        let providers = Providers { home: home.path().to_owned(), ..nowhere() };
        assert_eq!(owner(&providers, &"dev".parse().unwrap()).await, None);
        assert_eq!(clusters(&providers).await, BTreeSet::new());
    }

    #[tokio::test]
    async fn a_driver_that_was_asked_for_is_not_replaced() {
        let error = choose("docker", &nowhere()).await.unwrap_err();
        assert!(matches!(error, SelectError::Unusable { kind: DriverKind::Docker, .. }), "{error}");
    }
}
