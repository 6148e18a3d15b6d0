//! What the host is told while the control plane does not hear it: held back, as it's told of a world where this host is taken for lost, its
//! pods among them, while they serve. Networks lose packets in one direction only, too.
//!
//! Deliberately absent: pods. One that is deleted ends, however late that is heard of.

use coracle_api::object;
use coracle_client::InformerEvent;
use serde_json::Value;
use tokio::sync::watch;

/// Changes on their way to the routing table.
pub(super) struct News {
    node: String,
    heard: watch::Receiver<bool>,
    is_taken_for_lost: bool,
    held: Vec<(&'static str, InformerEvent)>,
}

impl News {
    /// For the host of this name; `heard` says whether the control plane hears it.
    pub(super) fn of(node: &str, heard: watch::Receiver<bool>) -> News {
        News { node: node.to_owned(), heard, is_taken_for_lost: false, held: Vec::new() }
    }

    /// Waits until the control plane begins or ceases to hear the host.
    pub(super) async fn heard_changed(&mut self) {
        if self.heard.changed().await.is_err() {
            // The host is ending.
            std::future::pending().await
        }
    }

    /// Takes what was told of a kind.
    pub(super) fn put(&mut self, kind: &'static str, event: InformerEvent) {
        let is_own = |node: &&Value| kind == "Node" && object::name(node) == self.node;
        match &event {
            InformerEvent::Applied(node) if is_own(&node) => self.is_taken_for_lost = is_lost(node),
            InformerEvent::Restarted(all) => {
                self.is_taken_for_lost = all.iter().find(is_own).map_or(self.is_taken_for_lost, is_lost);
                // It says all that those before it did.
                self.held.retain(|(held, _)| *held != kind);
            }
            _ => {}
        }
        self.held.push((kind, event));
    }

    /// What there is to believe now: everything, or nothing yet.
    pub(super) fn believed(&mut self) -> impl Iterator<Item = (&'static str, InformerEvent)> {
        let is_known = *self.heard.borrow() && !self.is_taken_for_lost;
        let count = if is_known { self.held.len() } else { 0 };
        self.held.drain(..count)
    }
}

/// Whether the control plane has not heard the host of this Node for too long.
fn is_lost(node: &Value) -> bool {
    let mut conditions = object::list_at(node, &["status", "conditions"]).iter();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "Unknown")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, ready: &str) -> Value {
        json!({ "metadata": { "name": name }, "status": { "conditions": [{ "type": "Ready", "status": ready }] } })
    }

    fn slice(name: &str) -> InformerEvent {
        InformerEvent::Applied(json!({ "metadata": { "name": name } }))
    }

    fn believed(news: &mut News) -> String {
        let texts = news.believed().map(|(kind, event)| match event {
            InformerEvent::Restarted(all) => format!("{kind} all {}", all.len()),
            InformerEvent::Applied(object) | InformerEvent::Deleted(object) => {
                format!("{kind} {}", object::name(&object))
            }
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn nothing_is_believed_while_the_host_is_not_heard() {
        let (hears, heard) = watch::channel(true);
        let mut news = News::of("own", heard);
        news.put("EndpointSlice", slice("a"));
        assert_eq!(believed(&mut news), "EndpointSlice a");
        hears.send_replace(false);
        news.put("EndpointSlice", slice("b"));
        news.put("Service", slice("c"));
        assert_eq!(believed(&mut news), "");
        news.put("EndpointSlice", InformerEvent::Restarted(vec![]));
        news.put("EndpointSlice", slice("d"));
        assert_eq!(believed(&mut news), "");
        hears.send_replace(true);
        assert_eq!(believed(&mut news), "Service c, EndpointSlice all 0, EndpointSlice d");
        assert_eq!(believed(&mut news), "");
    }

    #[test]
    fn nothing_is_believed_before_the_host_counts_as_found_again() {
        let (_hears, heard) = watch::channel(true);
        let mut news = News::of("own", heard);
        news.put("Node", InformerEvent::Applied(node("other", "Unknown")));
        assert_eq!(believed(&mut news), "Node other");
        news.put("Node", InformerEvent::Restarted(vec![node("other", "True"), node("own", "Unknown")]));
        news.put("EndpointSlice", slice("a"));
        assert_eq!(believed(&mut news), "");
        news.put("Node", InformerEvent::Applied(node("own", "True")));
        assert_eq!(believed(&mut news), "Node all 2, EndpointSlice a, Node own");
    }
}
