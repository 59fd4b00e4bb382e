use std::collections::BTreeSet;

use skiff_config::{KubeVersion, versions};

use super::*;
use crate::{entry::Kind, in_order, render::tests::context};

/// Text that means something to YAML, to be taken as it is.
const NASTY: &str = "a\"b\\c: #{}'[&*!%@`,";

fn catalog() -> Catalog {
    Catalog::built_in().unwrap_or_else(|error| panic!("{error}"))
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    match Catalog::from_files("x", files.iter().copied()) {
        Err(AddonError::Entries { problems }) => problems,
        other => panic!("{other:?}"),
    }
}

const GOOD: &str = "apiVersion: skiff.dev/v1alpha1\nkind: Addon\nmetadata: {name: a}\nspec:\n  description: A\n  \
                    maintainer: me\n  docs: a.md\n  kubernetes: '>=1.20'\n  manifests: [a.yaml]\n";

#[test]
fn every_entry_follows_the_format() {
    let catalog = catalog();
    let names: Vec<&str> = catalog.addons().map(|addon| addon.name.as_str()).collect();
    assert!(names.contains(&"storage-provisioner") && names.contains(&"default-storageclass"), "{names:?}");
    for addon in catalog.addons() {
        for other in addon.requires.iter().chain(&addon.after) {
            assert!(names.contains(&other.as_str()), "{} speaks of {other}, which there is not", addon.name);
        }
        assert!(!catalog.requirements(addon).contains(&addon.name), "{} requires itself", addon.name);
        assert!(!addon.ready.is_empty() || addon.name == "default-storageclass", "{} has no proof", addon.name);
    }
    assert_eq!(catalog.addons().count(), in_order(&catalog.addons().collect::<Vec<_>>()).concat().len());
}

#[test]
fn every_entry_renders_into_objects_of_its_own() {
    for version in [versions::OLDEST, KubeVersion::new(1, versions::NEWEST_MINOR, 0)] {
        let mut seen = BTreeSet::new();
        for addon in catalog().addons() {
            let context = crate::Context { kubernetes: version.clone(), ..context() };
            let mut wishes = vec![AddonWish::default()];
            // Everything that is off by default, on.
            let switch = |value: &crate::Value| value.kind == Kind::Bool;
            let on = addon.values.iter().filter(|value| switch(value)).map(|it| (it.name.clone(), "true".to_owned()));
            wishes.push(AddonWish { values: on.collect(), ..AddonWish::default() });
            for wish in &wishes {
                let rendered = addon.render(wish, &context).unwrap_or_else(|error| panic!("{error}"));
                assert!(!rendered.objects.is_empty(), "{} has no objects", addon.name);
                let images = addon.images.iter().filter_map(|image| addon.image(&image.name, wish, &context.agent));
                let images: Vec<String> = images.collect();
                assert!(rendered.is_probed(), "{}: a container has no readiness probe", addon.name);
                for object in &rendered.objects {
                    check_object(&addon.name, object.body(), &images);
                }
            }
            for object in addon.render(&wishes[0], &context).unwrap().list() {
                assert!(seen.insert(object.to_string()), "{object} belongs to two addons");
            }
        }
    }
}

/// Names that others look for, whoever brings the object.
const WELL_KNOWN: [&str; 5] = [
    "StorageClass standard",
    "IngressClass skiff",
    "GatewayClass skiff",
    "Service registry",
    "APIService v1beta1.metrics.k8s.io",
];

fn check_object(addon: &str, object: &serde_json::Value, images: &[String]) {
    let text = object.to_string();
    assert!(!text.contains("{{"), "{addon}: {text}");
    let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
    let own = ["skiff-", "skiff:"].iter().find_map(|prefix| name.strip_prefix(prefix)?.strip_prefix(addon));
    let own = own.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    // A kind is called what it is.
    let own = own || kind == "CustomResourceDefinition";
    assert!(own || WELL_KNOWN.contains(&&*format!("{kind} {name}")), "{addon} should not call a {kind} {name}");
    let namespace = object["metadata"]["namespace"].as_str();
    assert!(namespace.is_none_or(|namespace| namespace == "kube-system"), "{addon}: {kind} {name} in {namespace:?}");
    let pod = &object["spec"]["template"]["spec"];
    for container in pod["containers"].as_array().into_iter().flatten() {
        assert_eq!(container["imagePullPolicy"], "IfNotPresent", "{addon}: {container}");
        let image = container["image"].as_str().unwrap();
        assert!(images.iter().any(|own| own == image), "{addon} does not list {image}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{addon}: no limit of memory");
        for port in container["ports"].as_array().into_iter().flatten() {
            assert!(port["protocol"].is_string(), "{addon}: {port}");
        }
    }
    if kind == "Service" {
        for port in object["spec"]["ports"].as_array().into_iter().flatten() {
            assert!(port["protocol"].is_string(), "{addon}: {port}");
        }
    }
}

#[test]
fn every_entry_leads_to_its_docs() {
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for addon in catalog().addons() {
        assert!(repository.join(&addon.docs).is_file(), "{}: {}", addon.name, addon.docs);
    }
}

/// `enable` ends with what works on a laptop without a network.
#[test]
fn nothing_built_in_is_pulled() {
    for addon in catalog().addons() {
        assert!(addon.images.iter().all(|image| image.preloaded), "{}", addon.name);
    }
}

