//! What kubectl asks of the API beyond the kinds: protobuf bodies, server-side apply, access control, quotas, rollouts, draining. One cluster, a row a test's
//! step, through the real binary.

use coracle_tests::{Cluster, eventually, root};

/// `kubectl create` sends protobuf, and nothing else would do.
#[test]
fn objects_are_created_without_a_manifest() {
    let cluster = Cluster::start();
    let rows: &[(&[&str], &str)] = &[
        (&["namespace", "team"], "namespace/team created"),
        (&["configmap", "c", "--from-literal=a=b"], "configmap/c created"),
        (&["secret", "generic", "s", "--from-literal=password=hush"], "secret/s created"),
        (&["serviceaccount", "robot"], "serviceaccount/robot created"),
        (&["deployment", "d", "--image=registry.example/d:1", "--replicas=0"], "deployment.apps/d created"),
        (&["service", "clusterip", "svc", "--tcp=80:8080"], "service/svc created"),
        (&["ingress", "i", "--rule=i.example/*=svc:80"], "ingress.networking.k8s.io/i created"),
        (&["quota", "q", "--hard=pods=2"], "resourcequota/q created"),
        (&["role", "reader", "--verb=get,list", "--resource=pods"], "role.rbac.authorization.k8s.io/reader created"),
        (
            &["rolebinding", "robots", "--role=reader", "--serviceaccount=default:robot"],
            "rolebinding.rbac.authorization.k8s.io/robots created",
        ),
        (
            &["poddisruptionbudget", "b", "--selector=app=d", "--min-available=1"],
            "poddisruptionbudget.policy/b created",
        ),
        (&["priorityclass", "p", "--value=7"], "priorityclass.scheduling.k8s.io/p created"),
    ];
    for (arguments, expected) in rows {
        let created = cluster.kubectl(&[&["create"], *arguments].concat()).ok();
        assert!(created.contains(expected), "{created}");
    }
    assert_eq!(cluster.object("secret/s")["data"]["password"], "aHVzaA==");
    assert_eq!(cluster.object("deployment/d")["spec"]["replicas"], 0);
    let again = cluster.kubectl(&["create", "configmap", "c"]).fails_with(1);
    assert!(again.contains("configmaps \"c\" already exists"), "{again}");
    let job = cluster.kubectl(&["create", "job", "j", "--image=registry.example/j:1"]);
    assert!(job.stderr.contains("Warning:") && job.stderr.contains("Job"), "{}", job.stderr);
    assert!(job.ok().contains("job.batch/j created"));
}

#[test]
fn appliers_own_their_fields() {
    let cluster = Cluster::start();
    let manifest =
        |color: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{color: {color}}}\n");
    let apply = |manager: &str, color: &str, more: &[&str]| {
        let manager = format!("--field-manager={manager}");
        let arguments = [&["apply", "--server-side", "-f", "-", manager.as_str()], more].concat();
        cluster.kubectl_with(&manifest(color), &arguments)
    };
    assert!(apply("one", "blue", &[]).ok().contains("configmap/c serverside-applied"));
    let refused = apply("two", "red", &[]).fails_with(1);
    assert!(refused.contains("conflict with \"one\"") && refused.contains(".data.color"), "{refused}");
    apply("two", "red", &["--force-conflicts"]).ok();
    assert_eq!(cluster.object("configmap/c")["data"]["color"], "red");
    let without = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n";
    cluster.kubectl_with(without, &["apply", "--server-side", "-f", "-", "--field-manager=two"]).ok();
    assert!(cluster.object("configmap/c")["data"]["color"].is_null());
}

