"""What programs do with Kubernetes' Python client: typed objects, lists in pages, watches, patches, evictions, errors."""

import datetime
import json
import threading

from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

config.load_kube_config()
core, apps, policy = client.CoreV1Api(), client.AppsV1Api(), client.PolicyV1Api()
NAMESPACE = "default"


def refused(code, reason, call, *arguments, **more):
    try:
        call(*arguments, **more)
    except ApiException as error:
        status = json.loads(error.body)
        assert (error.status, status["reason"]) == (code, reason), error
        return status
    raise AssertionError(f"expected {code} {reason}")


def config_map(name, data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"part": "python"}), data=data)


def objects():
    for index in range(5):
        core.create_namespaced_config_map(NAMESPACE, config_map(f"m{index}", {"n": "0"}))
    first = core.list_namespaced_config_map(NAMESPACE, label_selector="part=python", limit=2)
    assert [found.metadata.name for found in first.items] == ["m0", "m1"]
    assert first.metadata.remaining_item_count is None or first.metadata.remaining_item_count == 3
    rest = core.list_namespaced_config_map(NAMESPACE, label_selector="part=python", _continue=first.metadata._continue)
    assert [found.metadata.name for found in rest.items] == ["m2", "m3", "m4"]
    found = core.read_namespaced_config_map("m0", NAMESPACE)
    assert isinstance(found.metadata.creation_timestamp, datetime.datetime), found
    stale = core.read_namespaced_config_map("m0", NAMESPACE)
    found.data["n"] = "1"
    core.replace_namespaced_config_map("m0", NAMESPACE, found)
    refused(409, "Conflict", core.replace_namespaced_config_map, "m0", NAMESPACE, stale)
    patched = core.patch_namespaced_config_map("m0", NAMESPACE, {"data": {"n": None, "o": "2"}})
    assert patched.data == {"o": "2"}, patched
    patched = core.patch_namespaced_config_map("m0", NAMESPACE, [{"op": "add", "path": "/data/p", "value": "3"}])
    assert patched.data == {"o": "2", "p": "3"}, patched
    refused(409, "AlreadyExists", core.create_namespaced_config_map, NAMESPACE, config_map("m0", {}))
    refused(404, "NotFound", core.read_namespaced_config_map, "nothing", NAMESPACE)
    refused(422, "Invalid", core.create_namespaced_config_map, NAMESPACE, config_map("Not_a_name", {}))
    secret = client.V1Secret(metadata=client.V1ObjectMeta(generate_name="s-"), string_data={"password": "hush"})
    secret = core.create_namespaced_secret(NAMESPACE, secret)
    assert secret.data == {"password": "aHVzaA=="} and secret.metadata.name.startswith("s-"), secret
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="part=python")
    assert core.list_namespaced_config_map(NAMESPACE, label_selector="part=python").items == []


def watching():
    start = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    changes = threading.Thread(target=change)
    changes.start()
    seen = []
    for event in watch.Watch().stream(core.list_namespaced_config_map, NAMESPACE, resource_version=start, timeout_seconds=30):
        found = event["object"]
        assert isinstance(found, client.V1ConfigMap)
        seen.append((event["type"], found.metadata.name, found.data["n"]))
        if event["type"] == "DELETED":
            break
    changes.join()
    assert seen == [("ADDED", "w", "0"), ("MODIFIED", "w", "1"), ("DELETED", "w", "1")], seen


def change():
    core.create_namespaced_config_map(NAMESPACE, config_map("w", {"n": "0"}))
    core.patch_namespaced_config_map("w", NAMESPACE, {"data": {"n": "1"}})
    core.delete_namespaced_config_map("w", NAMESPACE)


def workloads():
    labels = {"app": "web"}
    container = client.V1Container(
        name="web",
        image="registry.coracle.internal/hello:1",
        ports=[client.V1ContainerPort(container_port=8080)],
        resources=client.V1ResourceRequirements(limits={"memory": "64Mi"}),
    )
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(replicas=2, selector=client.V1LabelSelector(match_labels=labels), template=template)
    apps.create_namespaced_deployment(NAMESPACE, client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec))
    budget = client.V1PodDisruptionBudget(
        metadata=client.V1ObjectMeta(name="web"),
        spec=client.V1PodDisruptionBudgetSpec(max_unavailable=0, selector=client.V1LabelSelector(match_labels=labels)),
    )
    policy.create_namespaced_pod_disruption_budget(NAMESPACE, budget)
    until(apps.list_namespaced_deployment, lambda found: found.status.ready_replicas == 2)
    until(policy.list_namespaced_pod_disruption_budget, lambda found: found.status.current_healthy == 2)
    pods = core.list_namespaced_pod(NAMESPACE, label_selector="app=web").items
    for pod in pods:
        assert pod.status.phase == "Running" and pod.status.container_statuses[0].ready, pod
        assert pod.spec.containers[0].resources.limits == {"memory": "64Mi"}, pod
        assert core.read_namespaced_pod_log(pod.metadata.name, NAMESPACE) is not None
    name = pods[0].metadata.name
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=name, namespace=NAMESPACE))
    status = refused(429, "TooManyRequests", core.create_namespaced_pod_eviction, name, NAMESPACE, eviction)
    assert status["details"]["causes"][0]["reason"] == "DisruptionBudget", status
    policy.delete_namespaced_pod_disruption_budget("web", NAMESPACE)
    core.create_namespaced_pod_eviction(name, NAMESPACE, eviction)
    scale = apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 1}})
    assert scale.spec.replicas == 1, scale
    events = core.list_namespaced_event(NAMESPACE, field_selector="involvedObject.name=web").items
    assert any(event.reason == "ScalingReplicaSet" and event.last_timestamp for event in events), events
    apps.delete_namespaced_deployment("web", NAMESPACE, propagation_policy="Foreground")


def until(listing, is_reached):
    for event in watch.Watch().stream(listing, NAMESPACE, timeout_seconds=60):
        if is_reached(event["object"]):
            return
    raise AssertionError(f"{listing.__name__}: not in time")


def applying():
    maps = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"color": "blue"}}
    maps.server_side_apply(body=body, namespace=NAMESPACE, field_manager="one")
    body["data"]["color"] = "red"
    try:
        maps.server_side_apply(body=body, namespace=NAMESPACE, field_manager="two")
        raise AssertionError("a conflict was expected")
    except dynamic.exceptions.ConflictError as error:
        assert "FieldManagerConflict" in str(error.body), error
    applied = maps.server_side_apply(body=body, namespace=NAMESPACE, field_manager="two", force_conflicts=True)
    assert applied.data.color == "red", applied


assert client.VersionApi().get_code().major == "1"
objects()
watching()
workloads()
applying()
print("done")
