//! Start: from whatever there is to a usable cluster.
//!
//! Every step may run again, so a start that was killed is picked up by the next one. A cluster
//! that nobody could use yet is undone when its start fails.

mod begin;
mod boot;
mod converge;
mod fleet;
mod guard;
mod hurry;
mod join;
mod lookout;
mod mend;
mod network;
mod one;
mod plan;
mod preview;
mod provision;
mod records;
mod resize;
mod upgrade;
mod usable;

use std::time::Duration;

use skiff_config::{ClusterFile, ClusterName, Phase};
use skiff_driver::{Capabilities, Driver, NodeImages};
use skiff_kubeapi::Access;
use skiff_report::Step;
use skiff_runner::Connect;

pub use self::converge::{Change, Convergence, Ground, Impact, converge};
pub(crate) use self::join::tell_control_planes;
pub use self::one::{NodeOutcome, add_node, start_node, stop_node};
pub use self::preview::{Before, Preview, preview};
pub use self::records::NewNode;
use self::{
    begin::Asked,
    fleet::{Fleet, Member, Targets},
    plan::{NodeAction, Wanted},
    upgrade::Passage,
};
use crate::{
    ClusterError, ConnectApi, Host, ImageSource, Outcome, StartOptions, StartReport, StartRequest, access,
    addons::Refused,
    delete,
    host::{api_error, image_error},
    kubeconfig, pause, queue,
    stopwatch::Stopwatch,
};

/// Brings a cluster to life: makes it, starts it again, or changes it to what is asked.
///
/// # Errors
/// See [`ClusterError`]. After a failed first create nothing is left, unless `keep` was asked.
pub async fn start<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource>(
    host: &Host<D, C, K>,
    images: &I,
    request: StartRequest,
) -> Result<StartReport, ClusterError> {
    let watch = Stopwatch::start(&*host.reporter);
    host.reporter.step(Step::InitialSetup, &format!("skiff {} cluster `{}`", env!("CARGO_PKG_VERSION"), request.name));
    let _lock = host.lock(&request.name).await?;
    let asked = Asked::read(host, request)?;
    asked.tell(&*host.reporter);
    let Asked { name, known, wanted, found, options } = asked;
    host.reporter.step(Step::SelectingDriver, &format!("Using the {} driver", host.driver.kind()));
    let capabilities = begin::capabilities(host, &watch).await?;
    begin::fits(&wanted.spec, &capabilities)?;
    images.key(&wanted.spec.kubernetes_version).await.map_err(image_error)?;
    let run = Run {
        name,
        host,
        images,
        watch: &watch,
        capabilities,
        options: &options,
        targets: Targets::All,
        passage: None,
        refused: Refused::of(&options.addons),
    };
    if options.download_only {
        run.ensure_image(&wanted.spec.kubernetes_version).await?;
        return Ok(run.report(Outcome::Downloaded, &wanted, None));
    }
    run.may_begin(&wanted, known).await?;
    pause::thaw_before_start(host, &run.name).await?;
    let fresh = wanted.file.status.phase == Phase::Creating;
    run.lease(fresh)?;
    let place = queue::place(host, &run.name, &capabilities).await?;
    let brought = Box::pin(run.bring_up_or_upgrade(wanted, found)).await;
    drop(place);
    run.settle(brought, fresh).await
}

/// How long to wait for somebody who has taken the cluster over from a start that was cut off.
const TAKEN_OVER: Duration = Duration::from_secs(2);

