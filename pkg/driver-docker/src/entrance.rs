//! A cluster's entrance: a small container that passes connections on to API servers that live.
//!
//! Its program is skiff-agent's role `endpoint`, which workers have as well. It lies in every node
//! image, so that nothing has to be pulled; the container needs none of a node's rights.

use std::{collections::HashMap, fmt::Write as _, net::Ipv6Addr};

use bollard::{
    body_full,
    models::{
        ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkingConfig,
        PortBinding, RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, UploadToContainerOptionsBuilder},
};
use skiff_config::ClusterName;
use skiff_driver::{Entrance, MachineState, Purpose, SeedFile};

use crate::{
    DockerDriver, Error, Resource,
    failure::{self, StartFailure},
    labels,
    node::Found,
    seed,
};

/// The program, in every node image.
const PROGRAM: &str = "/usr/lib/skiff/skiff-agent";
/// Where it listens in the container.
const PORT: u16 = 8443;
/// The list of servers, which it reads again for each connection.
const SERVERS: &str = "/etc/skiff/control-planes";
/// More than it ever takes; a connection costs it some kilobytes.
const MEMORY: i64 = 128 << 20;

impl DockerDriver {
    pub(crate) async fn make_entrance(&self, entrance: &Entrance) -> Result<(), Error> {
        let name = entrance.cluster.entrance();
        let found = self.find(&entrance.cluster, &name).await?;
        if let Some(found) = &found {
            if leads_here(found, entrance) {
                match self.run_entrance(&found.id, found.state, entrance).await {
                    Err(Error::Leftover { .. }) => {}
                    done => return done,
                }
            }
            self.remove_entrance(&found.id).await?;
        }
        let id = self.create_entrance(entrance).await?;
        self.run_entrance(&id, MachineState::Created, entrance).await
    }

    async fn create_entrance(&self, entrance: &Entrance) -> Result<String, Error> {
        let name = entrance.cluster.entrance();
        let image = self.image_name(&entrance.image).await?;
        let ipv6 = self.ipv6_of(&entrance.cluster, entrance.address).await?;
        let options = CreateContainerOptionsBuilder::new().name(name.as_str()).build();
        let (docker, request) = (self.docker.clone(), container(entrance, image, ipv6));
        let made = self.making.finish(async move { docker.create_container(Some(options), request).await }).await;
        made.map(|made| made.id).map_err(|error| match failure::status(&error) {
            Some(409) => {
                let owner = "something other than this cluster".to_owned();
                Error::NameTaken { resource: Resource::Container, name: name.to_string(), owner }
            }
            _ => failure::engine(format!("creating {name}"))(error),
        })
    }

    async fn list_servers(&self, id: &str, entrance: &Entrance) -> Result<(), Error> {
        let mut contents = String::new();
        for server in &entrance.servers {
            // Writing to a String cannot fail.
            let _ = writeln!(contents, "{server}");
        }
        let file = SeedFile { path: SERVERS.to_owned(), mode: 0o644, contents: contents.into() };
        let archive = seed::archive(&[file]).map_err(|source| Error::File { path: SERVERS.into(), source })?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let planted = self.docker.upload_to_container(id, Some(options), body_full(archive.into())).await;
        planted.map_err(failure::engine(format!("putting files into {}", entrance.cluster.entrance())))
    }

    async fn run_entrance(&self, id: &str, state: MachineState, entrance: &Entrance) -> Result<(), Error> {
        self.list_servers(id, entrance).await?;
        if state == MachineState::Running {
            return Ok(());
        }
        let (cluster, name) = (&entrance.cluster, entrance.cluster.entrance());
        let image = self.image_name(&entrance.image).await?;
        let mut started = self.start_container(cluster, id, Some(&image)).await;
        if started.as_ref().is_err_and(|error| failure::start(error) == StartFailure::Network) {
            self.rejoin_network(cluster, id, Some(entrance.address)).await?;
            started = self.start_container(cluster, id, Some(&image)).await;
        }
        let Err(error) = started else { return Ok(()) };
        match failure::start(&error) {
            StartFailure::Paused => {
                self.docker.unpause_container(id).await.map_err(failure::engine("thawing a container"))
            }
            StartFailure::Port(address) => {
                let (purpose, holder) = (Purpose::ApiServer, self.publisher(address).await);
                Err(Error::PortTaken { node: name, address, purpose, holder, source: Box::new(error) })
            }
            StartFailure::Leftover => Err(Error::Leftover { node: name, source: Box::new(error) }),
            StartFailure::Address => Err(Error::AddressTaken { node: name, address: entrance.address }),
            _ => Err(failure::engine(format!("starting {name}"))(error)),
        }
    }

    /// Removes the entrances of a cluster, whatever they are called.
    pub(crate) async fn remove_entrances(&self, cluster: &ClusterName) -> Result<(), Error> {
        let mut filter = labels::filter(labels::ENTRANCE, None);
        filter.entry("label").or_default().push(format!("{}={cluster}", labels::CLUSTER));
        for container in self.containers(&filter).await?.into_iter().filter_map(|container| container.id) {
            self.remove_entrance(&container).await?;
        }
        Ok(())
    }

