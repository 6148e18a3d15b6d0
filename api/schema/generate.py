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
LISTED = [
    CORE + "ConfigMap", CORE + "Event", CORE + "Namespace", CORE + "Node", CORE + "Pod", CORE + "Secret",
    CORE + "Service", CORE + "ServiceAccount",
    "io.k8s.api.apps.v1.Deployment", "io.k8s.api.apps.v1.ReplicaSet",
    "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.discovery.v1.EndpointSlice",
    "io.k8s.api.networking.v1.Ingress",
]
ROOTS = LISTED + [name + "List" for name in LISTED] + [
    CORE + "Binding",
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
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
