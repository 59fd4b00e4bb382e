//! Ports of this host that somebody else has now: programs take them while a node is off, and an Engine
//! that was killed may not give back what it had given.

use skiff_driver::{Driver, NodeImages};
use skiff_runner::Connect;

use super::{Run, plan::Wanted, provision::keeps_snapshots};
use crate::{ClusterError, ConnectApi, ImageSource, host::driver_error, port::free_port};

/// How many ports one start gives away because somebody has them. They were free a moment before, so that
/// more of them mean something else.
const MOST: usize = 3;

impl<D: Driver + NodeImages, C: Connect, K: ConnectApi, I: ImageSource> Run<'_, D, C, K, I> {
    /// Makes something of the wanted nodes, again where a port that skiff has chosen turns out to be taken:
    /// the cluster gets another one, and the machine is made anew for it.
    pub(super) async fn on_free_ports<T>(
        &self,
        wanted: &mut Wanted,
        make: impl AsyncFn(&mut Wanted) -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        for _ in 0..MOST {
            match make(wanted).await {
                Err(error) => self.give_another_port(error, wanted).await?,
                made => return made,
            }
        }
        make(wanted).await
    }

    /// Any failure but that of a taken port comes back, and so does this one where the machine must stay as it is.
    async fn give_another_port(&self, error: ClusterError, wanted: &mut Wanted) -> Result<(), ClusterError> {
        let ClusterError::Driver(failure) = &error else { return Err(error) };
        let Some(port) = failure.taken_port() else { return Err(error) };
        let live = self.host.driver.list(Some(&self.name)).await.map_err(driver_error)?;
        let _allocating = self.host.store.allocate(&self.host.command).await?;
        let another =
            free_port(wanted.spec.listen_address, &mut self.host.reserved_ports(&wanted.file, &wanted.spec)?)?;
        let status = &mut wanted.file.status;
        let stays = |node: &str| live.iter().any(|machine| machine.name.as_str() == node && keeps_snapshots(machine));
        let nodes = status.nodes.iter_mut().filter(|record| !stays(record.name.as_str()));
        let ports = nodes.flat_map(|record| [Some(&mut record.ssh_port), record.apiserver_port.as_mut()]).flatten();
        let entrance = status.entrance.as_mut().map(|entrance| &mut entrance.port);
        let Some(own) = ports.chain(entrance).find(|own| **own == port) else { return Err(error) };
        *own = another;
        self.host.store.save(&wanted.unproven())?;
        self.host.reporter.warn(&format!("{error}: port {another} leads there now"));
        Ok(())
    }
}
