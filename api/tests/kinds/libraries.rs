//! Containers that are libraries have nothing that only what runs can have.

use coracle_api::kinds::pod::unsupported_fields;
use expect_test::{Expect, expect};

use crate::{kind_of, prepared};

fn check(libraries: &str, containers: &str, expected: Expect) {
    let object = prepared(&format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{template: {{metadata: {{annotations: {{coracle.dev/libraries: '{libraries}'}}}}, spec: {{containers: [{containers}]}}}}}}}}"
    ));
    let errors = unsupported_fields(kind_of(&object), &object);
    expected.assert_eq(&errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn libraries_are_containers_of_the_pod() {
    let two = "{name: web, image: w, ports: [{containerPort: 80}]}, {name: lib, image: l, resources: {limits: {memory: 1Mi}}}";
    check("", two, expect![""]);
    check("lib", two, expect![""]);
    check(" lib, ", two, expect![""]);
    check(
        "lib, lob",
        two,
        expect![[
            r#"spec.template.metadata.annotations[coracle.dev/libraries]: Invalid value: "lib, lob": no container of this pod is named "lob"; name containers, separated by commas"#
        ]],
    );
    check(
        "lib,lib",
        two,
        expect![[
            r#"spec.template.metadata.annotations[coracle.dev/libraries]: Invalid value: "lib,lib": "lib" is named twice"#
        ]],
    );
    check(
        "lib,web",
        two,
        expect![[r#"
        spec.template.metadata.annotations[coracle.dev/libraries]: Invalid value: "lib,web": a pod needs a container that the libraries are linked into
        spec.template.spec.containers[0].ports: Forbidden: a library does not run by itself; say it of the container that it is linked into"#]],
    );
    let many: Vec<String> = (0..9).map(|index| format!("l{index}")).collect();
    let containers: Vec<String> = many.iter().map(|name| format!("{{name: {name}, image: l}}")).collect();
    check(
        &many.join(","),
        &format!("{two}, {}", containers.join(", ")),
        expect![[
            r#"spec.template.metadata.annotations[coracle.dev/libraries]: Invalid value: "l0,l1,l2,l3,l4,l5,l6,l7,l8": a pod has at most 8 libraries; compose some of them beforehand"#
        ]],
    );
}

#[test]
fn what_only_runs_is_refused_of_a_library() {
    check(
        "lib",
        "{name: web, image: w}, {name: lib, image: l, args: [], env: [{name: A, value: b}], stdin: true, tty: false, readinessProbe: {tcpSocket: {port: 1}}}",
        expect![[r#"
            spec.template.spec.containers[1].env: Forbidden: a library does not run by itself; say it of the container that it is linked into
            spec.template.spec.containers[1].stdin: Forbidden: a library does not run by itself; say it of the container that it is linked into
            spec.template.spec.containers[1].readinessProbe: Forbidden: a library does not run by itself; say it of the container that it is linked into"#]],
    );
}
