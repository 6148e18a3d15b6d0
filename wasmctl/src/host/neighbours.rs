//! Where the servers of the other hosts are that are ready: whom to ask for images that no member gives.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use coracle_client::InformerEvent;
use coracle_net::views::NodeView;
use serde_json::Value;

use crate::rollout::is_ready;

/// The other hosts, by node.
pub(super) struct Neighbours {
    own: Arc<str>,
    ready: BTreeMap<Arc<str>, SocketAddr>,
    is_changed: bool,
}

impl Neighbours {
    /// Those of the host of this name; none are known.
    pub(super) fn of(own: &str) -> Neighbours {
        Neighbours { own: own.into(), ready: BTreeMap::new(), is_changed: false }
    }

    /// Takes over what became of Nodes; other kinds pass.
    pub(super) fn take(&mut self, kind: &str, event: &InformerEvent) {
        match event {
            _ if kind != "Node" => {}
            InformerEvent::Restarted(nodes) => {
                self.is_changed |= !self.ready.is_empty();
                self.ready.clear();
                nodes.iter().for_each(|node| self.put(node));
            }
            InformerEvent::Applied(node) => self.put(node),
            InformerEvent::Deleted(node) => self.remove(coracle_api::object::name(node)),
        }
    }

    /// `https://HOST:PORT` of all of them, if anything has changed since this was asked.
    pub(super) fn news(&mut self) -> Option<Vec<String>> {
        let is_changed = std::mem::take(&mut self.is_changed);
        is_changed.then(|| self.ready.values().map(|addr| format!("https://{addr}")).collect())
    }

    fn put(&mut self, node: &Value) {
        match NodeView::from_json(node) {
            Some(view) if view.name == self.own => {}
            Some(NodeView { name, addr, .. }) if is_ready(node) => {
                self.is_changed |= self.ready.insert(name, addr) != Some(addr);
            }
            _ => self.remove(coracle_api::object::name(node)),
        }
    }

    fn remove(&mut self, name: &str) {
        self.is_changed |= self.ready.remove(name).is_some();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, ip: &str, ready: &str) -> Value {
        json!({ "metadata": { "name": name }, "status": {
            "addresses": [{ "type": "InternalIP", "address": ip }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
            "conditions": [{ "type": "Ready", "status": ready }],
        }})
    }

    #[test]
    fn other_hosts_are_asked_while_they_are_ready() {
        let mut neighbours = Neighbours::of("own");
        let mut check = |kind: &str, event: InformerEvent, expected: Option<&[&str]>| {
            neighbours.take(kind, &event);
            let expected = expected.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
            assert_eq!(neighbours.news(), expected, "{event:?}");
        };
        let all = vec![node("own", "10.0.0.1", "True"), node("a", "10.0.0.2", "True"), node("b", "10.0.0.3", "False")];
        check("Node", InformerEvent::Restarted(all), Some(&["https://10.0.0.2:10250"]));
        check("Node", InformerEvent::Applied(node("a", "10.0.0.2", "True")), None);
        check("Pod", InformerEvent::Deleted(node("a", "10.0.0.2", "True")), None);
        let both = ["https://10.0.0.2:10250", "https://[fd00::3]:10250"];
        check("Node", InformerEvent::Applied(node("b", "fd00::3", "True")), Some(&both));
        check("Node", InformerEvent::Applied(node("a", "10.0.0.2", "Unknown")), Some(&both[1..]));
        check("Node", InformerEvent::Deleted(node("b", "fd00::3", "True")), Some(&[]));
    }
}
