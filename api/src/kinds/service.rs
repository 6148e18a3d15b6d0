//! A service: one name and address for the pods that a selector picks.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::pod::default;
use crate::kinds::{cells, check};
use crate::object;
use crate::validation::{self, FieldError};

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

pub(crate) const KIND: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    namespaced: true,
    definition: "io.k8s.api.core.v1.Service",
    subresources: &[Subresource::Status],
    columns: COLUMNS,
    fields: &["spec.clusterIP", "spec.type"],
    name_rule: NameRule::Dns1035Label,
    tags,
    awaits_controller: false,
    status_on_create: false,
    default,
    validate,
    validate_update,
};

const COLUMNS: &[Column] = &[
    cells::NAME,
    Column::string(
        "Type",
        0,
        "type determines how the Service is exposed. Defaults to ClusterIP. Valid options are ExternalName, \
        ClusterIP, NodePort, and LoadBalancer. \"ClusterIP\" allocates a cluster-internal IP address for \
        load-balancing to endpoints. Endpoints are determined by the selector or if that is not specified, by \
        manual construction of an Endpoints object or EndpointSlice objects. If clusterIP is \"None\", no virtual \
        IP is allocated and the endpoints are published as a set of endpoints rather than a virtual IP. \
        \"NodePort\" builds on ClusterIP and allocates a port on every node which routes to the same endpoints as \
        the clusterIP. \"LoadBalancer\" builds on NodePort and creates an external load-balancer (if supported in \
        the current cloud) which routes to the same endpoints as the clusterIP. \"ExternalName\" aliases this \
        service to the specified externalName. Several other fields do not apply to ExternalName services. More \
        info: https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types",
        service_type,
    ),
    Column::string(
        "Cluster-IP",
        0,
        "clusterIP is the IP address of the service and is usually assigned randomly. If an address is specified \
        manually, is in-range (as per system configuration), and is not in use, it will be allocated to the \
        service; otherwise creation of the service will fail. This field may not be changed through updates unless \
        the type field is also being changed to ExternalName (which requires this field to be blank) or the type \
        field is being changed from ExternalName (in which case this field may optionally be specified, as describe \
        above).  Valid values are \"None\", empty string (\"\"), or a valid IP address. Setting this to \"None\" \
        makes a \"headless service\" (no virtual IP), which is useful when direct endpoint connections are \
        preferred and proxying is not required.  Only applies to types ClusterIP, NodePort, and LoadBalancer. If \
        this field is specified when creating a Service of type ExternalName, creation will fail. This field will \
        be wiped when updating a Service to type ExternalName. More info: \
        https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies",
        cluster_ip,
    ),
    Column::string(
        "External-IP",
        0,
        "externalIPs is a list of IP addresses for which nodes in the cluster will also accept traffic for this \
        service.  These IPs are not managed by Kubernetes.  The user is responsible for ensuring that traffic \
        arrives at a node with this IP.  A common example is external load-balancers that are not part of the \
        Kubernetes system.",
        external_ip,
    ),
    Column::string(
        "Port(s)",
        0,
        "The list of ports that are exposed by this service. More info: \
        https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies",
        ports,
    ),
    cells::AGE,
    Column::string(
        "Selector",
        1,
        "Route service traffic to pods with label keys and values matching this selector. If empty or not present, \
        the service is assumed to have an external process managing its endpoints, which Kubernetes will not \
        modify. Only applies to types ClusterIP, NodePort, and LoadBalancer. Ignored if type is ExternalName. More \
        info: https://kubernetes.io/docs/concepts/services-networking/service/",
        selector,
    ),
];

fn service_type(object: &Value, _: Timestamp) -> Value {
    cells::text_or(object, &["spec", "type"], "")
}

