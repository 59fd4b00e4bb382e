use super::*;

fn read(text: &str) -> Manifest {
    Manifest::from_yaml(text).unwrap_or_else(|error| panic!("{error:?}"))
}

fn faults(text: &str) -> Vec<(usize, String)> {
    match Manifest::from_yaml(text) {
        Err(ManifestError::Faults { faults }) => faults.into_iter().map(|fault| (fault.line, fault.message)).collect(),
        other => panic!("{other:?}"),
    }
}

const HEAD: &str = "apiVersion: skiff.dev/v1alpha1\nkind: Cluster\nmetadata:\n  name: dev\n";
const KIND: &str = "apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\n";

#[test]
fn plain_values_are_taken_as_people_write_them() {
    let manifest = read(&format!(
        "{HEAD}spec:\n  cpus: 1.5\n  memory: 3g\n  nodes: 3\n  ha: true\n  apiserverPort: 6443\n  ports: [\"80:80\"]\n  addons: [ingress]\n"
    ));
    let spec = manifest.spec;
    assert_eq!(manifest.name.unwrap().as_str(), "dev");
    assert_eq!(
        (spec.cpus.as_deref(), spec.nodes.as_deref(), spec.ha.as_deref()),
        (Some("1.5"), Some("3"), Some("true"))
    );
    assert_eq!((spec.apiserver_port.as_deref(), spec.memory.as_deref()), (Some("6443"), Some("3g")));
    assert_eq!(manifest.addons.unwrap(), ["ingress"]);
}

#[test]
fn a_version_without_quotes_is_not_guessed_at() {
    let error = Manifest::from_yaml(&format!("{HEAD}spec:\n  kubernetesVersion: 1.20\n")).unwrap_err();
    let told = skiff_report::chain(&error);
    assert!(told.contains("in quotes") && told.contains("line 6"), "{told}");
    assert_eq!(
        read(&format!("{HEAD}spec:\n  kubernetesVersion: v1.20.2\n")).spec.kubernetes_version.unwrap(),
        "v1.20.2"
    );
}

#[test]
fn unknown_keys_are_named_with_their_line() {
    for (text, line) in [
        (format!("{HEAD}spec:\n  memry: 3g\n"), "line 6"),
        (format!("{HEAD}spc: {{}}\n"), "line 5"),
        (format!("{KIND}nodes:\n- roll: worker\n"), "line 4"),
    ] {
        let told = skiff_report::chain(&Manifest::from_yaml(&text).unwrap_err());
        assert!(told.contains("unknown field") && told.contains(line), "{told}");
    }
}

#[test]
fn all_bad_values_are_told_at_once_with_their_lines() {
    let told = faults(&format!("{HEAD}spec:\n  cpus: some\n  memory: lots\n  subnet: 10.0.0.1/8\n"));
    let lines: Vec<usize> = told.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [6, 7, 8], "{told:?}");
    assert!(told[1].1.starts_with("memory: "), "{told:?}");
}

#[test]
fn files_of_others_are_refused() {
    let error = Manifest::from_yaml("apiVersion: v1\nkind: Pod\n").unwrap_err();
    assert!(matches!(error, ManifestError::Stranger { .. }));
    assert!(matches!(Manifest::from_yaml("a: [").unwrap_err(), ManifestError::Syntax(_)));
    assert!(Manifest::from_yaml("").is_err());
}

#[test]
fn what_is_printed_can_be_applied_again() {
    let spec = SpecFile {
        memory: Some("4g".into()),
        ports: Some(vec!["8080:80".into()]),
        nodes: Some("2".into()),
        ..SpecFile::default()
    };
    let file = ClusterFile::new("dev".parse().unwrap(), spec.clone());
    let printed = Manifest::to_yaml(&file).unwrap();
    assert!(!printed.contains("status"), "{printed}");
    let manifest = read(&printed);
    assert_eq!((manifest.name.unwrap().as_str(), manifest.spec), ("dev", spec));
}

#[test]
fn the_manifest_has_every_setting_of_a_cluster() {
    let keys = |value: serde_yaml::Value| match value {
        serde_yaml::Value::Mapping(map) => {
            map.keys().filter_map(|key| key.as_str().map(str::to_owned)).collect::<std::collections::BTreeSet<_>>()
        }
        _ => panic!("no mapping"),
    };
    let own = keys(serde_yaml::to_value(OwnSpec::default()).unwrap());
    // Every field of the stored form, present: texts, and lists of texts, are read from what does for both.
    let texts: String = own.iter().map(|key| format!("{key}: x\n")).collect();
    let lists: String = own.iter().map(|key| format!("{key}: [x]\n")).collect();
    for key in &own {
        let as_text = serde_yaml::from_str::<SpecFile>(&format!("{key}: x\n")).is_ok();
        let as_list = serde_yaml::from_str::<SpecFile>(&format!("{key}: [x]\n")).is_ok();
        assert!(as_text || as_list, "{key} is no setting: {texts}{lists}");
    }
    let unknown = serde_yaml::from_str::<SpecFile>("nothing: x\n").unwrap_err().to_string();
    let expected = unknown.matches('`').count() / 2 - 1;
    assert_eq!(own.len(), expected, "the stored form has others: {unknown}");
}

