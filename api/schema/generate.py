#!/usr/bin/env python3
"""Writes kubernetes-1.36.json: the schemas of the kinds served, for validation, patching and OpenAPI v3.

The output is derived from Kubernetes' published OpenAPI v2 document (api/openapi-spec/swagger.json of the 1.36 release),
which is Copyright The Kubernetes Authors and licensed under the Apache License, Version 2.0.

    python3 generate.py swagger.json[.gz] > kubernetes-1.36.json

Kept: the definitions below and all they refer to, whole. Changed: the form, from OpenAPI v2 to v3 (references, and the
types that are a string or a number). One definition a line, sorted, so that diffs stay readable and a reader can find
and parse one line without the rest.
"""

import gzip
import json
import sys

CORE = "io.k8s.api.core.v1."
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
APPS, BATCH, RBAC = "io.k8s.api.apps.v1.", "io.k8s.api.batch.v1.", "io.k8s.api.rbac.v1."
ADMISSION = "io.k8s.api.admissionregistration.v1."
LISTED = [
    CORE + "ConfigMap", CORE + "Endpoints", CORE + "Event", CORE + "LimitRange", CORE + "Namespace", CORE + "Node",
    CORE + "PersistentVolume", CORE + "PersistentVolumeClaim", CORE + "Pod", CORE + "PodTemplate",
    CORE + "ReplicationController", CORE + "ResourceQuota", CORE + "Secret", CORE + "Service", CORE + "ServiceAccount",
    ADMISSION + "ValidatingAdmissionPolicy", ADMISSION + "ValidatingAdmissionPolicyBinding",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    APPS + "ControllerRevision", APPS + "DaemonSet", APPS + "Deployment", APPS + "ReplicaSet", APPS + "StatefulSet",
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    BATCH + "CronJob", BATCH + "Job",
    "io.k8s.api.certificates.v1.CertificateSigningRequest",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.networking.v1.Ingress", "io.k8s.api.networking.v1.IngressClass",
    "io.k8s.api.node.v1.RuntimeClass",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
    RBAC + "ClusterRole", RBAC + "ClusterRoleBinding", RBAC + "Role", RBAC + "RoleBinding",
    "io.k8s.api.scheduling.v1.PriorityClass",
    "io.k8s.api.storage.v1.StorageClass",
]
ROOTS = LISTED + [name + "List" for name in LISTED] + [
    CORE + "Binding",
    "io.k8s.api.authentication.v1.SelfSubjectReview", "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.authentication.v1.TokenReview",
    "io.k8s.api.authorization.v1.LocalSubjectAccessReview", "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview", "io.k8s.api.authorization.v1.SubjectAccessReview",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.policy.v1.Eviction",
    META + "APIGroup", META + "APIGroupList", META + "APIResourceList", META + "APIVersions",
    META + "DeleteOptions", META + "Patch", META + "Status", META + "WatchEvent",
]
EITHER = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": [{"type": "integer"}, {"type": "string"}],
    "io.k8s.apimachinery.pkg.api.resource.Quantity": [{"type": "string"}, {"type": "number"}],
}
OLD, NEW = "#/definitions/", "#/components/schemas/"


def references(node):
    """Yields the names of the definitions that a node refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(OLD)
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def closure(definitions):
    """The names of the roots and of everything they refer to."""
    found, pending = set(), list(ROOTS)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(references(definitions[name]))
    return sorted(found)


def to_v3(node):
    """A schema in OpenAPI v3's form: siblings of a reference are ignored there, so it goes into an allOf."""
    if isinstance(node, list):
        return [to_v3(child) for child in node]
    if not isinstance(node, dict):
        return node
    node = {key: to_v3(child) for key, child in node.items()}
    if isinstance(node.get("$ref"), str):
        reference = {"$ref": NEW + node.pop("$ref").removeprefix(OLD)}
        if not node:
            return reference
        node["allOf"] = [reference]
    return node


def main():
    path = sys.argv[1]
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
        definitions = json.load(file)["definitions"]
    lines = []
    for name in closure(definitions):
        schema = to_v3(definitions[name])
        if name in EITHER:
            del schema["type"]
            schema["oneOf"] = EITHER[name]
        text = json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        lines.append(f"{json.dumps(name)}:{text}")
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()
