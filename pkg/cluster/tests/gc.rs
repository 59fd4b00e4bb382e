//! Gc over fakes: what goes, what stays, and why.

#[expect(dead_code, reason = "the world has more than these tests look at")]
mod world;

use std::time::{Duration, SystemTime};

use skiff_cluster::{GcReport, gc, start};
use skiff_driver::Driver as _;

use world::{World, name, request};

fn hours(count: u64) -> SystemTime {
    SystemTime::now() + Duration::from_hours(count)
}

async fn with_ttl(ttl: Option<u64>) -> World {
    let world = World::new();
    let mut request = request();
    request.options.ttl = ttl.map(Duration::from_hours);
    start(&world.host, &world.images, request).await.unwrap();
    world
}

fn names(report: &GcReport) -> (Vec<String>, Vec<String>) {
    let list = |garbage: &[skiff_cluster::Garbage]| garbage.iter().map(|one| one.cluster.to_string()).collect();
    assert!(report.failed.is_empty(), "{report:?}");
    (list(&report.removed), list(&report.kept))
}

async fn is_there(world: &World) -> bool {
    !world.host.driver.list(None).await.unwrap().is_empty()
}

#[tokio::test]
async fn a_cluster_goes_when_its_time_is_up_and_not_before() {
    let world = with_ttl(Some(1)).await;
    assert_eq!(names(&gc(&world.host, hours(0), false).await.unwrap()), (vec![], vec![]));
    assert_eq!(names(&gc(&world.host, hours(2), true).await.unwrap()), (vec!["dev".to_owned()], vec![]));
    assert!(is_there(&world).await, "a dry run removes nothing");
    assert_eq!(names(&gc(&world.host, hours(2), false).await.unwrap()), (vec!["dev".to_owned()], vec![]));
    assert!(!is_there(&world).await && world.host.store.load(&name()).unwrap().is_none());
    assert!(!world.kubeconfig().contains("dev"));
}

#[tokio::test]
async fn a_cluster_without_a_lease_stays_for_good() {
    let world = with_ttl(None).await;
    assert_eq!(names(&gc(&world.host, hours(1_000_000), false).await.unwrap()), (vec![], vec![]));
    assert!(is_there(&world).await);
}

#[tokio::test]
async fn machines_without_a_profile_go_only_with_proof() {
    for (ttl, gone) in [(Some(1), true), (None, false)] {
        let world = with_ttl(ttl).await;
        world.host.store.remove(&name()).unwrap();
        let (removed, kept) = names(&gc(&world.host, hours(2), false).await.unwrap());
        assert_eq!((removed.len(), kept.len()), if gone { (1, 0) } else { (0, 1) });
        assert_eq!(is_there(&world).await, !gone);
    }
}

#[tokio::test]
async fn a_network_that_is_all_that_is_left_goes_only_with_proof() {
    for (ttl, gone) in [(Some(1), true), (None, false)] {
        let world = with_ttl(ttl).await;
        // Killed after the network was made, and before anything else; its home is gone, too.
        world.host.driver.delete(&name(), &name().node(0), false).await.unwrap();
        world.host.store.remove(&name()).unwrap();
        assert!(!is_there(&world).await);
        assert_eq!(names(&gc(&world.host, hours(0), false).await.unwrap()).0, Vec::<String>::new());
        let (removed, kept) = names(&gc(&world.host, hours(2), false).await.unwrap());
        assert_eq!((removed.len(), kept.len()), if gone { (1, 0) } else { (0, 1) });
        assert_eq!(world.host.driver.networks().await.unwrap().is_empty(), gone);
    }
}

#[tokio::test]
async fn whoever_works_on_a_cluster_keeps_it() {
    let world = with_ttl(Some(1)).await;
    let _lock = world.host.store.lock(&name(), "skiff start", |_| {}).await.unwrap();
    assert_eq!(names(&gc(&world.host, hours(2), false).await.unwrap()), (vec![], vec!["dev".to_owned()]));
    assert!(is_there(&world).await);
}

#[tokio::test]
async fn a_making_that_was_cut_off_goes_after_a_while() {
    let world = World::new();
    world.host.driver.fail_next("endpoints");
    let mut kept = request();
    kept.options.keep = true;
    assert!(start(&world.host, &world.images, kept).await.is_err());
    assert_eq!(names(&gc(&world.host, hours(0), false).await.unwrap()), (vec![], vec![]));
    assert_eq!(names(&gc(&world.host, hours(2), false).await.unwrap()), (vec!["dev".to_owned()], vec![]));
    assert!(!is_there(&world).await);
}