#[test]
fn a_file_of_kinds_becomes_a_cluster() {
    let manifest = read(&format!(
        "{KIND}name: dev\nnodes:\n- role: control-plane\n  image: kindest/node:v1.20.2@sha256:abc\n  labels: {{zone: a}}\n  \
         extraPortMappings:\n  - containerPort: 80\n    hostPort: 8080\n    listenAddress: \"0.0.0.0\"\n  - containerPort: 53\n    hostPort: 5353\n    protocol: UDP\n\
         - role: worker\n  labels: {{zone: a, disk: fast}}\n  extraMounts:\n  - hostPath: /src\n    containerPath: /data\n    \
         readOnly: true\n    selinuxRelabel: true\n  extraPortMappings:\n  - containerPort: 80\n    hostPort: 8081\nnetworking:\n  podSubnet: 10.245.0.0/16\n  disableDefaultCNI: true\n  \
         kubeProxyMode: ipvs\n  apiServerPort: 6443\nfeatureGates:\n  TTLAfterFinished: true\nruntimeConfig:\n  api/alpha: \"false\"\n"
    ));
    let spec = manifest.spec;
    assert_eq!(spec.kubernetes_version.as_deref(), Some("v1.20.2"));
    assert_eq!((spec.nodes.as_deref(), spec.ha), (Some("2"), None));
    assert_eq!(spec.ports.unwrap(), ["m01:0.0.0.0:8080:80/tcp", "m01:5353:53/udp", "m02:8081:80/tcp"]);
    assert_eq!(spec.mounts.unwrap(), ["m02:/src:/data:ro"]);
    assert_eq!(spec.node_labels.unwrap(), ["zone=a", "m02:disk=fast"]);
    assert_eq!((spec.pod_network_cidr.as_deref(), spec.cni.as_deref()), (Some("10.245.0.0/16"), Some("none")));
    assert_eq!(spec.extra_config.unwrap(), ["kube-proxy.mode=ipvs", "apiserver.runtime-config=api/alpha=false"]);
    assert_eq!(spec.feature_gates.unwrap(), ["TTLAfterFinished=true"]);
    assert_eq!(manifest.notes.len(), 1);
}

#[test]
fn three_control_planes_are_a_cluster_that_survives_one() {
    let nodes = "- role: control-plane\n".repeat(3) + "- role: worker\n";
    let spec = read(&format!("{KIND}nodes:\n{nodes}")).spec;
    assert_eq!((spec.ha.as_deref(), spec.nodes.as_deref()), (Some("true"), Some("4")));
    assert_eq!(read(KIND).spec, SpecFile::default());
}

#[test]
fn kinds_families_of_addresses_are_understood() {
    let networks =
        "  podSubnet: \"10.245.0.0/16,fd00:10:245::/56\"\n  serviceSubnet: \"10.96.0.0/16,fd00:10:97::/112\"\n";
    let spec =
        read(&format!("{KIND}networking:\n  ipFamily: dual\n{networks}")).spec.resolve(crate::ClusterName::default());
    let spec = spec.unwrap();
    assert_eq!(spec.pod_cidrs(), "10.245.0.0/16,fd00:10:245::/56");
    assert_eq!(spec.service_cidrs(), "10.96.0.0/16,fd00:10:97::/112");
    assert_eq!(read(&format!("{KIND}networking:\n  ipFamily: ipv4\n")).spec.ip_family.as_deref(), Some("ipv4"));
    let told = faults(&format!("{KIND}networking:\n  ipFamily: ipv6\n"));
    assert!(told[0].0 == 4 && told[0].1.contains("`dual`"), "{told:?}");
}

#[test]
fn what_skiff_does_not_have_is_refused_with_the_reason() {
    let told = faults(&format!(
        "{KIND}kubeadmConfigPatches:\n- x\nnodes:\n- role: control-plane\n  extraMounts:\n  - hostPath: /a\n    containerPath: /b\n    propagation: HostToContainer\n\
         - role: control-plane\nnetworking:\n  ipFamily: dual\n  dnsSearch: [a]\ncontainerdConfigPatches: [x]\n"
    ));
    let keys: Vec<&str> = told.iter().map(|(_, message)| message.split(':').next().unwrap()).collect();
    assert_eq!(
        keys,
        ["kubeadmConfigPatches", "nodes", "propagation", "dnsSearch", "containerdConfigPatches"],
        "{told:?}"
    );
    assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5, 10, 14, 15]);
}
