//! What routing needs to know of an Ingress, a Service, an EndpointSlice and a Node, read from their Kubernetes JSON.
//!
//! Deliberately absent: validation. What cannot be read is left out; the API has refused it long before.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde_json::Value;

use crate::addresses::Cidr;

/// The Ingress class this ingress serves; an Ingress that names none is served too.
pub const INGRESS_CLASS: &str = "coracle";

/// A namespaced object's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name in there.
    pub name: Arc<str>,
}

impl ObjectName {
    /// Makes a name of its parts.
    pub fn new(namespace: &str, name: &str) -> ObjectName {
        ObjectName { namespace: namespace.into(), name: name.into() }
    }

    /// The name in an object's metadata; `None` if there is none.
    pub fn from_json(object: &Value) -> Option<ObjectName> {
        let metadata = &object["metadata"];
        Some(ObjectName::new(metadata["namespace"].as_str().unwrap_or("default"), metadata["name"].as_str()?))
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A Service's port, as a backend names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BackendPort {
    /// By its number.
    Number(u16),
    /// By its name.
    Name(Arc<str>),
}

impl std::fmt::Display for BackendPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BackendPort::Number(number) => write!(f, "{number}"),
            BackendPort::Name(name) => f.write_str(name),
        }
    }
}

/// Where an Ingress sends a request: a Service of its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Backend {
    /// The Service.
    pub service: ObjectName,
    /// Which of its ports.
    pub port: BackendPort,
}

impl Backend {
    fn from_json(namespace: &Arc<str>, backend: &Value) -> Option<Backend> {
        let service = &backend["service"];
        let port = match service["port"]["name"].as_str().filter(|name| !name.is_empty()) {
            Some(name) => BackendPort::Name(name.into()),
            None => BackendPort::Number(port_number(&service["port"]["number"])?),
        };
        let name = service["name"].as_str()?.into();
        Some(Backend { service: ObjectName { namespace: namespace.clone(), name }, port })
    }
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// The whole path.
    Exact,
    /// Segment by segment; also what `ImplementationSpecific` means here.
    Prefix,
}

/// One path of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// The host in lower case, `*.` and a domain, or empty for every host.
    pub host: Arc<str>,
    /// The path as written; empty means `/`.
    pub path: Arc<str>,
    /// How it is compared.
    pub kind: PathKind,
    /// Where it leads.
    pub backend: Backend,
}

/// An Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressView {
    /// Its name.
    pub name: ObjectName,
    /// When it was made, in RFC 3339: of two that claim the same path the older wins.
    pub created: Arc<str>,
    /// Whether its class is this ingress's, or it names none.
    pub is_ours: bool,
    /// Where requests go that match no rule.
    pub default_backend: Option<Backend>,
    /// The hosts it names, also those without a path.
    pub hosts: Vec<Arc<str>>,
    /// Its paths.
    pub paths: Vec<PathRule>,
}

impl IngressView {
    /// Reads a `networking.k8s.io/v1` Ingress; `None` without a name.
    pub fn from_json(object: &Value) -> Option<IngressView> {
        let name = ObjectName::from_json(object)?;
        let (metadata, spec) = (&object["metadata"], &object["spec"]);
        let annotated = &metadata["annotations"]["kubernetes.io/ingress.class"];
        let class = spec["ingressClassName"].as_str().or(annotated.as_str());
        let default_backend = Backend::from_json(&name.namespace, &spec["defaultBackend"]);
        let (mut hosts, mut paths) = (Vec::new(), Vec::new());
        for rule in items(&spec["rules"]) {
            let host: Arc<str> = rule["host"].as_str().unwrap_or("").to_ascii_lowercase().into();
            for path in items(&rule["http"]["paths"]) {
                let Some(backend) = Backend::from_json(&name.namespace, &path["backend"]) else { continue };
                let kind = if path["pathType"] == "Exact" { PathKind::Exact } else { PathKind::Prefix };
                let path = path["path"].as_str().unwrap_or("").into();
                paths.push(PathRule { host: host.clone(), path, kind, backend });
            }
            hosts.push(host);
        }
        let created = metadata["creationTimestamp"].as_str().unwrap_or("").into();
        let is_ours = class.is_none_or(|class| class == INGRESS_CLASS);
        Some(IngressView { name, created, is_ours, default_backend, hosts, paths })
    }
}

/// A Service: how its port numbers are called. Where they lead, its slices say under that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its name.
    pub name: ObjectName,
    /// Number and name of each port; the name of a lone port may be empty.
    pub ports: Vec<(u16, Arc<str>)>,
    /// The address that is its own, if it has one.
    pub cluster_ip: Option<IpAddr>,
}

