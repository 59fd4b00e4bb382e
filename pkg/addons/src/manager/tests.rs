//! The manager against an API in memory that can fail, and can be cut off after any number of changes.

mod fake;

use std::time::Duration;

use serde_json::json;
use skiff_kubeapi::{Manifest, ObjectRef};

use self::fake::{FakeApi, object};
use super::Manager;
use crate::{AddonError, Inventory, Rendered, Verdict};

const PATIENCE: Duration = Duration::from_secs(5);

/// An addon with ConfigMaps of these names, which works if a deployment of its name does.
fn addon(name: &str, objects: &[&str]) -> Rendered {
    let objects: Vec<Manifest> = objects.iter().map(|it| object(it, name, json!({ "is": "new" }))).collect();
    let ready = vec![skiff_kubeapi::Condition::Deployment { namespace: "x".to_owned(), name: name.to_owned() }];
    let digest = format!("{objects:?}").len().to_string();
    Rendered { name: name.to_owned(), objects, ready, digest }
}

async fn inventory(api: &FakeApi, name: &str) -> Option<Inventory> {
    Manager::new(api, PATIENCE).inventories().await.unwrap().into_iter().find(|it| it.addon == name)
}

async fn enable(api: &FakeApi, rendered: &Rendered) -> Result<(), AddonError> {
    let before = inventory(api, &rendered.name).await;
    Manager::new(api, PATIENCE).enable(rendered, before.as_ref(), false).await
}

async fn disable(api: &FakeApi, name: &str) -> bool {
    let before = inventory(api, name).await;
    Manager::new(api, PATIENCE).disable(name, before.as_ref()).await.unwrap()
}

#[tokio::test]
async fn enable_and_disable_leave_nothing_behind() {
    let api = FakeApi::default();
    api.put(&object("users-own", "", json!({})));
    let before = api.names();
    for _ in 0..20 {
        enable(&api, &addon("a", &["one", "two"])).await.unwrap();
        assert_eq!(api.names().len(), before.len() + 3);
        assert!(inventory(&api, "a").await.unwrap().settled);
        assert!(disable(&api, "a").await);
    }
    assert_eq!(api.names(), before);
    assert!(!disable(&api, "a").await);
}

#[tokio::test]
async fn a_newer_version_takes_away_what_it_has_no_more() {
    let api = FakeApi::default();
    enable(&api, &addon("a", &["one", "two"])).await.unwrap();
    enable(&api, &addon("a", &["two", "three"])).await.unwrap();
    assert_eq!(api.names(), ["skiff-addon-a", "three", "two"]);
}

#[tokio::test]
async fn wherever_it_is_cut_off_the_next_call_ends_well() {
    for old in [None, Some(addon("a", &["one", "two"]))] {
        for changes in 0..8 {
            let api = FakeApi::default();
            if let Some(old) = &old {
                enable(&api, old).await.unwrap();
            }
            let new = addon("a", &["two", "three", "four"]);
            let before = inventory(&api, "a").await;
            api.cut_off_after(changes);
            let manager = Manager::new(&api, PATIENCE);
            let _ = manager.enable(&new, before.as_ref(), false).await;
            api.go_on();
            // All that is there is on the list.
            let there = inventory(&api, "a").await.map(|it| it.objects).unwrap_or_default();
            let listed = |name: &String| name == "skiff-addon-a" || there.iter().any(|object| object.name == *name);
            assert!(api.names().iter().all(listed), "{changes}: {:?}", api.names());

            let other = FakeApi::copy(&api);
            enable(&api, &new).await.unwrap();
            assert_eq!(api.names(), ["four", "skiff-addon-a", "three", "two"], "{changes}");
            let _ = disable(&other, "a").await;
            assert_eq!(other.names(), [""; 0], "{changes}");
        }
    }
}

#[tokio::test]
async fn what_does_not_come_to_life_is_undone() {
    let api = FakeApi::default();
    api.breaks("a");
    let error = enable(&api, &addon("a", &["one"])).await.unwrap_err();
    assert!(matches!(error, AddonError::NotWorking { undone: true, .. }), "{error}");
    assert_eq!(api.names(), [""; 0]);

    let api = FakeApi::default();
    let old = addon("a", &["one", "two"]);
    enable(&api, &old).await.unwrap();
    let before = (api.names(), inventory(&api, "a").await);
    api.breaks("a");
    let mut new = addon("a", &["two", "three"]);
    new.objects[0].body_mut()["data"] = json!({ "is": "newer" });
    let error = enable(&api, &new).await.unwrap_err();
    assert!(matches!(error, AddonError::NotWorking { undone: true, .. }), "{error}");
    assert_eq!((api.names(), inventory(&api, "a").await), before);
    assert_eq!(api.body("two")["data"], json!({ "is": "new" }));
}

