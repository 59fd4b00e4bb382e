//! Behaviours of nodes.

use std::fs;

use skiff_report::{Diagnose, ExitCode, Silent};

use super::{
    Trial,
    trial::{address, published},
};
use crate::{DriverFailure, MachineState, NodeImages, NodeRole, NodeSpec, Purpose};

/// A node that was made and never started is listed with all that was asked for.
pub async fn created_node_is_listed_as_created<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, false).await;
    let status = trial.status(&cluster, &spec.name).await.expect("the node");
    assert_eq!(status.cluster, cluster);
    assert_eq!((status.role, status.state), (NodeRole::ControlPlane, MachineState::Created));
    assert_eq!((status.address, status.image), (Some(spec.address), Some(spec.image)));
    assert_eq!(status.marks, spec.marks);
}

/// A node that never started may be half-made: making it again replaces it.
pub async fn created_node_can_be_created_again<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, false).await;
    trial.driver.create(&spec, &Silent).await.expect("a new node in its place");
    trial.driver.start(&cluster, &spec.name).await.expect("a running node");
    assert_eq!(trial.driver.list(Some(&cluster)).await.expect("nodes").len(), 1);
}

/// A node that has run is never replaced unasked.
pub async fn started_node_cannot_be_created_again<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    let error = trial.driver.create(&spec, &Silent).await.expect_err("a conflict");
    assert_eq!(error.reason().exit, ExitCode::GUEST_CONFLICT);
    assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Running));
}

/// Machines share one space of names: a node of another cluster keeps its name.
pub async fn name_of_another_clusters_node_is_refused<D: NodeImages>(trial: &Trial<D>) {
    let (first, second) = (trial.cluster(), trial.cluster());
    let taken = trial.node(&first, false).await;
    let spec = NodeSpec { name: taken.name.clone(), ..trial.spec(&second).await };
    let error = trial.driver.create(&spec, &Silent).await.expect_err("a conflict");
    assert_eq!(error.reason().exit, ExitCode::GUEST_CONFLICT);
    trial.driver.delete(&second, &taken.name, false).await.expect("nothing to delete");
    trial.driver.stop(&second, &taken.name).await.expect("nothing to stop");
    assert!(trial.driver.start(&second, &taken.name).await.is_err());
    assert_eq!(trial.state(&first, &taken.name).await, Some(MachineState::Created));
    assert_eq!(trial.driver.list(Some(&second)).await.expect("nodes"), []);
}

/// A node cannot be made from an image that is not there.
pub async fn node_of_an_unknown_image_is_refused<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = NodeSpec { image: "0".repeat(64), ..trial.spec(&cluster).await };
    let error = trial.driver.create(&spec, &Silent).await.expect_err("no image");
    assert_eq!(error.reason().id, "GUEST_IMAGE_MISSING");
    assert_eq!(trial.state(&cluster, &spec.name).await, None);
}

/// Starting a running node changes nothing.
pub async fn start_may_be_repeated<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    trial.driver.start(&cluster, &spec.name).await.expect("it runs already");
    assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Running));
}

/// Only what is there can be started.
pub async fn start_of_an_absent_node_fails<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let error = trial.driver.start(&cluster, &cluster.node(0)).await.expect_err("no node");
    assert_eq!(error.reason().exit, ExitCode::GUEST_NOT_FOUND);
}

/// A port that another node has fails the start, by name; freeing it is all that is needed.
pub async fn taken_port_fails_the_start<D: NodeImages>(trial: &Trial<D>) {
    let (first, second) = (trial.cluster(), trial.cluster());
    let holder = trial.node(&first, true).await;
    let spec = NodeSpec { published: holder.published.clone(), ..trial.spec(&second).await };
    trial.driver.create(&spec, &Silent).await.expect("a node");
    let error = trial.driver.start(&second, &spec.name).await.expect_err("a conflict");
    assert_eq!((error.reason().id, error.reason().exit), ("GUEST_PORT_IN_USE", ExitCode::GUEST_CONFLICT));
    assert!(spec.published.iter().any(|port| Some(port.host_port) == error.taken_port()), "{:?}", error.taken_port());
    let named = |port: u16| error.to_string().contains(&port.to_string());
    assert!(spec.published.iter().any(|port| named(port.host_port)), "does not name the port: {error}");
    trial.driver.stop(&first, &holder.name).await.expect("stopped");
    trial.driver.start(&second, &spec.name).await.expect("the port is free");
}

