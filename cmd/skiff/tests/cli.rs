//! The binary's behaviour around its verbs: help, usage errors, settings and their precedence.

use std::{fs, process::Output};

use assert_cmd::{Command, cargo::cargo_bin_cmd};
use tempfile::TempDir;

/// A skiff with a home of its own.
struct Skiff {
    home: TempDir,
}

impl Skiff {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn command(&self, args: &str) -> Command {
        let mut command = cargo_bin_cmd!("skiff");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SKIFF_") {
                command.env_remove(name);
            }
        }
        command.env("SKIFF_HOME", self.home.path()).env("KUBECONFIG", self.home.path().join("kubeconfig"));
        command.args(args.split_whitespace());
        command
    }

    fn run(&self, args: &str) -> (i32, String, String) {
        parts(&self.command(args).output().unwrap())
    }
}

fn parts(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn without_a_verb_it_shows_its_help() {
    let skiff = Skiff::new();
    let (code, out, err) = skiff.run("");
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, skiff.run("--help").1);
    insta::assert_snapshot!("help", out);
}

#[test]
fn every_verb_has_a_help_page() {
    let skiff = Skiff::new();
    for verb in VERBS {
        let (code, out, err) = skiff.run(&format!("{verb} --help"));
        assert_eq!((code, err.as_str()), (0, ""), "{verb}");
        insta::assert_snapshot!(format!("help_{}", verb.replace(' ', "_")), out);
    }
}

const VERBS: &[&str] = &[
    "start",
    "stop",
    "delete",
    "pause",
    "unpause",
    "upgrade",
    "gc",
    "apply",
    "get",
    "doctor",
    "export",
    "export logs",
    "status",
    "profile",
    "profile list",
    "ip",
    "service",
    "service list",
    "tunnel",
    "ssh",
    "ssh-key",
    "logs",
    "image",
    "image load",
    "image ls",
    "node-image",
    "node-image build",
    "node-image ls",
    "node-image rm",
    "drivers",
    "update-context",
    "config",
    "config set",
    "config get",
    "config unset",
    "config view",
    "config defaults",
    "completion",
    "version",
];

#[test]
fn usage_errors_exit_with_14_and_say_what_was_meant() {
    let skiff = Skiff::new();
    let mut all = String::new();
    for line in [
        "strat",
        "start --memroy 4g",
        "start --output xml",
        "start --wait apiserver,weather",
        "start --wait-timeout soon",
        "start --keep=perhaps",
        "start extra",
        "start -p No_Good",
        "start -p delete",
        "config",
        "config set memory",
        "config get memory",
        "completion tcsh",
    ] {
        let (code, out, err) = skiff.run(line);
        assert_eq!((code, out.as_str()), (14, ""), "{line}: {err}");
        all += &format!("$ skiff {line}\n{err}\n");
    }
    insta::assert_snapshot!(all);
}

#[test]
fn all_bad_settings_are_told_at_once() {
    let (code, out, err) = Skiff::new().run(
        "start --dry-run --memory 1m --cpus many --kubernetes-version 1.99.0 --extra-config kubelte.x=y \
         --subnet 10.0.0.0/33 --ports 80:eighty --static-ip here --driver vagrant",
    );
    assert_eq!((code, out.as_str()), (14, ""));
    insta::assert_snapshot!(err);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let skiff = Skiff::new();
    let dry = "start --dry-run -p dev";
    assert_eq!(skiff.run("config set memory 4g").0, 0);
    assert_eq!(skiff.run(dry).0, 0);
    let from_environment = |args: &str| skiff.command(args).env("SKIFF_MEMORY", "1m").output().unwrap();
    let (code, _, err) = parts(&from_environment(dry));
    assert_eq!(code, 23, "{err}");
    let (code, _, err) = parts(&from_environment(&format!("{dry} --memory 3g")));
    assert_eq!(code, 0, "{err}");
    let empty = skiff.command(dry).env("SKIFF_MEMORY", "").output().unwrap();
    assert_eq!(parts(&empty).0, 0);
}

#[test]
fn booleans_are_understood_as_go_programs_write_them() {
    let skiff = Skiff::new();
    for line in [
        "start --dry-run=true --keep=false --embed-certs=1",
        "start --dry-run --dry-run --keep-context",
        "start --dry-run --alsologtostderr -v=1",
    ] {
        assert_eq!(skiff.run(line).0, 0, "{line}");
    }
    let by_environment = skiff.command("start").env("SKIFF_DRY_RUN", "true").output().unwrap();
    assert_eq!(parts(&by_environment).0, 0);
}

