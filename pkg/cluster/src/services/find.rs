//! Finds services, waits for them a little, and says why one cannot be used.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use skiff_config::ClusterName;
use skiff_driver::Driver;
use skiff_kubeapi::{ServiceInfo, ServicePort};
use skiff_report::Reporter;
use tokio::time::{Instant, sleep};

use super::{
    Endpoint, Forward, ServiceApi, ServiceError,
    bind::bind,
    forward::Target,
    listeners::Wanted,
    nearest::nearest,
    reach::{Reach, reach},
    urls::endpoints,
};
use crate::{ClusterError, ConnectApi, Host, host::api_error};

/// Which services somebody wants.
#[derive(Debug, Clone)]
pub struct ServiceQuery {
    /// Their namespace.
    pub namespace: String,
    /// Their names; none means all of the namespace.
    pub names: Vec<String>,
    /// How long they may take to be there, with a pod that is ready.
    pub wait: Duration,
    /// The pause between two looks.
    pub interval: Duration,
}

/// A service, and how the host reaches it.
#[derive(Debug, Clone)]
pub struct Found<A> {
    /// The service.
    pub service: ServiceInfo,
    /// Its ports.
    pub endpoints: Vec<Endpoint>,
    api: A,
    nodes: Arc<[IpAddr]>,
}

impl<A: ServiceApi> Found<A> {
    fn new(reach: &Reach<A>, service: ServiceInfo) -> Self {
        let endpoints = endpoints(&service, reach.node);
        Self { service, endpoints, api: reach.api.clone(), nodes: Arc::clone(&reach.nodes) }
    }

    /// Opens a port of this host that leads to a port of the service; none if what it speaks cannot be carried.
    ///
    /// # Errors
    /// When no port can be listened at.
    pub async fn forward(
        &self,
        port: &ServicePort,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Option<Forward>, ClusterError> {
        let Some(wanted) = Wanted::new(&self.service, port) else { return Ok(None) };
        let bound = bind(wanted.protocol, Ipv4Addr::LOCALHOST.into(), 0).await?;
        let target = Target { wanted, nodes: Arc::clone(&self.nodes) };
        Ok(Some(Forward::serve(bound, target, self.api.clone(), reporter)))
    }
}

/// All services of a namespace, or of all, and how the host reaches them.
///
/// # Errors
/// When the cluster does not run, or its API does not answer.
pub async fn list_services<D: Driver, C, K: ConnectApi<Api: ServiceApi>>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    namespace: Option<&str>,
) -> Result<Vec<Found<K::Api>>, ClusterError> {
    let reach = reach(host, cluster).await?;
    let services = reach.api.services(namespace).await.map_err(api_error)?;
    Ok(services.into_iter().map(|service| Found::new(&reach, service)).collect())
}

/// The services that are asked for, each with a pod behind it that is ready.
///
/// # Errors
/// When the cluster does not run, or a service is not there or has no such pod when patience is over.
pub async fn find_services<D: Driver, C, K: ConnectApi<Api: ServiceApi>>(
    host: &Host<D, C, K>,
    cluster: &ClusterName,
    query: &ServiceQuery,
) -> Result<Vec<Found<K::Api>>, ClusterError> {
    let reach = reach(host, cluster).await?;
    let end = Instant::now() + query.wait;
    let services = loop {
        match look(&reach, cluster, query).await? {
            Ok(services) => break services,
            Err(error) if Instant::now() >= end => return Err(error.into()),
            Err(_) => sleep(query.interval.max(Duration::from_millis(100)).min(end - Instant::now())).await,
        }
    };
    Ok(services.into_iter().map(|service| Found::new(&reach, service)).collect())
}

/// One look: the services, or what is wrong so far.
async fn look<A: ServiceApi>(
    reach: &Reach<A>,
    cluster: &ClusterName,
    query: &ServiceQuery,
) -> Result<Result<Vec<ServiceInfo>, ServiceError>, ClusterError> {
    let all = reach.api.services(None).await.map_err(api_error)?;
    let services = match choose(&all, cluster, query) {
        Ok(services) => services,
        Err(error) => return Ok(Err(error)),
    };
    // Whoever asks for all takes them as they are.
    for service in services.iter().filter(|_| !query.names.is_empty()) {
        if let Some(why) = unreachable(reach, service).await? {
            let (namespace, name) = (service.namespace.clone(), service.name.clone());
            return Ok(Err(ServiceError::Unreachable { cluster: cluster.clone(), namespace, name, why }));
        }
    }
    Ok(Ok(services))
}

fn choose(all: &[ServiceInfo], cluster: &ClusterName, query: &ServiceQuery) -> Result<Vec<ServiceInfo>, ServiceError> {
    let here = || all.iter().filter(|service| service.namespace == query.namespace);
    if query.names.is_empty() {
        let services: Vec<ServiceInfo> = here().cloned().collect();
        let none = services.is_empty();
        return if none { Err(ServiceError::NoServices { namespace: query.namespace.clone() }) } else { Ok(services) };
    }
    let one = |name: &String| {
        here().find(|service| service.name == *name).cloned().ok_or_else(|| ServiceError::NotFound {
            cluster: cluster.clone(),
            namespace: query.namespace.clone(),
            name: name.clone(),
            nearest: nearest(name, here().map(|service| service.name.as_str())),
            elsewhere: all.iter().filter(|other| other.name == *name).map(|other| other.namespace.clone()).collect(),
        })
    };
    query.names.iter().map(one).collect()
}

/// Why nobody would answer; `None` if somebody would.
async fn unreachable<A: ServiceApi>(reach: &Reach<A>, service: &ServiceInfo) -> Result<Option<String>, ClusterError> {
    if service.kind == "ExternalName" {
        return Ok(Some("it only stands for a name outside of the cluster".to_owned()));
    }
    if service.ports.is_empty() {
        return Ok(Some("it has no ports".to_owned()));
    }
    let backends = reach.api.backends(&service.namespace, &service.name).await.map_err(api_error)?;
    if backends.iter().any(|backend| backend.ready) {
        return Ok(None);
    }
    let mut pods: Vec<&str> = backends.iter().filter_map(|backend| backend.pod.as_deref()).collect();
    pods.dedup();
    Ok(Some(match pods.as_slice() {
        [] => "no running pod stands behind it".to_owned(),
        [pod] => format!("its pod {pod} is not ready"),
        pods => format!("none of its pods is ready: {}", pods.join(", ")),
    }))
}
