//! What the Docker driver promises beyond the contract, against a real Docker.

mod support;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    net::{Ipv4Addr, TcpListener as StdListener},
    path::{Path, PathBuf},
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{
        ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, NetworkCreateRequest, NetworkDisconnectRequest,
        VolumeCreateRequest,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder, InspectContainerOptions,
        InspectNetworkOptions, RemoveContainerOptionsBuilder, RemoveVolumeOptions, StartContainerOptions,
    },
};
use futures_util::TryStreamExt;
use skiff_config::{ClusterName, NodeName};
use skiff_driver::{
    Driver, DriverFailure as _, MachineState, NetworkRequest, NodeImages, NodeSpec, SeedFile,
    contract::{Subject, Trial, run},
};
use skiff_driver_docker::{DockerDriver, Error};
use skiff_report::{Diagnose, Event, Recorder, Silent};
use tar::Archive;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
};

fn engine() -> Docker {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    Docker::connect_with_unix(&host, 60, API_DEFAULT_VERSION).unwrap()
}

/// Mode, owner and contents of a file in a container.
async fn file(node: &NodeName, path: &str) -> Option<(u32, u64, String)> {
    let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
    let stream = engine().download_from_container(node.as_str(), Some(options));
    let bytes: Vec<u8> = stream.map_ok(|chunk| chunk.to_vec()).try_concat().await.ok()?;
    let mut archive = Archive::new(bytes.as_slice());
    let mut entry = archive.entries().unwrap().next()?.unwrap();
    let mut contents = String::new();
    entry.read_to_string(&mut contents).unwrap();
    Some((entry.header().mode().unwrap() & 0o7777, entry.header().uid().unwrap(), contents))
}

fn seed(path: &str, mode: u32, contents: &str) -> SeedFile {
    SeedFile { path: path.to_owned(), mode, contents: contents.into() }
}

#[tokio::test]
async fn seed_files_are_there_before_the_first_start() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let cluster = trial.cluster();
        let seed = vec![
            seed("/etc/ssh/ssh_host_ed25519_key", 0o600, "key"),
            seed("/root/.ssh/authorized_keys", 0o644, "user"),
            seed("/var/lib/skiff/deep/state", 0o640, "state"),
        ];
        let spec = NodeSpec { seed, ..trial.spec(&cluster).await };
        trial.driver.create(&spec, &Silent).await.unwrap();
        for start in [false, true] {
            if start {
                trial.driver.start(&cluster, &spec.name).await.unwrap();
            }
            for seed in &spec.seed {
                let contents = String::from_utf8(seed.contents.clone()).unwrap();
                assert_eq!(file(&spec.name, &seed.path).await, Some((seed.mode, 0, contents)), "{}", seed.path);
            }
            let mode = async |path: &str| file(&spec.name, path).await.map(|(mode, ..)| mode);
            assert_eq!(mode("/root").await, Some(0o700), "a folder of the image");
            assert_eq!(mode("/root/.ssh").await, Some(0o755), "a new folder");
            assert_eq!(mode("/var/lib/skiff/deep").await, Some(0o755), "a new folder in the volume");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_node_stored_outlives_its_container() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let cluster = trial.cluster();
        let spec = trial.spec(&cluster).await;
        let seeded = NodeSpec { seed: vec![seed("/var/data", 0o600, "kept")], ..spec.clone() };
        trial.driver.create(&seeded, &Silent).await.unwrap();
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        // As a user would: behind skiff's back.
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        engine().remove_container(spec.name.as_str(), Some(force)).await.unwrap();
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Missing));
        trial.driver.create(&spec, &Silent).await.unwrap();
        assert_eq!(file(&spec.name, "/var/data").await, Some((0o600, 0, "kept".to_owned())));
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_network_was_pruned_starts_at_its_old_address() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let cluster = trial.cluster();
        let spec = trial.spec(&cluster).await;
        trial.driver.create(&spec, &Silent).await.unwrap();
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        trial.driver.stop(&cluster, &spec.name).await.unwrap();
        // As `docker network prune` does: the Engine spares only networks of running containers.
        engine().remove_network(&spec.network.name).await.unwrap();
        let request = NetworkRequest {
            cluster: cluster.clone(),
            subnet: Some(spec.network.subnet),
            ipv6: false,
            marks: BTreeMap::new(),
        };
        trial.driver.ensure_network(&request).await.unwrap();
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        let inspected = engine().inspect_container(spec.name.as_str(), None::<InspectContainerOptions>).await.unwrap();
        let mut networks = inspected.network_settings.unwrap().networks.unwrap();
        let endpoint = networks.remove(&spec.network.name).unwrap();
        assert_eq!(endpoint.ip_address, Some(spec.address.to_string()));
    })
    .await;
}