#[test]
fn settings_can_be_set_seen_and_unset() {
    let skiff = Skiff::new();
    let (code, _, err) = skiff.run("config set cpus 3");
    assert!(code == 0 && err.contains("warning: clusters that exist keep what they have"), "{err}");
    assert_eq!(skiff.run("config set wait-timeout 90s").0, 0);
    assert_eq!(skiff.run("config get cpus"), (0, "3\n".to_owned(), String::new()));
    assert_eq!(skiff.run("config view").1, "- cpus: 3\n- wait-timeout: 90s\n");
    assert_eq!(skiff.run("config view --format {{.ConfigKey}}").1, "cpus\nwait-timeout\n");
    assert_eq!(skiff.run("config unset cpus").0, 0);
    assert_eq!(skiff.run("config unset cpus").0, 0);
    assert_eq!(skiff.run("config view").1, "- wait-timeout: 90s\n");
    assert_eq!(skiff.run("config set memory lots").0, 10);
    assert_eq!(skiff.run("config set nothing 1").0, 10);
    assert_eq!(skiff.run("config unset nothing").0, 14);
    assert_eq!(skiff.run("config defaults kubernetes-version").1, "* v1.20.2\n");
    assert_eq!(skiff.run("config defaults wait-timeout -o json").1, "[\"6m\"]\n");
}

#[test]
fn what_a_settings_file_holds_is_shown_even_if_it_cannot_be_used() {
    let skiff = Skiff::new();
    let file = skiff.home.path().join("config/config.yaml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "memory: 4g\nolden: 1\n").unwrap();
    assert_eq!(skiff.run("config view"), (0, "- memory: 4g\n- olden: 1\n".to_owned(), String::new()));
    assert_eq!(skiff.run("config get memory").1, "4g\n");
    fs::write(&file, "{memory: [}").unwrap();
    for line in ["config view", "config get memory", "config set memory 5g", "status"] {
        let (code, _, err) = skiff.run(line);
        assert!(code == 38 && err.contains("config.yaml is damaged"), "{line}: {code} {err}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "{memory: [}");
}

#[test]
fn what_needs_a_cluster_says_that_there_is_none() {
    let skiff = Skiff::new();
    for line in
        ["status", "ip", "ssh", "ssh-key", "kubectl get pods", "logs", "image ls", "image load x", "update-context"]
    {
        let (code, out, err) = skiff
            .run(&format!("{line} -p nothing").replace("kubectl get pods -p nothing", "-p nothing kubectl get pods"));
        assert_eq!((code, out.as_str()), (85, ""), "{line}: {err}");
        assert!(err.contains("GUEST_PROFILE_NOT_FOUND") && err.contains("skiff start -p nothing"), "{line}: {err}");
    }
}

#[test]
fn without_docker_it_is_docker_that_is_named() {
    let skiff = Skiff::new();
    for line in ["start", "stop", "delete", "node-image ls"] {
        let mut command = skiff.command(line);
        // Without a path there is no QEMU either, which would be taken instead.
        let nowhere = [("DOCKER_HOST", "unix:///nonexistent/docker.sock"), ("PATH", "")];
        let (code, _, err) = parts(&command.envs(nowhere).output().unwrap());
        assert!((50..70).contains(&code), "{line}: {code} {err}");
        assert!(err.contains("/nonexistent/docker.sock"), "{line}: {err}");
    }
}

#[test]
fn bad_settings_are_told_before_docker_is_asked() {
    let skiff = Skiff::new();
    let run = |line: &str| {
        let output = skiff.command(line).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap();
        output.status.code().unwrap()
    };
    assert_eq!(run("start --memory 1m"), 23);
    assert_eq!(run("start --cpus 0.5"), 29);
    assert_eq!(run("start --kubernetes-version v1.10.0"), 106);
    assert_eq!(run("start --driver vagrant"), 55);
    assert_eq!(run("start --dry-run --driver vagrant"), 55);
    assert_eq!(run("start --dry-run"), 0);
}

#[test]
fn a_bad_name_does_not_hide_other_problems() {
    let (code, _, err) = Skiff::new().run("start -p No_Good --memory 1m --driver vagrant");
    assert_eq!(code, 14);
    for problem in ["--profile:", "--memory:", "--driver:"] {
        assert!(err.contains(problem), "{err}");
    }
}

#[test]
fn a_dry_run_tells_about_drivers_and_the_cluster() {
    let skiff = Skiff::new();
    let mut command = skiff.command("start --dry-run -p dev --cpus 3 --driver docker");
    let (code, out, err) = parts(&command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap());
    assert_eq!(code, 0, "{err}");
    let expected = [
        "Drivers on this host:\n  docker: ",
        "\n  qemu: ",
        "\n  hyperkit: ",
        "\nCluster `dev` would be made, with Kubernetes v1.20.2\n  cpus: 3\n",
        "nothing was started (--dry-run)",
    ];
    assert!(expected.iter().all(|text| out.contains(text)), "{out}");
    assert!(err.contains("warning: a start would fail now: ") && err.contains("/nonexistent/docker.sock"), "{err}");
    assert!(!skiff.home.path().join("profiles/dev").exists());
}

#[test]
fn drivers_are_listed_with_the_reason_for_each() {
    let skiff = Skiff::new();
    let mut command = skiff.command("drivers -o json");
    let (code, out, err) = parts(&command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap());
    assert_eq!(code, 0, "{err}");
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    let names: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["Name"].as_str().unwrap()).collect();
    assert_eq!(names, ["docker", "qemu", "hyperkit"]);
    let docker = &rows[0];
    assert_eq!((&docker["State"]["Healthy"], &docker["Default"]), (&false.into(), &false.into()));
    assert!(docker["Rejection"].as_str().unwrap().contains("/nonexistent/docker.sock"), "{docker}");
    assert!(!docker["State"]["Fix"].as_str().unwrap().is_empty(), "{docker}");
}

#[test]
fn profiles_are_listed_without_docker() {
    let skiff = Skiff::new();
    let list = |line: &str| {
        parts(&skiff.command(line).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap())
    };
    assert_eq!(list("profile list").0, 14);
    assert_eq!(list("profile list -l -o json"), (0, "{\"invalid\":[],\"valid\":[]}\n".to_owned(), String::new()));
    let folder = skiff.home.path().join("profiles/old");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("cluster.yaml"), "spec: [\n").unwrap();
    let (code, out, err) = list("profile list -l");
    assert!(code == 0 && out.contains("Damaged") && err.contains("profiles/old/cluster.yaml"), "{out}{err}");
}

#[test]
fn the_active_profile_is_chosen_by_name() {
    let skiff = Skiff::new();
    assert_eq!(skiff.run("profile").1, "skiff\n");
    assert_eq!(skiff.run("profile -p dev").1, "dev\n");
    let (code, out, err) = skiff.run("profile nothing");
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("`skiff start -p nothing` makes it"), "{err}");
    assert_eq!(skiff.run("config set profile dev").0, 0);
    assert_eq!(skiff.run("profile").1, "dev\n");
    assert_eq!(skiff.run("profile default").1, "skiff profile was successfully set to skiff\n");
    assert_eq!(skiff.run("profile").1, "skiff\n");
    assert_eq!(skiff.run("profile delete").0, 11, "a reserved word");
}

#[test]
fn a_broken_settings_file_is_named_and_blocks_only_those_who_need_it() {
    let skiff = Skiff::new();
    let folder = skiff.home.path().join("config");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.yaml"), "memroy: 4g\ncpus: many\n").unwrap();
    let (code, _, err) = skiff.run("start --dry-run");
    assert_eq!(code, 38);
    assert!(err.contains("config.yaml") && err.contains("`memroy` is not a setting") && err.contains("cpus"), "{err}");
    assert_eq!(skiff.run("version").0, 0);
    assert_eq!(skiff.run("start --help").0, 0);
}

#[test]
fn versions_are_told_in_every_format() {
    let skiff = Skiff::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(skiff.run("version --short").1, format!("v{version}\n"));
    assert!(skiff.run("version").1.starts_with(&format!("skiff version: v{version}\n")));
    assert!(skiff.run("version -o json").1.contains(&format!("\"skiffVersion\":\"v{version}\"")));
    let yaml = skiff.run("version -o yaml --components").1;
    assert!(yaml.contains("kubernetesDefault: v1.20.2"), "{yaml}");
}

#[test]
fn completion_scripts_name_the_verbs() {
    let skiff = Skiff::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let (code, out, _) = skiff.run(&format!("completion {shell}"));
        assert!(code == 0 && out.contains("start"), "{shell}");
    }
}

