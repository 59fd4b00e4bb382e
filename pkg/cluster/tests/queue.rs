//! Many starts at once, over fakes: a queue, and nothing given twice.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use std::{collections::BTreeSet, time::Duration};

use skiff_cluster::{StartRequest, start, stop};
use skiff_report::Event;

use world::{World, name, request};

/// What the fake driver says its host has.
const PROCESSORS: u32 = 8;

fn waits(world: &World) -> bool {
    world.events().iter().any(|event| matches!(event, Event::Info(text) if text.contains("Waiting in the queue")))
}

#[tokio::test]
async fn a_start_waits_for_a_place_and_says_so() {
    let world = World::new();
    let mut places = Vec::new();
    for _ in 0..PROCESSORS {
        places.push(world.host.store.place(PROCESSORS, "another start", |_| {}).await.unwrap());
    }
    let starting = start(&world.host, &world.images, request());
    tokio::pin!(starting);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut starting).await;
    assert!(early.is_err() && waits(&world), "it does not wait, or not aloud");
    places.pop();
    starting.await.unwrap();
    // Whoever is done gives the place back.
    let _again = world.host.store.place(PROCESSORS, "another start", |_| {}).await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_runs_needs_no_place() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    let mut places = Vec::new();
    for _ in 0..PROCESSORS {
        places.push(world.host.store.place(PROCESSORS, "another start", |_| {}).await.unwrap());
    }
    start(&world.host, &world.images, request()).await.unwrap();
    stop(&world.host, &name(), false).await.unwrap();
    assert!(!waits(&world));
}

#[tokio::test]
async fn starts_at_the_same_time_get_ports_of_their_own() {
    let world = World::new();
    let of = |name: &str| StartRequest { name: name.parse().unwrap(), ..request() };
    let (one, two, three) = tokio::join!(
        start(&world.host, &world.images, of("one")),
        start(&world.host, &world.images, of("two")),
        start(&world.host, &world.images, of("three")),
    );
    for report in [one, two, three] {
        report.unwrap();
    }
    let files = world.host.store.list().unwrap();
    let nodes: Vec<_> = files.into_iter().flat_map(|entry| entry.cluster.unwrap().status.nodes).collect();
    let ports: BTreeSet<u16> =
        nodes.iter().flat_map(|node| [Some(node.ssh_port), node.apiserver_port]).flatten().collect();
    assert_eq!((nodes.len(), ports.len()), (3, 6));
}
