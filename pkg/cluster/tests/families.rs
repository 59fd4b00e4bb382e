//! Clusters that speak IPv4 and IPv6, against fakes.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use skiff_cluster::{ClusterError, Outcome, StartRequest, preview, start};
use skiff_config::ClusterSpec;
use skiff_driver::{Capabilities, Driver as _, DriverKind, FakeDriver};
use skiff_report::{Diagnose as _, Event, ExitCode};

use world::{World, name, request};

fn dual() -> StartRequest {
    let mut request = request();
    request.given.ip_family = Some("dual".to_owned());
    request
}

fn spec(world: &World) -> ClusterSpec {
    world.host.store.load(&name()).unwrap().unwrap().to_spec().unwrap()
}

/// A world whose driver's nodes have IPv4 only.
async fn without_ipv6(kind: DriverKind, shares_host_kernel: bool) -> World {
    let mut world = World::new();
    let can = world.host.driver.check().await.unwrap();
    world.host.driver = FakeDriver::new(kind, Capabilities { shares_host_kernel, ipv6: false, ..can });
    world
}

#[tokio::test]
async fn what_has_no_ipv6_says_so_before_anything_is_made() {
    for (kind, shares, id, exit, way_out) in [
        (DriverKind::Docker, true, "HOST_NO_IPV6", ExitCode::HOST_CONFIG, "ipv6.disable=1"),
        (DriverKind::Qemu, false, "DRV_NO_IPV6", ExitCode::DRIVER_UNSUPPORTED, "--driver docker"),
    ] {
        let world = without_ipv6(kind, shares).await;
        let refused = start(&world.host, &world.images, dual()).await.unwrap_err();
        assert_eq!((refused.reason().id, refused.reason().exit), (id, exit));
        let ClusterError::Settings { problems } = &refused else { panic!("{refused}") };
        assert!(problems[0].to_string().starts_with("--ip-family: ") && problems[0].message.contains(way_out));
        assert!(world.host.store.load(&name()).unwrap().is_none());
        assert_eq!(world.host.driver.calls(), ["check"]);
        let seen = preview(&world.host.store, &world.host.catalog, dual()).unwrap();
        assert!(seen.fits(&world.host.driver.check().await.unwrap()).is_err(), "--dry-run tells it too");
        start(&world.host, &world.images, request()).await.unwrap();
    }
}

#[tokio::test]
async fn both_families_are_asked_of_the_network_and_of_no_other_cluster() {
    let world = World::new();
    start(&world.host, &world.images, dual()).await.unwrap();
    let made = world.host.driver.spec(&name().node(0)).unwrap();
    assert!(made.network.ipv6);
    assert_eq!(start(&world.host, &world.images, request()).await.unwrap().outcome, Outcome::Unchanged);
    assert!(spec(&world).ipv6.is_some(), "it stays what it was made as");

    let plain = World::new();
    start(&plain.host, &plain.images, request()).await.unwrap();
    assert!(!plain.host.driver.spec(&name().node(0)).unwrap().network.ipv6);
}

#[tokio::test]
async fn a_cluster_keeps_the_families_that_it_was_made_with() {
    let world = World::new();
    start(&world.host, &world.images, request()).await.unwrap();
    assert_eq!(start(&world.host, &world.images, dual()).await.unwrap().outcome, Outcome::Unchanged);
    assert!(spec(&world).ipv6.is_none());
    let warned = world.events().iter().any(|event| {
        matches!(event, Event::Warning(message)
        if message.contains("--ip-family dual is left out: the cluster was made with ipv4; `skiff delete -p dev`"))
    });
    assert!(warned, "{:?}", world.events());
}
