//! A service: one name and address for the pods that a selector picks.

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind, NameRule, Subresource};
use crate::kinds::cells;
use crate::object;
use crate::validation::FieldError;

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

fn default(_: &mut Value) {}

fn validate(_: &Value, _: &mut Vec<FieldError>) {}

fn validate_update(_: &Value, _: &Value, _: &mut Vec<FieldError>) {}