fn cluster_ip(object: &Value, _: Timestamp) -> Value {
    let first = object::list_at(object, &["spec", "clusterIPs"]).first().and_then(Value::as_str);
    match first {
        Some(address) if !address.is_empty() => address.into(),
        _ => cells::text_or(object, &["spec", "clusterIP"], cells::NONE),
    }
}

fn external_ip(object: &Value, _: Timestamp) -> Value {
    let external: Vec<&str> =
        object::list_at(object, &["spec", "externalIPs"]).iter().filter_map(Value::as_str).collect();
    let (balanced, external) = (cells::load_balancer_addresses(object), external.join(","));
    match object::str_at(object, &["spec", "type"]) {
        Some("ClusterIP" | "NodePort") if external.is_empty() => cells::NONE.into(),
        Some("ClusterIP" | "NodePort") => external.into(),
        Some("LoadBalancer") => match (balanced.is_empty(), external.is_empty()) {
            (true, true) => "<pending>".into(),
            (false, true) => balanced.into(),
            (true, false) => external.into(),
            (false, false) => format!("{balanced},{external}").into(),
        },
        Some("ExternalName") => cells::text_or(object, &["spec", "externalName"], ""),
        _ => cells::UNKNOWN.into(),
    }
}

fn ports(object: &Value, _: Timestamp) -> Value {
    let ports: Vec<String> = object::list_at(object, &["spec", "ports"])
        .iter()
        .map(|port| {
            let number = object::i64_at(port, &["port"]).unwrap_or(0);
            let protocol = object::str_at(port, &["protocol"]).unwrap_or("TCP");
            match object::i64_at(port, &["nodePort"]) {
                Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
                _ => format!("{number}/{protocol}"),
            }
        })
        .collect();
    if ports.is_empty() { cells::NONE.into() } else { ports.join(",").into() }
}

fn selector(object: &Value, _: Timestamp) -> Value {
    cells::format_labels(object::get(object, &["spec", "selector"])).into()
}

fn tags(_: &Value) -> Vec<String> {
    Vec::new()
}