#[tokio::test]
async fn a_node_that_was_taken_out_of_its_network_is_broken() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let cluster = trial.cluster();
        let spec = trial.spec(&cluster).await;
        trial.driver.create(&spec, &Silent).await.unwrap();
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        let state = async || trial.driver.list(Some(&cluster)).await.unwrap()[0].state;
        assert_eq!(state().await, MachineState::Running);
        let request = NetworkDisconnectRequest { container: spec.name.to_string(), force: Some(true) };
        engine().disconnect_network(&spec.network.name, request).await.unwrap();
        assert_eq!(state().await, MachineState::Broken);
        trial.driver.stop(&cluster, &spec.name).await.unwrap();
        assert_eq!(state().await, MachineState::Broken, "a start would leave it out");
    })
    .await;
}

/// Where containerd keeps a folder for each of Docker's containers that runs.
fn folder_of_the_runtime(container: &str) -> PathBuf {
    let folders = ["/run/docker/containerd/daemon", "/run/containerd"];
    let mut folders = folders.iter().map(|folder| Path::new(folder).join("io.containerd.runtime.v2.task/moby"));
    folders.find(|folder| folder.is_dir()).expect("containerd's folder").join(container)
}

#[tokio::test]
async fn a_container_that_a_killed_engine_has_spoiled_is_worn_out() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let cluster = trial.cluster();
        let spec = trial.node(&cluster, false).await;
        let node = &spec.name;
        let inspected = engine().inspect_container(node.as_str(), None::<InspectContainerOptions>).await.unwrap();
        let folder = folder_of_the_runtime(&inspected.id.unwrap());
        fs::create_dir(&folder).unwrap();
        let error = trial.driver.start(&cluster, node).await.unwrap_err();
        fs::remove_dir(&folder).unwrap();
        assert_eq!(error.worn_out(), Some(node), "{error:?}");
        trial.driver.delete(&cluster, node, true).await.unwrap();
        trial.driver.create(&spec, &Silent).await.unwrap();
        trial.driver.start(&cluster, node).await.unwrap();
    })
    .await;
}

/// A container, a volume and a network that belong to somebody else.
async fn make_foreign(trial: &Trial<DockerDriver>, container: &str, volume: &str, network: &str) {
    let image = trial.driver.list_images().await.unwrap().into_iter().find(|image| image.key == trial.image.key);
    let options = CreateContainerOptionsBuilder::new().name(container).build();
    let body = ContainerCreateBody { image: Some(image.unwrap().name), ..Default::default() };
    engine().create_container(Some(options), body).await.unwrap();
    let request = VolumeCreateRequest { name: Some(volume.to_owned()), ..Default::default() };
    engine().create_volume(request).await.unwrap();
    let request = NetworkCreateRequest { name: network.to_owned(), ..Default::default() };
    engine().create_network(request).await.unwrap();
}

async fn remove_foreign(container: &str, volume: &str, network: &str) {
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    engine().remove_container(container, Some(force)).await.unwrap();
    engine().remove_volume(volume, None::<RemoveVolumeOptions>).await.unwrap();
    engine().remove_network(network).await.unwrap();
}

#[tokio::test]
async fn what_belongs_to_others_is_left_alone() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let [one, two, three] = [trial.cluster(), trial.cluster(), trial.cluster()];
        make_foreign(trial, one.as_str(), two.as_str(), three.as_str()).await;
        for (cluster, what) in [(&one, "container"), (&two, "volume")] {
            let spec = trial.spec(cluster).await;
            let error = trial.driver.create(&spec, &Silent).await.unwrap_err();
            assert!(matches!(error, Error::NameTaken { .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}");
            assert!(matches!(trial.driver.start(cluster, &spec.name).await, Err(Error::NodeAbsent { .. })));
            trial.driver.stop(cluster, &spec.name).await.unwrap();
            trial.driver.delete(cluster, &spec.name, false).await.unwrap();
        }
        let request = NetworkRequest { cluster: three.clone(), subnet: None, ipv6: false, marks: BTreeMap::new() };
        let error = trial.driver.ensure_network(&request).await.unwrap_err();
        assert!(error.to_string().contains("network"), "{error}");
        for cluster in [&one, &two, &three] {
            trial.driver.delete_remains(cluster).await.unwrap();
            assert_eq!(trial.driver.list(Some(cluster)).await.unwrap(), []);
        }
        // Fails if anything of it is gone.
        remove_foreign(one.as_str(), two.as_str(), three.as_str()).await;
    })
    .await;
}

#[tokio::test]
async fn a_port_held_by_a_program_is_named() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let cluster = trial.cluster();
        let spec = trial.node(&cluster, false).await;
        let port = spec.published[0].host_port;
        let holder = StdListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let error = trial.driver.start(&cluster, &spec.name).await.unwrap_err();
        let named = matches!(&error, Error::PortTaken { address: Some(at), .. } if at.port() == port);
        assert!(named && error.reason().id == "GUEST_PORT_IN_USE", "{error:?}");
        drop(holder);
        trial.driver.start(&cluster, &spec.name).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_port_held_by_a_container_is_told_with_its_name() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let (first, second) = (trial.cluster(), trial.cluster());
        let holder = trial.node(&first, true).await;
        let spec = NodeSpec { published: holder.published.clone(), ..trial.spec(&second).await };
        trial.driver.create(&spec, &Silent).await.unwrap();
        let error = trial.driver.start(&second, &spec.name).await.unwrap_err();
        let told = format!("is taken by the container {}", holder.name);
        assert!(error.to_string().ends_with(&told), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_frozen_node_is_thawed_by_start() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let cluster = trial.cluster();
        let spec = trial.node(&cluster, true).await;
        engine().pause_container(spec.name.as_str()).await.unwrap();
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Paused));
        trial.driver.start(&cluster, &spec.name).await.unwrap();
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Running));
    })
    .await;
}

