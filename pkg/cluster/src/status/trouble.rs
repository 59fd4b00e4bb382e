//! What is wrong with a cluster that its parts do not tell by their states, and the way out.

use std::time::SystemTime;

use skiff_config::{ClusterFile, ClusterSpec, NodeRecord};
use skiff_driver::MachineState;
use skiff_kubeapi::Access;

use super::PATIENCE;
use crate::{Api, ClusterError, ConnectApi, Host, access, clock, lifetime::Standing};

/// Tells of an entrance that does not lead to `serves`, a control plane whose API server answers: somebody
/// has stopped it, or removed it, for nothing of skiff's does while the cluster runs.
pub(super) async fn entrance<D, C, K: ConnectApi>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    spec: &ClusterSpec,
    serves: Option<&NodeRecord>,
) -> Result<Option<String>, ClusterError> {
    let (name, listen) = (&spec.name, spec.listen_address);
    let (Some(entrance), Some(record)) = (file.status.entrance, serves) else { return Ok(None) };
    let Some(access) = access::access(&host.store, name, listen, record)? else { return Ok(None) };
    let server = access::server_url(listen, entrance.port);
    let answers = match host.api.client(&Access { server: server.clone(), ..access }) {
        Ok(api) => api.node_ready(record.name.as_str(), PATIENCE).await.is_ok(),
        Err(_) => false,
    };
    let told = format!(
        "{} does not answer at {server}, where kubectl is led to for all control planes; it was stopped or removed \
         by hand: `skiff start -p {name}` brings it back",
        name.entrance()
    );
    Ok((!answers).then_some(told))
}

/// Tells of certificates that nobody takes now: a node's own, and on a control plane the user's.
pub(super) fn certificates<D, C, K>(
    host: &Host<D, C, K>,
    file: &ClusterFile,
    spec: &ClusterSpec,
    record: &NodeRecord,
    machine: MachineState,
    now: SystemTime,
) -> Result<Option<String>, ClusterError> {
    if machine != MachineState::Running {
        return Ok(None);
    }
    let (name, node) = (&spec.name, &record.name);
    let when = match Standing::of_node(record, file.status.created.as_ref(), spec.cert_expiration, now) {
        Standing::Ended(end) => format!("ended at {}", clock::rfc3339(end)),
        Standing::Ahead(made) => {
            format!("were made at {}, which is yet to come by this host's clock", clock::rfc3339(made))
        }
        Standing::Good | Standing::Ending => {
            let control_plane = record.apiserver_port.is_some();
            return if control_plane { access::outdated(&host.store, name, now) } else { Ok(None) };
        }
    };
    Ok(Some(format!("the certificates of node {node} {when}: `skiff start -p {name}` renews them")))
}