impl ServiceView {
    /// Reads a `v1` Service; `None` without a name.
    pub fn from_json(object: &Value) -> Option<ServiceView> {
        let port = |port: &Value| Some((port_number(&port["port"])?, port["name"].as_str().unwrap_or("").into()));
        let ports = items(&object["spec"]["ports"]).iter().filter_map(port).collect();
        let cluster_ip = object["spec"]["clusterIP"].as_str().and_then(|address| address.parse().ok());
        Some(ServiceView { name: ObjectName::from_json(object)?, ports, cluster_ip })
    }

    /// The name of the port a backend means, if the Service has it.
    pub(crate) fn port_name(&self, wanted: &BackendPort) -> Option<&str> {
        let is_wanted = |(number, name): &&(u16, Arc<str>)| match wanted {
            BackendPort::Number(wanted) => number == wanted,
            BackendPort::Name(wanted) => name == wanted,
        };
        self.ports.iter().find(is_wanted).map(|(_, name)| &**name)
    }
}

/// Whether an endpoint takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It still does, but is on its way out: used only where nothing is ready.
    Draining,
    /// It doesn't.
    NotReady,
}

/// One pod behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// The address.
    pub address: IpAddr,
    /// The pod's uid; empty if the slice names none.
    pub pod_uid: Arc<str>,
    /// The pod's name; the address if the slice names none.
    pub pod_name: Arc<str>,
    /// The node it runs on; empty if unknown.
    pub node: Arc<str>,
    /// Whether it takes requests.
    pub readiness: Readiness,
}

impl EndpointView {
    fn from_json(endpoint: &Value) -> Option<EndpointView> {
        let text = items(&endpoint["addresses"]).first()?.as_str()?;
        let target = &endpoint["targetRef"];
        let conditions = &endpoint["conditions"];
        let readiness = match (conditions["ready"].as_bool(), conditions["serving"].as_bool()) {
            (None | Some(true), _) => Readiness::Ready,
            (Some(false), Some(true)) if conditions["terminating"] == true => Readiness::Draining,
            _ => Readiness::NotReady,
        };
        Some(EndpointView {
            address: text.parse().ok()?,
            pod_uid: target["uid"].as_str().unwrap_or("").into(),
            pod_name: target["name"].as_str().unwrap_or(text).into(),
            node: endpoint["nodeName"].as_str().unwrap_or("").into(),
            readiness,
        })
    }
}

/// An EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceView {
    /// Its own name.
    pub name: ObjectName,
    /// The Service it belongs to.
    pub service: ObjectName,
    /// Name and number of each port of its pods.
    pub ports: Vec<(Arc<str>, u16)>,
    /// Its pods.
    pub endpoints: Vec<EndpointView>,
}

impl SliceView {
    /// Reads a `discovery.k8s.io/v1` EndpointSlice; `None` without a name or without a Service.
    pub fn from_json(object: &Value) -> Option<SliceView> {
        let name = ObjectName::from_json(object)?;
        let service = object["metadata"]["labels"]["kubernetes.io/service-name"].as_str()?.into();
        let service = ObjectName { namespace: name.namespace.clone(), name: service };
        let port = |port: &Value| Some((port["name"].as_str().unwrap_or("").into(), port_number(&port["port"])?));
        let ports = items(&object["ports"]).iter().filter_map(port).collect();
        let endpoints = items(&object["endpoints"]).iter().filter_map(EndpointView::from_json).collect();
        Some(SliceView { name, service, ports, endpoints })
    }
}

/// A Node: where its host serves, and which pods are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: Arc<str>,
    /// The host's own server.
    pub addr: SocketAddr,
    /// The addresses of its pods, if it has been given any.
    pub pods: Option<Cidr>,
}

impl NodeView {
    /// Reads a `v1` Node; `None` where it does not say where its host serves.
    pub fn from_json(object: &Value) -> Option<NodeView> {
        let (name, status) = (object["metadata"]["name"].as_str()?, &object["status"]);
        let address = items(&status["addresses"]).iter().find(|address| address["type"] == "InternalIP")?;
        let ip: IpAddr = address["address"].as_str()?.parse().ok()?;
        let port = port_number(&status["daemonEndpoints"]["kubeletEndpoint"]["Port"])?;
        let pods = object["spec"]["podCIDR"].as_str().and_then(|range| range.parse().ok());
        Some(NodeView { name: name.into(), addr: SocketAddr::new(ip, port), pods })
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn port_number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0)
}