fn default(object: &mut Value) {
    let spec = object::child_mut(object, "spec");
    default::set_text(spec, "type", "ClusterIP");
    default::set_text(spec, "sessionAffinity", "None");
    if spec.get("sessionAffinity").and_then(Value::as_str) == Some("ClientIP") {
        default::set(spec, "sessionAffinityConfig", json!({ "clientIP": { "timeoutSeconds": 10800 } }));
    }
    for port in default::each(spec, "ports") {
        default::set_text(port, "protocol", "TCP");
        if matches!(port.get("targetPort"), Some(Value::Number(number)) if number.as_i64() == Some(0))
            || port.get("targetPort").and_then(Value::as_str) == Some("")
        {
            port.remove("targetPort");
        }
        if let Some(number) = port.get("port").cloned() {
            default::set(port, "targetPort", number);
        }
    }
    let service_type = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if matches!(service_type.as_str(), "NodePort" | "LoadBalancer") {
        default::set_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if service_type == "LoadBalancer" {
        default::set(spec, "allocateLoadBalancerNodePorts", true);
    }
    if service_type != "ExternalName" {
        default::set_text(spec, "internalTrafficPolicy", "Cluster");
        default::set_text(spec, "ipFamilyPolicy", "SingleStack");
        default::set(spec, "ipFamilies", json!(["IPv4"]));
        match spec.get("clusterIP").and_then(Value::as_str).filter(|address| !address.is_empty()) {
            Some(address) => {
                let addresses = json!([address]);
                default::set(spec, "clusterIPs", addresses);
            }
            None => {
                let first = spec.get("clusterIPs").and_then(|addresses| addresses.get(0)).cloned();
                first.into_iter().for_each(|first| default::set(spec, "clusterIP", first));
            }
        }
    }
    default::set(object::child_mut(object, "status"), "loadBalancer", json!({}));
}

fn validate(object: &Value, errors: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let (service_type, cluster_ip) = (check::text(spec, "type"), check::text(spec, "clusterIP"));
    let ports = object::list_at(spec, &["ports"]);
    if ports.is_empty() && service_type != "ExternalName" && cluster_ip != "None" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if service_type == "ExternalName" {
        let name = check::text(spec, "externalName");
        let name = name.strip_suffix('.').unwrap_or(name);
        check::required(errors, "spec.externalName", name, validation::dns1123_subdomain);
        if !cluster_ip.is_empty() {
            errors.push(FieldError::forbidden("spec.clusterIPs", "may not be set for ExternalName services"));
        }
    } else if !matches!(cluster_ip, "" | "None") {
        check::follows(errors, "spec.clusterIPs[0]", cluster_ip, validation::ip_address);
    } else if cluster_ip == "None" && matches!(service_type, "NodePort" | "LoadBalancer") {
        let detail = format!("may not be set to 'None' for {service_type} services");
        errors.push(FieldError::invalid("spec.clusterIPs[0]", cluster_ip, detail));
    }
    validate_ports(ports, errors);
    check::labels(errors, "spec.selector", spec.get("selector"));
    check::one_of(errors, "spec.sessionAffinity", check::text(spec, "sessionAffinity"), &["ClientIP", "None"]);
    check::one_of(errors, "spec.type", service_type, TYPES);
    for (index, address) in object::list_at(spec, &["externalIPs"]).iter().enumerate() {
        let address = address.as_str().unwrap_or_default();
        check::follows(errors, &format!("spec.externalIPs[{index}]"), address, validation::ip_address);
    }
    duplicate_ports(service_type, ports, errors);
}

fn validate_ports(ports: &[Value], errors: &mut Vec<FieldError>) {
    let mut names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = |field: &str| format!("spec.ports[{index}].{field}");
        let name = check::text(port, "name");
        if !name.is_empty() {
            check::follows(errors, &path("name"), name, validation::dns1123_label);
            check::unique(errors, &mut names, &path("name"), name);
        } else if ports.len() > 1 {
            errors.push(FieldError::required(path("name"), ""));
        }
        check::port(errors, &path("port"), object::i64_at(port, &["port"]).unwrap_or(0));
        check::one_of(errors, &path("protocol"), check::text(port, "protocol"), check::PROTOCOLS);
        if check::is_set(port, "targetPort") {
            check::port_or_name(errors, &path("targetPort"), &port["targetPort"]);
        }
        check::optional(errors, &path("appProtocol"), check::text(port, "appProtocol"), validation::qualified_name);
    }
}

fn duplicate_ports(service_type: &str, ports: &[Value], errors: &mut Vec<FieldError>) {
    let (mut seen, mut seen_node_ports) = (HashSet::new(), HashSet::new());
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let protocol = check::text(port, "protocol");
        let node_port = object::i64_at(port, &["nodePort"]).unwrap_or(0);
        if node_port != 0 && service_type == "ClusterIP" {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(format!("{path}.nodePort"), detail));
        }
        if node_port != 0 && !seen_node_ports.insert((protocol, node_port)) {
            errors.push(FieldError::duplicate(format!("{path}.nodePort"), node_port));
        }
        let number = object::i64_at(port, &["port"]).unwrap_or(0);
        if !seen.insert((protocol, number)) {
            let key = json!({ "port": number, "protocol": protocol });
            errors.push(FieldError::duplicate(path, key));
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let text = |object: &Value, field| object::str_at(object, &["spec", field]).unwrap_or_default().to_owned();
    let had = text(old, "clusterIP");
    let is_external = [new, old].iter().any(|object| text(object, "type") == "ExternalName");
    if !is_external && !had.is_empty() && text(new, "clusterIP") != had {
        let value = object::get(new, &["spec", "clusterIPs"]).cloned().unwrap_or_default();
        errors.push(FieldError::invalid("spec.clusterIPs[0]", value, "may not change once set"));
    }
}