/// Undoes a start that was cut off, if the cluster was never usable. True if there was anything to
/// undo; another start that has waited for this one goes on with what there is.
///
/// # Errors
/// When the driver or the files fail.
pub async fn undo_start<D: Driver, C: Connect, K: ConnectApi>(
    host: &Host<D, C, K>,
    name: &ClusterName,
) -> Result<bool, ClusterError> {
    let Ok(lock) = tokio::time::timeout(TAKEN_OVER, host.lock(name)).await else { return Ok(false) };
    let _lock = lock?;
    match host.store.load(name)? {
        Some(ClusterFile { status, .. }) if status.phase == Phase::Creating => {
            delete::remove(host, name).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// One start under way.
struct Run<'a, D, C, K, I> {
    name: ClusterName,
    host: &'a Host<D, C, K>,
    images: &'a I,
    watch: &'a Stopwatch<'a>,
    capabilities: Capabilities,
    options: &'a StartOptions,
    targets: Targets,
    /// Present where nodes change their version.
    passage: Option<Passage>,
    /// Addons that the cluster did not take.
    refused: Refused,
}

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// The end of a start: what came of it, or the way back if it failed.
    async fn settle(
        &self,
        brought: Result<StartReport, ClusterError>,
        fresh: bool,
    ) -> Result<StartReport, ClusterError> {
        let first = match brought {
            Ok(report) => {
                let refused =
                    |source| ClusterError::AddonsRefused { cluster: self.name.clone(), source: Box::new(source) };
                return self.refused.take().map(refused).map_or(Ok(report), Err);
            }
            Err(error) => error,
        };
        let undo = fresh && !self.options.keep || self.options.delete_on_failure;
        self.show_log(&first, undo);
        match if undo { delete::remove(self.host, &self.name).await.map(drop) } else { Ok(()) } {
            Ok(()) => Err(first),
            Err(undo) => Err(ClusterError::Undo { first: Box::new(first), undo: Box::new(undo) }),
        }
    }

    async fn bring_up(&self, mut wanted: Wanted) -> Result<StartReport, ClusterError> {
        let make = async |wanted: &mut Wanted| match Box::pin(self.make_usable(wanted)).await {
            // A stop that was killed may go on in the driver, and end what ran when this start looked.
            Err(ClusterError::NodeEnded { node, .. }) => {
                self.host.reporter.warn(&format!("Node {node} ended while it was waited for; it is started again"));
                Box::pin(self.make_usable(wanted)).await
            }
            made => made,
        };
        let (outcome, context) = self.mending(&mut wanted, make).await?;
        self.host.reporter.step(Step::Done, &done_line(outcome, &wanted));
        Ok(self.report(outcome, &wanted, Some(context)))
    }

    /// Brings the nodes up as they shall be, and tells what that took and whether the cluster is the
    /// user's current context now.
    async fn make_usable(&self, wanted: &mut Wanted) -> Result<(Outcome, bool), ClusterError> {
        let fleet = self.prepare(wanted).await?;
        let access = self.access(wanted)?;
        let api = self.host.api.client(&access).map_err(api_error)?;
        let context = self.while_they_run(&fleet, self.set_up(&fleet, wanted, &api)).await?;

        wanted.file.status.phase = Phase::Created;
        fleet.mark_applied(&mut wanted.file);
        self.host.store.save(&wanted.file)?;
        Ok((outcome(&fleet), context))
    }

    /// From planned nodes to a cluster that works. Tells whether it is the current context now.
    async fn set_up(&self, fleet: &Fleet, wanted: &Wanted, api: &K::Api) -> Result<bool, ClusterError> {
        self.boot(fleet, wanted, api).await?;
        let context = self.write_kubeconfig(wanted)?;
        // Where kubeadm ran they were applied with it. Else somebody may have deleted them since.
        let parts = async {
            let applied = fleet.first().is_some_and(Member::needs_kubeadm);
            if applied { Ok(()) } else { self.apply_parts(fleet, wanted, api).await }
        };
        tokio::try_join!(parts, self.wait_usable(fleet, wanted, api))?;
        self.apply_spared(fleet, wanted, api).await?;
        Ok(context)
    }

    fn access(&self, wanted: &Wanted) -> Result<Access, ClusterError> {
        let listen = wanted.spec.listen_address;
        let name = &wanted.spec.name;
        // Its certificates are made with the nodes', so this comes after.
        let first = wanted.file.status.nodes.first();
        let access = first.map(|node| access::access(&self.host.store, name, listen, node)).transpose()?.flatten();
        access.ok_or_else(|| ClusterError::NotFound(name.clone()))
    }

    /// Writes the user's kubeconfig and tells whether the cluster is the current context now.
    fn write_kubeconfig(&self, wanted: &Wanted) -> Result<bool, ClusterError> {
        kubeconfig::write(self.host, &wanted.file, &wanted.spec, self.options)
    }

    fn report(&self, outcome: Outcome, wanted: &Wanted, current_context: Option<bool>) -> StartReport {
        StartReport {
            outcome,
            name: wanted.spec.name.clone(),
            version: wanted.spec.kubernetes_version.clone(),
            context: current_context.map(|_| wanted.spec.name.to_string()),
            current_context: current_context.unwrap_or(false),
            elapsed: self.watch.elapsed(),
        }
    }
}

fn outcome(fleet: &Fleet) -> Outcome {
    let any = |action: NodeAction| fleet.members.iter().any(|member| member.action == action);
    if fleet.fresh {
        Outcome::Created
    } else if any(NodeAction::Replace) || fleet.members.iter().any(|member| member.resize) {
        Outcome::Updated
    } else if any(NodeAction::Start) || any(NodeAction::Create) {
        Outcome::Restarted
    } else {
        Outcome::Unchanged
    }
}

fn done_line(outcome: Outcome, wanted: &Wanted) -> String {
    let what = match outcome {
        Outcome::Unchanged => "is running as asked; nothing was changed",
        Outcome::Updated => "took over the changed settings",
        _ => "is ready",
    };
    format!("Cluster `{}` (Kubernetes {}) {what}", wanted.spec.name, wanted.spec.kubernetes_version)
}
