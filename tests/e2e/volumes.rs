//! Volumes and configuration of pods: what they wait for, what outlasts what, and what the host's owner allows.

use coracle_tests::{Cluster, eventually, example, guest, up};

/// A cluster with the component of a pod that follows a file and counts its starts.
fn furnish(cluster: &Cluster) {
    let file = example("follow-settings.wasm");
    cluster.wasmctl(&["push", file.to_str().unwrap(), "follow:1"]).ok();
}

/// A pod that follows `/in/key`, and counts its starts in `/out/starts`.
fn pod(name: &str, input: &str, output: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - name: main
    image: registry.coracle.internal/follow:1
    args: [/in/key, /out/starts]
    volumeMounts: [{{name: in, mountPath: /in}}, {{name: out, mountPath: /out}}]
  volumes:
  - {{name: in, {input}}}
  - {{name: out, {output}}}
"
    )
}

fn logs(cluster: &Cluster, pod: &str, expected: &str) {
    eventually(expected, || (cluster.kubectl(&["logs", pod]).stdout == expected).then_some(()));
}

#[test]
fn a_pod_waits_for_what_it_mounts_and_its_files_outlast_its_containers() {
    let mut cluster = Cluster::start();
    furnish(&cluster);
    let manifest = pod("reader", "secret: {secretName: late}", "emptyDir: {}");
    cluster.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    let described = eventually("the reason", || {
        let text = cluster.kubectl(&["describe", "pod", "reader"]).ok();
        text.contains("FailedMount").then_some(text)
    });
    for part in [
        "MountVolume.SetUp failed for volume \"in\" : secret \"late\" not found",
        "Reason:       ContainerCreating",
        "/in from in (rw)",
        "SecretName:  late",
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
    ] {
        assert!(described.contains(part), "{part}: {described}");
    }
    cluster.kubectl(&["create", "secret", "generic", "late", "--from-literal", "key=a"]).ok();
    logs(&cluster, "reader", "start 1\nsettings: a\n");
    // It ends and is started again, then the host is.
    let set = |cluster: &Cluster, value: &str| {
        let patch = format!("{{\"stringData\": {{\"key\": \"{value}\"}}}}");
        cluster.kubectl(&["patch", "secret", "late", "--patch", &patch]).ok();
    };
    set(&cluster, "stop");
    eventually("a restart", || {
        (cluster.object("pod/reader")["status"]["containerStatuses"][0]["restartCount"] != 0).then_some(())
    });
    set(&cluster, "b");
    let started = |cluster: &Cluster, value: &str| {
        eventually("a start", || {
            let text = cluster.kubectl(&["logs", "reader"]).stdout;
            // What ran before the host was restarted is in the same log.
            let count: u32 = text.lines().rev().find_map(|line| line.strip_prefix("start "))?.parse().ok()?;
            text.contains(&format!("settings: {value}\n")).then_some(count)
        })
    };
    let before = started(&cluster, "b");
    assert!(before > 1, "{before}");
    cluster.restart();
    set(&cluster, "c");
    assert!(started(&cluster, "c") > before);
    let uid = cluster.object("pod/reader")["metadata"]["uid"].as_str().unwrap().to_owned();
    let folder = cluster.dir().join("host/volumes").join(uid);
    assert!(folder.join("out/starts").exists());
    cluster.kubectl(&["delete", "pod", "reader"]).ok();
    eventually("the folder's end", || (!folder.exists()).then_some(()));
}

#[test]
fn paths_of_the_host_are_its_owners_to_give() {
    let (dir, given) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(given.path().join("key"), "from the host").unwrap();
    std::os::unix::fs::symlink("/etc", given.path().join("etc")).unwrap();
    let cluster = Cluster::spawn(up(dir.path()).arg("--allow-host-path").arg(given.path()), dir.path());
    furnish(&cluster);
    let host_path = |path: &str, kind: &str| format!("hostPath: {{path: {path:?}, type: {kind}}}");
    let within = |path: &str| given.path().join(path).display().to_string();
    let pods = [
        pod("given", &host_path(&within(""), "Directory"), &host_path(&within("new"), "DirectoryOrCreate")),
        pod("taken", &host_path("/etc", "Directory"), "emptyDir: {}"),
        pod("linked", &host_path(&within("etc"), "Directory"), "emptyDir: {}"),
        pod("missing", &host_path(&within("none"), "Directory"), "emptyDir: {}"),
    ];
    cluster.kubectl_with(&pods.join("---"), &["apply", "-f", "-"]).ok();
    logs(&cluster, "given", "start 1\nsettings: from the host\n");
    assert_eq!(std::fs::read_to_string(within("new/starts")).unwrap(), "1");
    for pod in ["taken", "linked"] {
        let waiting = eventually("the refusal", || {
            let waiting =
                cluster.object(&format!("pod/{pod}"))["status"]["containerStatuses"][0]["state"]["waiting"].take();
            (waiting["reason"] == "CreateContainerConfigError").then_some(waiting)
        });
        let message = waiting["message"].as_str().unwrap();
        assert!(message.contains("is not allowed on this host") && message.contains("--allow-host-path"), "{message}");
    }
    eventually("the missing folder", || {
        let text = cluster.kubectl(&["describe", "pod", "missing"]).ok();
        text.contains("hostPath type check failed").then_some(())
    });
}