/// A frozen node keeps its address and its ports; starting it thaws it.
pub async fn pause_may_be_repeated_and_start_thaws<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    let before = trial.driver.endpoints(&cluster, &spec.name).await.expect("endpoints");
    for _ in 0..2 {
        trial.driver.pause(&cluster, &spec.name).await.expect("frozen");
        let frozen = trial.status(&cluster, &spec.name).await.expect("the node");
        assert_eq!((frozen.state, frozen.address), (MachineState::Paused, Some(spec.address)));
    }
    for _ in 0..2 {
        trial.driver.start(&cluster, &spec.name).await.expect("thawed");
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Running));
    }
    assert_eq!(trial.driver.endpoints(&cluster, &spec.name).await.expect("endpoints"), before);
}

/// Stopping and deleting do not wait for what is frozen.
pub async fn frozen_node_can_be_stopped<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    trial.driver.pause(&cluster, &spec.name).await.expect("frozen");
    trial.driver.stop(&cluster, &spec.name).await.expect("stopped");
    assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Stopped));
    trial.driver.start(&cluster, &spec.name).await.expect("a running node");
    trial.driver.pause(&cluster, &spec.name).await.expect("frozen");
    trial.driver.delete(&cluster, &spec.name, false).await.expect("deleted");
    assert_eq!(trial.state(&cluster, &spec.name).await, None);
}

/// What is absent, never started or off cannot be frozen, and stays as it is.
pub async fn only_a_running_node_can_be_paused<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let error = trial.driver.pause(&cluster, &cluster.node(0)).await.expect_err("no node");
    assert_eq!(error.reason().exit, ExitCode::GUEST_NOT_FOUND);
    let spec = trial.node(&cluster, false).await;
    assert!(trial.driver.pause(&cluster, &spec.name).await.is_err());
    assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Created));
    trial.driver.start(&cluster, &spec.name).await.expect("a running node");
    trial.driver.stop(&cluster, &spec.name).await.expect("stopped");
    assert!(trial.driver.pause(&cluster, &spec.name).await.is_err());
    assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Stopped));
}

/// Stopping what is off, never started or absent changes nothing.
pub async fn stop_may_be_repeated<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    trial.driver.stop(&cluster, &cluster.node(0)).await.expect("nothing to stop");
    let spec = trial.node(&cluster, false).await;
    trial.driver.stop(&cluster, &spec.name).await.expect("nothing to stop");
    assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Created));
    trial.driver.start(&cluster, &spec.name).await.expect("a running node");
    for _ in 0..2 {
        trial.driver.stop(&cluster, &spec.name).await.expect("stopped");
        assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Stopped));
    }
}

/// Address, ports and role outlive a stop.
pub async fn stopped_node_comes_back_at_its_address<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    let before = trial.driver.endpoints(&cluster, &spec.name).await.expect("endpoints");
    trial.driver.stop(&cluster, &spec.name).await.expect("stopped");
    let stopped = trial.status(&cluster, &spec.name).await.expect("the node");
    assert_eq!((stopped.role, stopped.address), (spec.role, Some(spec.address)));
    trial.driver.start(&cluster, &spec.name).await.expect("a running node");
    assert_eq!(trial.driver.endpoints(&cluster, &spec.name).await.expect("endpoints"), before);
    let running = trial.status(&cluster, &spec.name).await.expect("the node");
    assert_eq!((running.state, running.address), (MachineState::Running, Some(spec.address)));
}

/// A control plane answers at two published ports, a worker at one.
pub async fn endpoints_are_where_the_ports_are_published<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    let endpoints = trial.driver.endpoints(&cluster, &spec.name).await.expect("endpoints");
    assert_eq!(endpoints.ssh.port(), spec.published[0].host_port);
    assert_eq!(endpoints.apiserver.map(|at| at.port()), Some(spec.published[1].host_port));

    let worker = NodeSpec {
        name: cluster.node(1),
        role: NodeRole::Worker,
        address: address(spec.network.subnet, 3),
        published: vec![published(Purpose::User, 80), published(Purpose::Ssh, 22)],
        ..spec
    };
    trial.driver.create(&worker, &Silent).await.expect("a worker");
    trial.driver.start(&cluster, &worker.name).await.expect("a running worker");
    let endpoints = trial.driver.endpoints(&cluster, &worker.name).await.expect("endpoints");
    assert_eq!((endpoints.ssh.port(), endpoints.apiserver), (worker.published[1].host_port, None));
}