#[test]
fn texts_reach_the_objects_as_they_are() {
    for addon in catalog().addons() {
        for value in addon.values.iter().filter(|value| value.kind == Kind::Text) {
            let values = [(value.name.clone(), NASTY.to_owned())].into();
            let rendered = addon.render(&AddonWish { values, ..AddonWish::default() }, &context());
            let rendered = rendered.unwrap_or_else(|error| panic!("{} of {}: {error}", value.name, addon.name));
            let json = serde_json::to_string(NASTY).unwrap();
            let there = |object: &skiff_kubeapi::Manifest| object.body().to_string().contains(json.trim_matches('"'));
            assert!(rendered.objects.iter().any(there), "{} of {} is lost", value.name, addon.name);
        }
    }
}

/// What an addon brings is part of what it is: a change shows in the diff.
#[test]
fn storage_renders_as_before() {
    for name in ["storage-provisioner", "default-storageclass"] {
        let rendered = catalog().find(name).unwrap().render(&AddonWish::default(), &context()).unwrap();
        let objects: Vec<_> = rendered.objects.iter().map(|object| object.body().clone()).collect();
        insta::assert_snapshot!(name, serde_json::to_string_pretty(&objects).unwrap());
    }
}

#[test]
fn retired_names_say_what_to_use() {
    let catalog = catalog();
    for (name, retired) in &catalog.retired {
        assert!(!catalog.addons.contains_key(name), "{name} is both");
        assert!(!retired.reason.ends_with('.') && retired.instead.ends_with('.'), "{name}");
        for word in retired.instead.split('`').skip(1).step_by(2).filter(|it| it.starts_with("skiff addons enable")) {
            for addon in word.split(' ').skip(3) {
                assert!(
                    ["registry", "load-balancer", "ingress", "metrics-server"].contains(&addon)
                        || catalog.addons.contains_key(addon),
                    "{name}: {addon}"
                );
            }
        }
    }
    let error = catalog.find("ingress-nginx").unwrap_err();
    assert!(matches!(&error, AddonError::Retired { .. }) && error.to_string().contains("retired"), "{error}");
    assert!(matches!(catalog.find("dashboard"), Err(AddonError::Retired { .. })));
}

#[test]
fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
    for (word, meant) in [("storage-provisoner", "storage-provisioner"), ("storageclass", "default-storageclass")] {
        match catalog().find(word).unwrap_err() {
            AddonError::Unknown { near, .. } => assert_eq!(near[0], meant),
            other => panic!("{other}"),
        }
    }
    assert!(matches!(catalog().find("xyzzy"), Err(AddonError::Unknown { near, .. }) if near.is_empty()));
}

#[test]
fn all_that_is_wrong_with_an_entry_is_told_at_once() {
    let text = "apiVersion: skiff.dev/v2\nkind: Addon\nmetadata: {name: b}\nspec:\n  description: A.\n  maintainer: me\n  \
                docs: a.md\n  kubernetes: soon\n  images:\n    - {name: x, image: 'x.test/a:1'}\n    - {name: y}\n    \
                - {name: w, image: 'x.test/a:1', preloaded: true}\n  \
                values:\n    - {name: port, type: port, default: 0, description: P}\n    - {name: z, type: wish, \
                description: Z}\n  manifests: [gone.yaml, a.yaml]\n  ready: [{deployment: nowhere}, {moon: full}]\n";
    let problems = problems(&[("a/addon.yaml", text), ("a/a.yaml", "x: {{nothing}}\n"), ("a/spare.yaml", "")]);
    insta::assert_snapshot!(problems.join("\n"));
}

#[test]
fn a_broken_entry_is_told_with_its_line() {
    let told = problems(&[("a/addon.yaml", &GOOD.replace("maintainer", "maintaner")), ("a/a.yaml", "")]);
    assert!(told[0].starts_with("x/a/addon.yaml, line "), "{told:?}");
    let told = problems(&[("a/addon.yaml", &GOOD.replace("spec:", "spec: [")), ("a/a.yaml", "")]);
    assert!(told[0].starts_with("x/a/addon.yaml, line "), "{told:?}");
    assert_eq!(problems(&[("a/a.yaml", "")]), ["x/a/addon.yaml is missing"]);
}

#[test]
fn requirements_bring_theirs_and_come_first() {
    let entry = |name: &str, more: &str| GOOD.replace("name: a", &format!("name: {name}")) + more;
    let (a, b, c) = (entry("a", "  requires: [b]\n"), entry("b", "  requires: [c]\n"), entry("c", ""));
    let files = [("a/addon.yaml", &*a), ("a/a.yaml", ""), ("b/addon.yaml", &b), ("b/a.yaml", ""), ("c/addon.yaml", &c)];
    let catalog = Catalog::from_files("x", files.into_iter().chain([("c/a.yaml", "")])).unwrap();
    let first = catalog.find("a").unwrap();
    assert_eq!(catalog.requirements(first), ["c", "b"]);
    let all: Vec<_> = catalog.addons().collect();
    let order: Vec<Vec<&str>> =
        in_order(&all).iter().map(|group| group.iter().map(|addon| addon.name.as_str()).collect()).collect();
    assert_eq!(order, [["c"], ["b"], ["a"]]);
}