#[test]
fn a_pod_waits_for_its_configuration() {
    let cluster = Cluster::start();
    // It fails unless wasi:config says "Hello" for "greeting".
    let file = guest("command-asks-config.wat");
    cluster.wasmctl(&["push", file.to_str().unwrap(), "asks:1"]).ok();
    cluster.kubectl(&["create", "configmap", "base", "--from-literal", "greeting=Goodbye"]).ok();
    let pod = |name: &str, annotations: &str| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, annotations: {{{annotations}}}}}
spec:
  restartPolicy: Never
  containers: [{{name: main, image: registry.coracle.internal/asks:1}}]
"
        )
    };
    let pods = [pod("declares", "coracle.dev/config: \"base, late\""), pod("silent", "")];
    cluster.kubectl_with(&pods.join("---"), &["apply", "-f", "-"]).ok();
    eventually("the reason", || {
        let waiting = &cluster.object("pod/declares")["status"]["containerStatuses"][0]["state"]["waiting"];
        (waiting["reason"] == "CreateContainerConfigError" && waiting["message"] == "configmap \"late\" not found")
            .then_some(())
    });
    cluster.kubectl(&["create", "configmap", "late", "--from-literal", "greeting=Hello"]).ok();
    for (pod, phase) in [("declares", "Succeeded"), ("silent", "Failed")] {
        eventually(phase, || (cluster.object(&format!("pod/{pod}"))["status"]["phase"] == phase).then_some(()));
    }
    eventually("the denial", || {
        let described = cluster.kubectl(&["describe", "pod", "silent"]).ok();
        described.contains("Warning  Denied").then_some(())
    });
    let wrong = pod("wrong", "coracle.dev/config: base late");
    let refused = cluster.kubectl_with(&wrong, &["apply", "-f", "-"]).fails_with(1);
    assert!(refused.contains("metadata.annotations[coracle.dev/config]"), "{refused}");
}

#[test]
fn a_pod_that_keeps_more_than_it_may_is_evicted_and_one_past_its_deadline_ends() {
    let cluster = Cluster::start();
    furnish(&cluster);
    cluster.kubectl(&["create", "secret", "generic", "settings", "--from-literal", "key=a"]).ok();
    let settings = "secret: {secretName: settings}";
    for (name, output) in [("large", "emptyDir: {sizeLimit: 1Ki}"), ("small", "emptyDir: {sizeLimit: 1Mi}")] {
        cluster.kubectl_with(&pod(name, settings, output), &["apply", "-f", "-"]).ok();
    }
    let timed = pod("timed", settings, "emptyDir: {}").replace("spec:\n", "spec:\n  activeDeadlineSeconds: 1\n");
    cluster.kubectl_with(&timed, &["apply", "-f", "-"]).ok();
    let fails = |name: &str, reason: &str| {
        eventually(&format!("{name}: {reason}"), || {
            let pod = cluster.object(&format!("pod/{name}"));
            (pod["status"]["phase"] == "Failed" && pod["status"]["reason"] == reason).then_some(())
        });
    };
    fails("timed", "DeadlineExceeded");
    fails("large", "Evicted");
    assert_eq!(cluster.object("pod/small")["status"]["phase"], "Running");
    let described = cluster.kubectl(&["describe", "pod", "large"]).ok();
    for part in [
        "Status:           Failed",
        "Reason:           Evicted",
        "Message:          Usage of EmptyDir volume \"out\" exceeds the limit \"1Ki\".",
        "Warning  Evicted",
        "Exit Code:    143",
    ] {
        assert!(described.contains(part), "{part}: {described}");
    }
    let described = cluster.kubectl(&["describe", "pod", "timed"]).ok();
    assert!(described.contains("Pod was active on the node longer than the specified deadline"), "{described}");
}