#[tokio::test]
async fn all_are_enabled_or_none() {
    let api = FakeApi::default();
    enable(&api, &addon("there", &["old"])).await.unwrap();
    let before = api.names();
    api.breaks("b");
    let (there, base, works, broken) =
        (addon("there", &["old"]), addon("base", &["zero"]), addon("a", &["one"]), addon("b", &["two"]));
    let groups = [vec![&there, &base], vec![&works, &broken]];
    // Whose patience is over by then is told the cause all the same.
    let manager = Manager::new(&api, Duration::ZERO);
    let inventories = [inventory(&api, "there").await.unwrap()];
    match manager.enable_all(&groups, &inventories, false).await.unwrap_err() {
        AddonError::NotWorking { addon, undone: true, .. } => assert_eq!(addon, "b"),
        other => panic!("{other}"),
    }
    assert_eq!(api.names(), before);
    api.works("b");
    Manager::new(&api, PATIENCE).enable_all(&groups, &inventories, false).await.unwrap();
    assert!(["zero", "one", "two", "old"].iter().all(|name| api.names().contains(&(*name).to_owned())));
}

#[tokio::test]
async fn others_objects_are_not_touched_unless_forced() {
    let api = FakeApi::default();
    api.put(&object("one", "", json!({ "is": "mine" })));
    api.put(&object("two", "b", json!({ "is": "of another addon" })));
    let wanted = addon("a", &["one", "two", "three"]);
    let before = api.names();
    match enable(&api, &wanted).await.unwrap_err() {
        AddonError::Taken { objects, .. } => assert_eq!(objects.len(), 2),
        other => panic!("{other}"),
    }
    assert_eq!(api.names(), before);
    Manager::new(&api, PATIENCE).enable(&wanted, None, true).await.unwrap();
    assert_eq!(api.body("one")["data"], json!({ "is": "new" }));
}

#[tokio::test]
async fn others_fields_are_named_before_anything_changes() {
    let api = FakeApi::default();
    enable(&api, &addon("a", &["one", "two"])).await.unwrap();
    for name in ["one", "two"] {
        api.owned_by(name, "kubectl-edit");
    }
    let before = api.names();
    match enable(&api, &addon("a", &["one", "two", "three"])).await.unwrap_err() {
        AddonError::Refused { refusals, .. } => assert_eq!(refusals.len(), 2),
        other => panic!("{other}"),
    }
    assert_eq!(api.names(), before);
}

#[tokio::test]
async fn a_start_brings_all_and_finishes_what_was_cut_off() {
    let api = FakeApi::default();
    enable(&api, &addon("gone", &["old"])).await.unwrap();
    enable(&api, &addon("a", &["one", "two"])).await.unwrap();
    api.remove("one");
    api.owned_by("two", "kubectl-edit");
    let manager = Manager::new(&api, PATIENCE);
    let left = manager.reapply(&[vec![addon("a", &["one", "two"])], vec![addon("b", &["three"])]], &[]).await.unwrap();
    assert_eq!(api.names(), ["one", "skiff-addon-a", "skiff-addon-b", "three", "two"]);
    assert_eq!((left.len(), left[0].held.object.name.as_str()), (1, "two"));
}

#[tokio::test]
async fn a_first_start_writes_what_later_ones_find() {
    let api = FakeApi::default();
    let wanted = addon("a", &["one"]);
    wanted.first().iter().for_each(|object| api.put(object));
    let found = inventory(&api, "a").await.unwrap();
    assert!(found.settled && found.objects == wanted.list());
    let changes = api.changes();
    let _ = Manager::new(&api, PATIENCE).reapply(&[vec![wanted]], &[]).await.unwrap();
    assert_eq!(api.changes(), changes + 1, "an unchanged addon is applied and nothing else");
}

#[tokio::test]
async fn verdicts_follow_the_cluster() {
    let api = FakeApi::default();
    let wanted = addon("a", &["one"]);
    let manager = Manager::new(&api, PATIENCE);
    assert!(matches!(manager.verdict(&wanted).await.unwrap(), Verdict::Absent));
    enable(&api, &wanted).await.unwrap();
    assert!(matches!(manager.verdict(&wanted).await.unwrap(), Verdict::Working));
    api.breaks("a");
    assert!(matches!(manager.verdict(&wanted).await.unwrap(), Verdict::Broken(_)));
    api.put(&Inventory::on_the_way(&wanted, None).to_manifest());
    assert!(matches!(manager.verdict(&wanted).await.unwrap(), Verdict::Unsettled));
}

#[tokio::test]
async fn what_was_applied_before_there_were_inventories_is_recognised() {
    let api = FakeApi::default();
    let wanted = addon("a", &["skiff-one", "users"]);
    let manager = Manager::new(&api, PATIENCE);
    assert_eq!(manager.recognise(&wanted).await.unwrap(), None);
    api.put(&object("skiff-one", "", json!({})));
    api.put(&object("users", "", json!({})));
    let found = manager.recognise(&wanted).await.unwrap().unwrap();
    assert_eq!(found.objects.iter().map(|it: &ObjectRef| it.name.as_str()).collect::<Vec<_>>(), ["skiff-one"]);
}
