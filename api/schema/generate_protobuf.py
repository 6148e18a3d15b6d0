#!/usr/bin/env python3
"""Writes kubernetes-1.36-protobuf.json: which field of a kind each protobuf field number stands for.

The output is derived from the sources of Kubernetes 1.36 (k8s.io/api, k8s.io/apimachinery, k8s.io/apiextensions-apiserver,
tag v0.36.3), which are Copyright The Kubernetes Authors and licensed under the Apache License, Version 2.0.

    python3 generate_protobuf.py DIRECTORY > kubernetes-1.36-protobuf.json

DIRECTORY holds the three repositories as `api`, `apimachinery` and `apiextensions-apiserver`. Numbers and types come from
their generated.proto files; what those don't tell comes from the Go structs beside them: JSON's names, which messages are
inlined, and which zero values Go's JSON keeps.

"kinds" maps `apiVersion kind` to a definition; kinds that are only ever answered are left out. "messages" maps a
definition to its fields: a number to the field's name, with a `!` where a zero value is kept, or to the fields of an
inlined message. Types are not repeated here: a field has the type that the schema in kubernetes-1.36.json gives it, and
this script stops where that isn't the type on the wire.
"""

import json
import pathlib
import re
import sys

SCHEMA = pathlib.Path(__file__).with_name("kubernetes-1.36.json")
ONLY_ANSWERED = re.compile(r"(List|\.Status|\.WatchEvent|\.APIGroup|\.APIVersions)$")
# Messages whose JSON form is their own, read by `api/src/protobuf/special.rs`.
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
}
SCALARS = {
    "string": ("string", None), "bytes": ("string", "byte"), "bool": ("boolean", None), "double": ("number", "double"),
    "int32": ("integer", "int32"), "int64": ("integer", "int64"),
}
REFERENCE = "#/components/schemas/"


def definition_name(message):
    """k8s.io.api.core.v1.Pod, with or without a dot before it, to io.k8s.api.core.v1.Pod."""
    return message.removeprefix(".").replace("k8s.io.", "io.k8s.", 1).replace("_", "-")


def read_messages(root):
    """All messages: name to {number: (label, type)}; a map's type is ("map", type of its values)."""
    messages = {}
    for path in sorted(root.glob("**/generated.proto")):
        text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
        package = re.search(r"^package ([\w.]+);", text, re.MULTILINE).group(1)

        def resolve(kind):
            qualified = kind if "." in kind else f"{package}.{kind}"
            return kind if kind in SCALARS else definition_name(qualified)

        for name, body in re.findall(r"^message (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            fields = messages[definition_name(f"{package}.{name}")] = {}
            for label, kind, number in re.findall(
                r"(?:(optional|required|repeated) )?(map<string, [\w.]+>|[\w.]+) \w+ = (\d+)", body
            ):
                values = re.fullmatch(r"map<string, (.*)>", kind)
                fields[int(number)] = (label, ("map", resolve(values.group(1))) if values else resolve(kind))
    return messages


def read_structs(root):
    """All Go structs: name to {number: (JSON name, is inlined, zero value is kept)}."""
    structs = {}
    for path in sorted(root.glob("**/generated.proto")):
        package = re.search(r"^package ([\w.]+);", path.read_text(encoding="utf-8"), re.MULTILINE).group(1)
        for source in sorted(path.parent.glob("*.go")):
            if source.name.startswith(("generated", "zz_generated")) or source.name.endswith("_test.go"):
                continue
            text = source.read_text(encoding="utf-8")
            for name, body in re.findall(r"^type (\w+) struct \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
                fields = structs[definition_name(f"{package}.{name}")] = {}
                for kind, tags in re.findall(r"^\t(?:\w+[ \t]+)?(\S+)[ \t]+`(.*)`", body, re.MULTILINE):
                    names, number = re.search(r'json:"([^"]*)"', tags), re.search(r'protobuf:"\w+,(\d+)', tags)
                    if not names or not number:
                        continue
                    json_name, *options = names.group(1).split(",")
                    keeps_zero = kind.startswith("*") or not {"omitempty", "omitzero"} & set(options)
                    fields[int(number.group(1))] = (json_name, "inline" in options, keeps_zero)
    return structs


def check(where, label, kind, schema, definitions, messages):
    """Stops where a field's type on the wire isn't the one of its schema."""
    reference = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
    fits = False
    if isinstance(kind, tuple):
        values = schema.get("additionalProperties", {})
        if values.get("type") == "array":  # A map's value can't be a list: it's a message with one field, `items`.
            fits = messages[kind[1]] == {1: ("repeated", values["items"]["type"])}
        elif schema.get("type") == "object":
            return check(where, "", kind[1], values, definitions, messages)
    elif label == "repeated":
        if schema.get("type") == "array":
            return check(where, "", kind, schema["items"], definitions, messages)
    elif kind in SCALARS:
        fits = (schema.get("type"), schema.get("format")) == SCALARS[kind]
    else:
        fits = reference == REFERENCE + kind
    if not fits:
        sys.exit(f"{where}: {label} {kind} on the wire, {json.dumps(schema)} in the schema")


class Table:
    """The rows of the messages that are reached."""

    def __init__(self, definitions, messages, structs):
        self.definitions, self.messages, self.structs = definitions, messages, structs
        self.rows, self.pending = {}, []

    def row(self, message, properties):
        fields = {}
        for number, (label, kind) in sorted(self.messages[message].items()):
            json_name, is_inlined, keeps_zero = self.structs[message][number]
            if is_inlined:
                fields[number] = self.row(kind, properties)
                continue
            where = f"{message}.{json_name}"
            if json_name not in properties:
                sys.exit(f"{where} is not in the schema")
            check(where, label, kind, properties[json_name], self.definitions, self.messages)
            fields[number] = json_name + ("!" if keeps_zero else "")
            self.pending.append(kind[1] if isinstance(kind, tuple) else kind)
        return fields

    def add(self, name):
        self.pending.append(name)
        while self.pending:
            name = self.pending.pop()
            if name in self.definitions and name not in self.rows and name not in SPECIAL:
                self.rows[name] = self.row(name, self.definitions[name].get("properties", {}))


def main():
    root = pathlib.Path(sys.argv[1])
    definitions = json.loads(SCHEMA.read_text(encoding="utf-8"))
    table = Table(definitions, read_messages(root), read_structs(root))
    kinds = {}
    for name, definition in definitions.items():
        if ONLY_ANSWERED.search(name):
            continue
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            version = "/".join(filter(None, [kind["group"], kind["version"]]))
            kinds[f"{version} {kind['kind']}"] = name
            table.add(name)
    lines = []
    for section, entries in (("kinds", kinds), ("messages", table.rows)):
        rows = [
            f"{json.dumps(name)}:{json.dumps(entry, separators=(',', ':'))}" for name, entry in sorted(entries.items())
        ]
        lines.append(f'"{section}":{{\n' + ",\n".join(rows) + "\n}")
    print("{" + ",\n".join(lines) + "}")


if __name__ == "__main__":
    main()