#[test]
fn rights_are_what_roles_say() {
    let cluster = Cluster::start();
    assert!(cluster.kubectl(&["auth", "can-i", "delete", "nodes"]).ok().contains("yes"));
    cluster.kubectl(&["create", "serviceaccount", "robot"]).ok();
    cluster.kubectl(&["create", "role", "reader", "--verb=get,list", "--resource=pods"]).ok();
    cluster.kubectl(&["create", "rolebinding", "robots", "--role=reader", "--serviceaccount=default:robot"]).ok();
    let robot = "--as=system:serviceaccount:default:robot";
    assert!(cluster.kubectl(&["auth", "can-i", "list", "pods", robot]).ok().contains("yes"));
    assert!(cluster.kubectl(&["auth", "can-i", "delete", "pods", robot]).stdout.contains("no"));
    let token = cluster.kubectl(&["create", "token", "robot"]).ok();
    let with_token = |arguments: &[&str]| {
        let server = format!("--server=https://{}", cluster.address("api"));
        let token = format!("--token={}", token.trim());
        let first = ["--kubeconfig=/dev/null", "--insecure-skip-tls-verify", server.as_str(), token.as_str()];
        cluster.kubectl(&[&first, arguments].concat())
    };
    with_token(&["get", "pods"]).ok();
    let refused = with_token(&["get", "secrets"]).fails_with(1);
    assert!(refused.contains("\"system:serviceaccount:default:robot\" cannot list resource \"secrets\""), "{refused}");
    let who = with_token(&["auth", "whoami"]).ok();
    assert!(who.contains("system:serviceaccount:default:robot"), "{who}");
    cluster.kubectl(&["delete", "serviceaccount", "robot"]).ok();
    let gone = with_token(&["get", "pods"]).fails_with(1);
    assert!(gone.contains("Unauthorized") || gone.contains("must be logged in"), "{gone}");
}

#[test]
fn rollouts_are_kept_and_undone() {
    let cluster = Cluster::start();
    let file = root().join("examples/hello/hello.wat");
    for tag in ["hello:1", "hello:2"] {
        cluster.wasmctl(&["push", file.to_str().unwrap(), tag]).ok();
    }
    let image = |tag: &str| format!("registry.coracle.internal/hello:{tag}");
    cluster.kubectl(&["create", "deployment", "web", &format!("--image={}", image("1"))]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).ok();
    cluster.kubectl(&["set", "image", "deployment/web", &format!("hello={}", image("2"))]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).ok();
    let history = cluster.kubectl(&["rollout", "history", "deployment/web"]).ok();
    assert!(history.contains('1') && history.contains('2'), "{history}");
    cluster.kubectl(&["rollout", "undo", "deployment/web"]).ok();
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).ok();
    assert_eq!(cluster.object("deployment/web")["spec"]["template"]["spec"]["containers"][0]["image"], image("1"));
    cluster.kubectl(&["rollout", "pause", "deployment/web"]).ok();
    cluster.kubectl(&["rollout", "resume", "deployment/web"]).ok();
    cluster.kubectl(&["annotate", "deployment", "web", "team=a"]).ok();

    let quota = cluster.kubectl(&["create", "quota", "few", "--hard=pods=1"]);
    quota.ok();
    let full = cluster.kubectl(&["run", "extra", &format!("--image={}", image("1"))]).fails_with(1);
    assert!(full.contains("exceeded quota: few"), "{full}");

    let node = cluster.kubectl(&["get", "nodes", "-o", "name"]).ok().trim().trim_start_matches("node/").to_owned();
    cluster.kubectl(&["cordon", &node]).ok();
    cluster.kubectl(&["drain", &node, "--ignore-daemonsets", "--force", "--timeout=60s"]).ok();
    cluster.kubectl(&["uncordon", &node]).ok();
    eventually("the drained pod is back", || {
        cluster
            .kubectl(&["get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"])
            .ok()
            .eq("1")
            .then_some(())
    });
    cluster.kubectl(&["delete", "deployment", "web", "--cascade=orphan"]).ok();
    assert!(cluster.kubectl(&["get", "replicasets", "-o", "name"]).ok().contains("web"));
}