#[test]
fn completion_knows_the_clusters() {
    let skiff = Skiff::new();
    for name in ["dev", "demo", "other"] {
        fs::create_dir_all(skiff.home.path().join("profiles").join(name)).unwrap();
    }
    let script = skiff.home.path().join("completion");
    fs::write(&script, skiff.run("completion bash").1).unwrap();
    let line = format!(
        "source {}; COMP_WORDS=(skiff status -p de); COMP_CWORD=3; _skiff skiff de -p; echo ${{COMPREPLY[@]}}",
        script.display()
    );
    let mut bash = std::process::Command::new("bash");
    let (_, out, err) = parts(&bash.args(["-c", &line]).env("SKIFF_HOME", skiff.home.path()).output().unwrap());
    assert_eq!((out.as_str(), err.as_str()), ("demo dev\n", ""));
    for shell in ["zsh", "fish"] {
        let names = skiff.run(&format!("completion {shell}")).1.matches("/profiles").count();
        assert!(names > 10, "{shell}: {names}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let skiff = Skiff::new();
    let program = skiff.command("").get_program().to_owned();
    let line = format!("{} completion bash | head -n 1; echo ${{PIPESTATUS[0]}}", program.to_string_lossy());
    let output =
        std::process::Command::new("bash").args(["-c", &line]).env("SKIFF_HOME", skiff.home.path()).output().unwrap();
    let (_, out, err) = parts(&output);
    assert_eq!(err, "");
    assert!(out.ends_with("\n0\n") || out.ends_with("\n141\n"), "{out}");
}