    async fn remove_entrance(&self, id: &str) -> Result<(), Error> {
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self.docker.remove_container(id, Some(force)).await;
        failure::unless(removed, &[404, 409]).map_err(failure::engine("removing a container"))
    }
}

/// True if a container can serve as this entrance. It holds nothing, so that a new one is the cure for all else.
fn leads_here(found: &Found, entrance: &Entrance) -> bool {
    let made = found.labels().and_then(|labels| labels.get(labels::ENTRANCE));
    made.is_some_and(|made| *made == form(entrance)) && !found.is_cut_off(&entrance.cluster)
}

/// What cannot be changed of the container once it is made.
fn form(entrance: &Entrance) -> String {
    format!("{} {} {}:{}", entrance.image, entrance.address, entrance.host_ip, entrance.host_port)
}

fn container(entrance: &Entrance, image: String, ipv6: Option<Ipv6Addr>) -> ContainerCreateBody {
    let (cluster, port) = (&entrance.cluster, format!("{PORT}/tcp"));
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(entrance.address.to_string()),
            ipv6_address: ipv6.map(|address| address.to_string()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    let own = [(labels::CLUSTER, cluster.to_string()), (labels::ENTRANCE, form(entrance))];
    let command = ["endpoint", "--listen", &format!("0.0.0.0:{PORT}"), "--servers", SERVERS].map(str::to_owned);
    ContainerCreateBody {
        hostname: Some(cluster.entrance().to_string()),
        image: Some(image),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        cmd: Some(command.to_vec()),
        user: Some("65534:65534".to_owned()),
        labels: Some(own.map(|(label, value)| (label.to_owned(), value)).into()),
        stop_signal: Some("SIGTERM".to_owned()),
        exposed_ports: Some(vec![port.clone()]),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(cluster.to_string(), endpoint)])),
        }),
        host_config: Some(host_config(entrance, port)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(entrance: &Entrance, port: String) -> HostConfig {
    let binding =
        PortBinding { host_ip: Some(entrance.host_ip.to_string()), host_port: Some(entrance.host_port.to_string()) };
    let log = [("max-size", "1m"), ("max-file", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    HostConfig {
        memory: Some(MEMORY),
        memory_swap: Some(MEMORY),
        network_mode: Some(entrance.cluster.to_string()),
        port_bindings: Some(HashMap::from([(port, Some(vec![binding]))])),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        init: Some(false),
        // It comes back with the daemon or the host, as nodes do.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(log.into()) }),
        ..HostConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerInspectResponse, NetworkSettings};

    use super::*;

    fn entrance() -> Entrance {
        Entrance {
            cluster: "dev".parse().unwrap(),
            image: "0a1b".to_owned(),
            address: [172, 30, 0, 254].into(),
            host_ip: [127, 0, 0, 1].into(),
            host_port: 20_443,
            servers: vec!["172.30.0.2:8443".parse().unwrap()],
        }
    }

    #[test]
    fn an_entrance_has_no_rights_and_no_data() {
        let request = container(&entrance(), "skiff-node:x".to_owned(), None);
        let host = request.host_config.unwrap();
        assert_eq!(host.cap_drop.as_deref(), Some(["ALL".to_owned()].as_slice()));
        assert!(host.privileged.is_none() && host.mounts.is_none());
        assert_eq!(request.user.as_deref(), Some("65534:65534"));
        let labels = request.labels.unwrap();
        assert_eq!(labels[labels::CLUSTER], "dev");
        assert_eq!(labels::identity(&labels), None, "it is no node");
    }

    #[test]
    fn other_servers_do_not_make_it_another_one() {
        let other = Entrance { servers: vec!["172.30.0.3:8443".parse().unwrap()], ..entrance() };
        assert_eq!(form(&other), form(&entrance()));
        assert_ne!(form(&Entrance { host_port: 1, ..entrance() }), form(&entrance()));
    }

    #[test]
    fn one_that_was_taken_out_of_its_network_is_made_anew() {
        let made = container(&entrance(), "skiff-node:x".to_owned(), None);
        let endpoints = made.networking_config.and_then(|config| config.endpoints_config);
        let settings = NetworkSettings { networks: endpoints, ..NetworkSettings::default() };
        let config = ContainerConfig { labels: made.labels, ..ContainerConfig::default() };
        let inspected = ContainerInspectResponse {
            config: Some(config),
            network_settings: Some(settings),
            ..ContainerInspectResponse::default()
        };
        let mut found = Found { id: "0a1b".to_owned(), state: MachineState::Running, inspected };
        assert!(leads_here(&found, &entrance()));
        let networks = found.inspected.network_settings.as_mut().and_then(|settings| settings.networks.as_mut());
        networks.unwrap().clear();
        assert!(!leads_here(&found, &entrance()));
    }
}
