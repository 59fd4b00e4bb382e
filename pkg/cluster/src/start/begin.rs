//! The beginning of a start, before anything is made: what is asked, what of it is left out, whether it may be.

use std::time::SystemTime;

use skiff_config::{ClusterName, ClusterSpec};
use skiff_driver::{Capabilities, Driver, NodeImages};
use skiff_report::Reporter;
use skiff_runner::Connect;

use super::{
    Run,
    plan::{self, Wanted},
    upgrade::Found,
};
use crate::{
    ClusterError, ConnectApi, Host, ImageSource, StartOptions, StartRequest, addons, host::driver_error, kubeconfig,
    lease::Lease, node_spec, stopwatch::Stopwatch,
};

/// What a start was asked for, laid over what there is.
pub(super) struct Asked {
    pub(super) name: ClusterName,
    /// True if there is a profile.
    pub(super) known: bool,
    pub(super) wanted: Wanted,
    /// What an upgrade left.
    pub(super) found: Found,
    pub(super) options: StartOptions,
}

impl Asked {
    /// Reads the profile and checks what is asked: all that is wrong with it at once.
    pub(super) fn read<D: Driver, C: Connect, K: ConnectApi>(
        host: &Host<D, C, K>,
        request: StartRequest,
    ) -> Result<Self, ClusterError> {
        let mut stored = host.store.load(&request.name)?;
        let known = stored.is_some();
        let found = Found::look(&host.store, stored.as_mut(), &request.given)?;
        host.check_name(&request.name)?;
        let StartRequest { name, given, defaults, options } = request;
        let mut wanted = plan::resolve(&name, stored, given, defaults)?;
        addons::want(&mut wanted.file, &wanted.spec, &host.catalog, &options)?;
        Ok(Self { name, known, wanted, found, options })
    }

    /// Tells what is left out of what was asked, and what the rest may cost.
    pub(super) fn tell(&self, reporter: &dyn Reporter) {
        for plan::Refused { setting, wanted, kept } in &self.wanted.refused {
            let delete = match *setting {
                "nodes" | "ha" => "`skiff node add` and `skiff node delete` change that".to_owned(),
                _ => format!("`skiff delete -p {}` first to change it", self.name),
            };
            reporter.warn(&format!("--{setting} {wanted} is left out: the cluster was made with {kept}; {delete}."));
        }
        if self.wanted.spec.etcd_unsafe_fsync {
            reporter.warn(
                "etcd does not wait for the disk (--etcd-unsafe-fsync): should this host crash or lose power, the \
                 cluster's data may be lost or damaged. A stop, and the end of a process, do no harm.",
            );
        }
    }
}

/// What the driver can do, which also tells that it works.
pub(super) async fn capabilities<D: Driver, C, K>(
    host: &Host<D, C, K>,
    watch: &Stopwatch<'_>,
) -> Result<Capabilities, ClusterError> {
    match host.capabilities {
        Some(known) => Ok(known),
        None => watch.time("driver/check", host.driver.check()).await.map_err(driver_error),
    }
}

/// What this host cannot give is told before anything is made.
pub(super) fn fits(spec: &ClusterSpec, host: &Capabilities) -> Result<(), ClusterError> {
    node_spec::resources(spec, None, host)?;
    node_spec::families(spec, host)?;
    node_spec::addresses(spec, host)
}

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Checks that the cluster is nobody else's, and that its end can be written where kubectl looks.
    pub(super) async fn may_begin(&self, wanted: &Wanted, known: bool) -> Result<(), ClusterError> {
        kubeconfig::check(self.host, &wanted.spec, self.options)?;
        // A start stores the profile before it makes a machine, so these are somebody's who is in use.
        if !known && !self.host.driver.list(Some(&self.name)).await.map_err(driver_error)?.is_empty() {
            return Err(ClusterError::Orphaned(self.name.clone()));
        }
        Ok(())
    }

    /// Settles how long a new cluster lives.
    pub(super) fn lease(&self, fresh: bool) -> Result<(), ClusterError> {
        match Lease::begin(self.options.ttl, self.options.owner, SystemTime::now())? {
            lease if fresh => lease.save(&self.host.store, &self.name)?,
            Lease { expires: None, owner: None } => {}
            _ => self
                .host
                .reporter
                .warn("--ttl and --owner-pid are left out: how long a cluster lives is settled when it is made."),
        }
        Ok(())
    }
}
