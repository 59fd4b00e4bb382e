//! What a start mends on its way, and then begins again.
//!
//! Ports of this host that somebody else has now: programs take them while a node is off, and an Engine
//! that was killed may not give back what it had given. Machines that do not start any more.

use skiff_config::NodeName;
use skiff_driver::{Driver, NodeImages};
use skiff_runner::Connect;

use super::{Run, plan::Wanted, provision::keeps_snapshots};
use crate::{ClusterError, ConnectApi, ImageSource, host::driver_error, port::free_port};

/// How many things one start mends. More of them mean that something else is wrong.
const MOST: usize = 3;

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Makes something of the wanted nodes, again where what stopped it could be mended.
    pub(super) async fn mending<T>(
        &self,
        wanted: &mut Wanted,
        make: impl AsyncFn(&mut Wanted) -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        for _ in 0..MOST {
            match make(wanted).await {
                Err(error) => self.mend(error, wanted).await?,
                made => return made,
            }
        }
        make(wanted).await
    }

    /// What cannot be mended comes back.
    async fn mend(&self, error: ClusterError, wanted: &mut Wanted) -> Result<(), ClusterError> {
        let ClusterError::Driver(failure) = &error else { return Err(error) };
        if let Some(port) = failure.taken_port() {
            self.give_another_port(port, error, wanted).await
        } else if let Some(node) = failure.worn_out().cloned() {
            self.have_another_machine(&node, error, wanted).await
        } else {
            Err(error)
        }
    }

    /// The cluster gets another port where skiff has chosen the one that is taken, and the machine is made anew
    /// for it, unless that must stay as it is.
    async fn give_another_port(&self, port: u16, error: ClusterError, wanted: &mut Wanted) -> Result<(), ClusterError> {
        let stay = self.machines_that_stay().await?;
        let _allocating = self.host.store.allocate(&self.host.command).await?;
        let another =
            free_port(wanted.spec.listen_address, &mut self.host.reserved_ports(&wanted.file, &wanted.spec)?)?;
        let status = &mut wanted.file.status;
        let nodes = status.nodes.iter_mut().filter(|record| !stay.contains(&record.name));
        let ports = nodes.flat_map(|record| [Some(&mut record.ssh_port), record.apiserver_port.as_mut()]).flatten();
        let entrance = status.entrance.as_mut().map(|entrance| &mut entrance.port);
        let Some(own) = ports.chain(entrance).find(|own| **own == port) else { return Err(error) };
        *own = another;
        self.host.store.save(&wanted.unproven())?;
        self.host.reporter.warn(&format!("{error}: port {another} leads there now"));
        Ok(())
    }

    /// Lets the next try make the machine anew with its data, unless that must stay as it is.
    async fn have_another_machine(
        &self,
        node: &NodeName,
        error: ClusterError,
        wanted: &mut Wanted,
    ) -> Result<(), ClusterError> {
        let stay = self.machines_that_stay().await?;
        let nodes = wanted.file.status.nodes.iter_mut().filter(|record| !stay.contains(&record.name));
        let Some(record) = nodes.into_iter().find(|record| record.name == *node) else { return Err(error) };
        record.applied.clear();
        self.host.store.save(&wanted.unproven())?;
        self.host.reporter.warn(&error.to_string());
        Ok(())
    }

    /// Nodes whose machines cannot be made anew without losing snapshots.
    async fn machines_that_stay(&self) -> Result<Vec<NodeName>, ClusterError> {
        let live = self.host.driver.list(Some(&self.name)).await.map_err(driver_error)?;
        Ok(live.into_iter().filter(keeps_snapshots).map(|machine| machine.name).collect())
    }
}