#[tokio::test]
async fn a_stopped_node_was_asked_and_not_killed() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let cluster = trial.cluster();
        let spec = trial.node(&cluster, true).await;
        trial.driver.stop(&cluster, &spec.name).await.unwrap();
        let inspected = engine().inspect_container(spec.name.as_str(), None::<InspectContainerOptions>).await.unwrap();
        assert_eq!(inspected.state.unwrap().exit_code, Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_network_goes_although_others_are_in_it() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let cluster = trial.cluster();
        let network = trial.network(&cluster).await;
        let guest = format!("{cluster}-guest");
        let image = trial.driver.list_images().await.unwrap().into_iter().find(|image| image.key == trial.image.key);
        let options = CreateContainerOptionsBuilder::new().name(&guest).build();
        let host_config = HostConfig { network_mode: Some(network.name.clone()), ..Default::default() };
        let body = ContainerCreateBody {
            image: Some(image.unwrap().name),
            host_config: Some(host_config),
            ..Default::default()
        };
        engine().create_container(Some(options), body).await.unwrap();
        engine().start_container(&guest, None::<StartContainerOptions>).await.unwrap();
        let removed = trial.driver.delete_remains(&cluster).await;
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        engine().remove_container(&guest, Some(force)).await.unwrap();
        removed.unwrap();
        assert!(engine().inspect_network(&network.name, None::<InspectNetworkOptions>).await.is_err());
    })
    .await;
}

/// Forwards a TCP port to the Engine's socket, so that the Engine looks like one of another host.
async fn forward() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = UnixStream::connect("/var/run/docker.sock").await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut socket).await;
            });
        }
    });
    host
}

#[tokio::test]
async fn an_engine_out_of_sight_gives_the_same_rights() {
    let host = forward().await;
    let Subject { rootfs, folder, driver: near } = support::subject().await;
    let far = DockerDriver::connect(Some(&host)).await.unwrap();
    assert!(!far.check().await.unwrap().routable_nodes);
    let subject = Subject { driver: far, rootfs, folder };
    run(subject, async |trial: &Trial<DockerDriver>| {
        let rights = async |cluster: &ClusterName| {
            let inspected = engine().inspect_container(cluster.as_str(), None::<InspectContainerOptions>).await;
            let config = inspected.unwrap().host_config.unwrap();
            assert_eq!(config.cgroupns_mode, Some(HostConfigCgroupnsModeEnum::PRIVATE));
            (config.privileged, config.cap_drop.unwrap_or_default())
        };
        let (through_tcp, through_socket) = (trial.cluster(), trial.cluster());
        trial.node(&through_tcp, true).await;
        near.create(&trial.spec(&through_socket).await, &Silent).await.unwrap();
        assert_eq!(rights(&through_tcp).await, rights(&through_socket).await);
    })
    .await;
}

#[tokio::test]
async fn a_root_file_system_cut_off_leaves_no_image() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let whole = std::fs::read(&trial.image.rootfs).unwrap();
        let mut image = trial.image.clone();
        image.key = image.key.chars().rev().collect();
        image.rootfs = trial.folder.join("cut.tar");
        std::fs::write(&image.rootfs, &whole[..whole.len() / 2]).unwrap();
        let recorder = Recorder::default();
        let error = trial.driver.import_image(&image, &recorder).await.unwrap_err();
        assert_eq!(error.reason().id, "PROVIDER_DOCKER_ERROR");
        assert!(trial.driver.list_images().await.unwrap().iter().all(|listed| listed.key != image.key));
        assert!(recorder.events().iter().all(|event| matches!(event, Event::Progress { .. })));
    })
    .await;
}

#[tokio::test]
async fn labels_of_an_image_come_back_as_they_were() {
    run(support::subject().await, async |trial: &Trial<DockerDriver>| {
        let mut image = trial.image.clone();
        image.key = image.key.chars().rev().collect();
        image.labels = [("odd".to_owned(), "a \"b\" \\ $HOME 'c' #d = e".to_owned())].into();
        trial.driver.import_image(&image, &Silent).await.unwrap();
        let listed = trial.driver.list_images().await.unwrap();
        trial.driver.remove_image(&image.key).await.unwrap();
        let listed: HashMap<_, _> = listed.into_iter().map(|image| (image.key, image.labels)).collect();
        assert_eq!(listed[&image.key], image.labels);
    })
    .await;
}
