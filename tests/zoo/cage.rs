//! A cluster with a neighbour, in which something is let loose.

use coracle_tests::{Cluster, eventually, example, root, status_field};

use crate::neighbour::Neighbour;

/// What the process may keep of the memory that a case took: buffers, and instances kept warm.
const KEPT_BYTES_MAX: u64 = 96 << 20;

/// The cluster, its neighbour and how large its process was before.
pub(crate) struct Cage {
    pub(crate) cluster: Cluster,
    neighbour: Neighbour,
    resident_bytes: u64,
}

impl Cage {
    /// A cluster with the neighbour.
    pub(crate) fn new() -> Cage {
        Cage::around(with_hello())
    }

    /// The same with the handler of `tests/guests/zoo`, which has so much memory and answers within 3 s.
    pub(crate) fn with_handler(egress: &str) -> Cage {
        let cluster = with_hello();
        let zoo = example("zoo.wasm");
        cluster.wasmctl(&["push", zoo.to_str().unwrap(), "zoo:1"]).ok();
        cluster.kubectl_with(&manifest(egress), &["apply", "-f", "-"]).ok();
        eventually("the zoo is open", || (cluster.get("zoo.localhost", "/").0 == 200).then_some(()));
        Cage::around(cluster)
    }

    fn around(cluster: Cluster) -> Cage {
        let neighbour = Neighbour::start(cluster.address("ingress"), "hello.localhost");
        let resident_bytes = resident_bytes(cluster.process_id());
        Cage { cluster, neighbour, resident_bytes }
    }

    /// Asks the handler to misbehave; gives the status and the text.
    pub(crate) fn provoke(&self, path: &str) -> (u16, String) {
        self.cluster.get("zoo.localhost", path)
    }

    /// Asks the handler many times at once; gives the answers.
    pub(crate) fn provoke_at_once(&self, path: &str, times: usize) -> Vec<(u16, String)> {
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..times).map(|_| scope.spawn(|| self.provoke(path))).collect();
            asked.into_iter().map(|answer| answer.join().unwrap()).collect()
        })
    }

    /// Runs the command of `tests/guests/zoo` as a pod with an emptyDir at `/data`.
    pub(crate) fn run_command(&self, arguments: &[&str], annotations: &str) {
        let command = example("zoo-command.wasm");
        self.cluster.wasmctl(&["push", command.to_str().unwrap(), "zoo-command:1"]).ok();
        let manifest = format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: beast, annotations: {{{annotations}}}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: beast
    image: registry.coracle.internal/zoo-command:1
    args: {arguments:?}
    resources: {{limits: {{memory: 64Mi}}}}
    volumeMounts: [{{name: data, mountPath: /data}}]
  volumes: [{{name: data, emptyDir: {{}}}}]
"
        );
        self.cluster.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    }

    /// What `kubectl` says of the pod `beast` once it is in a phase.
    pub(crate) fn described_when(&self, phase: &str) -> String {
        eventually(phase, || {
            let now = self.cluster.kubectl(&["get", "pod", "beast", "-o", "jsonpath={.status.phase}"]).stdout;
            (now == phase).then_some(())
        });
        self.cluster.kubectl(&["describe", "pod", "beast"]).ok()
    }

    /// Whatever happened: the neighbour was always answered, the process is the same one, and the memory came back.
    pub(crate) fn end_unharmed(self) {
        println!("{}", self.neighbour.end());
        let process = self.cluster.process_id();
        let max = self.resident_bytes + KEPT_BYTES_MAX;
        eventually(&format!("the process needs {} MiB at most", max >> 20), || {
            (resident_bytes(process) <= max).then_some(())
        });
        println!("{} MiB before, {} MiB after", self.resident_bytes >> 20, resident_bytes(process) >> 20);
    }
}

/// A cluster with who is to be the neighbour.
fn with_hello() -> Cluster {
    let cluster = Cluster::start();
    let hello = root().join("examples/hello/hello.wat");
    cluster.wasmctl(&["deploy", hello.to_str().unwrap()]).ok();
    cluster
}

fn manifest(egress: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: zoo}}
spec:
  selector: {{matchLabels: {{app: zoo}}}}
  template:
    metadata:
      labels: {{app: zoo}}
      annotations: {{coracle.dev/request-timeout: 3s, coracle.dev/egress: "{egress}"}}
    spec:
      containers:
      - name: zoo
        image: registry.coracle.internal/zoo:1
        ports: [{{containerPort: 8080}}]
        resources: {{limits: {{memory: 64Mi}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: zoo}}
spec: {{selector: {{app: zoo}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: zoo}}
spec:
  rules:
  - host: zoo.localhost
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: zoo, port: {{number: 80}}}}}}}}]}}
"#
    )
}

/// The process's own memory. Files that it maps are not counted.
fn resident_bytes(process: u32) -> u64 {
    status_field(process, "RssAnon") << 10
}