/// A node that is absent or off answers nowhere.
pub async fn endpoints_need_a_running_node<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    assert!(trial.driver.endpoints(&cluster, &cluster.node(0)).await.is_err());
    let spec = trial.node(&cluster, false).await;
    assert!(trial.driver.endpoints(&cluster, &spec.name).await.is_err());
}

/// A node whose data was kept is still listed, with all that is needed to make it again.
pub async fn deleted_machine_with_kept_data_is_missing<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    trial.driver.delete(&cluster, &spec.name, true).await.expect("deleted");
    let status = trial.status(&cluster, &spec.name).await.expect("the node");
    assert_eq!((status.state, status.role), (MachineState::Missing, spec.role));
    assert_eq!((status.address, status.image), (Some(spec.address), None));
    assert_eq!(status.marks, spec.marks);
}

/// A node whose machine is gone is made again under its name and address.
pub async fn missing_node_can_be_created_again<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    trial.driver.delete(&cluster, &spec.name, true).await.expect("deleted");
    trial.driver.create(&spec, &Silent).await.expect("a node on the old data");
    trial.driver.start(&cluster, &spec.name).await.expect("a running node");
    assert_eq!(trial.state(&cluster, &spec.name).await, Some(MachineState::Running));
}

/// Deleting removes a running node, then what it stored, then nothing.
pub async fn delete_may_be_repeated<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    let spec = trial.node(&cluster, true).await;
    trial.driver.delete(&cluster, &spec.name, true).await.expect("machine deleted");
    for _ in 0..2 {
        trial.driver.delete(&cluster, &spec.name, false).await.expect("all deleted");
        assert_eq!(trial.state(&cluster, &spec.name).await, None);
    }
}

/// A cluster's list holds its own nodes, the list of all holds everybody's, both ordered by name.
pub async fn list_tells_clusters_apart<D: NodeImages>(trial: &Trial<D>) {
    let (first, second) = (trial.cluster(), trial.cluster());
    let spec = trial.spec(&first).await;
    for index in [1, 0] {
        let node =
            NodeSpec { name: first.node(index), address: address(spec.network.subnet, 2 + index), ..spec.clone() };
        trial.driver.create(&node, &Silent).await.expect("a node");
    }
    trial.node(&second, false).await;

    let names = |nodes: Vec<crate::NodeStatus>| nodes.into_iter().map(|node| node.name).collect::<Vec<_>>();
    let own = names(trial.driver.list(Some(&first)).await.expect("nodes"));
    assert_eq!(own, [first.node(0), first.node(1)]);
    let all = names(trial.driver.list(None).await.expect("nodes"));
    assert!(all.is_sorted(), "{all:?}");
    assert!([first.node(0), first.node(1), second.node(0)].iter().all(|name| all.contains(name)), "{all:?}");
}

/// Whatever state a node is in, something is known about it; nothing is known about an absent one.
pub async fn logs_can_be_collected_in_any_state<D: NodeImages>(trial: &Trial<D>) {
    let cluster = trial.cluster();
    assert!(trial.driver.collect_logs(&cluster, &cluster.node(0), &trial.folder).await.is_err());
    let spec = trial.node(&cluster, false).await;
    for step in 0..3 {
        let files = trial.driver.collect_logs(&cluster, &spec.name, &trial.folder).await.expect("logs");
        let written = files.iter().map(|file| fs::metadata(file).expect("the file").len()).sum::<u64>();
        assert!(written > 0, "{files:?}");
        assert!(files.iter().all(|file| file.starts_with(&trial.folder)), "{files:?}");
        match step {
            0 => trial.driver.start(&cluster, &spec.name).await.expect("a running node"),
            _ => trial.driver.stop(&cluster, &spec.name).await.expect("stopped"),
        }
    }
}
