//! Keeps the ingress's routing table true: watches Ingresses, Services, EndpointSlices and Nodes, and swaps in a new table after each burst of
//! changes that may be believed. Decides nothing itself; `coracle_net::RouteBook` and `News` do. The puller learns here where other hosts are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use coracle_api::kinds;
use coracle_client::{Client, InformerEvent, ListOptions};
use coracle_net::views::{IngressView, NodeView, ObjectName, ServiceView, SliceView};
use coracle_net::{Handlers, RouteBook, RoutingTable};
use coracle_registry::Puller;
use futures::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::neighbours::Neighbours;
use super::news::News;

/// A table that takes longer is not made again at once, so that many thousand pods do not keep a processor busy while they come:
const REST_MIN: Duration = Duration::from_millis(5);
/// only after so many times as long.
const REST_FACTOR: u32 = 2;

/// Runs until `shutdown`.
pub(crate) async fn keep(
    client: Client,
    node: String,
    mut news: News,
    handlers: Arc<dyn Handlers>,
    routes: Arc<ArcSwap<RoutingTable>>,
    puller: Arc<Puller>,
    shutdown: CancellationToken,
) {
    let informer = |plural: &str| {
        let kind = kinds::by_any_name(plural).expect("the kind is built in");
        client.informer(kind, None, ListOptions::default()).map(move |event| (kind.kind, event))
    };
    let kinds = ["ingresses", "services", "endpointslices", "nodes"];
    let mut changes = futures::stream::select_all(kinds.map(informer));
    let mut handler_changes = handlers.changes();
    let (mut book, mut neighbours) = (RouteBook::new(), Neighbours::of(&node));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = handler_changes.changed() => match changed {
                Ok(()) => book.handlers_changed(),
                Err(_) => return,
            },
            () = news.heard_changed() => {}
            Some((kind, event)) = changes.next() => {
                neighbours.take(kind, &event);
                news.put(kind, event);
            }
        }
        // One table for a whole burst: take what has arrived already before building.
        while let Some(Some((kind, event))) = changes.next().now_or_never() {
            neighbours.take(kind, &event);
            news.put(kind, event);
        }
        news.believed().for_each(|(kind, event)| take(&mut book, kind, event));
        if let Some(hosts) = neighbours.news() {
            puller.set_hosts(hosts);
        }
        if book.is_changed() {
            let began = Instant::now();
            routes.store(Arc::new(book.build(handlers.as_ref(), &node)));
            let took = began.elapsed();
            if took > REST_MIN {
                shutdown.run_until_cancelled(tokio::time::sleep(took * REST_FACTOR)).await;
            }
        }
    }
}

fn take(book: &mut RouteBook, kind: &str, event: InformerEvent) {
    match (kind, event) {
        ("Ingress", InformerEvent::Restarted(items)) => {
            book.replace_ingresses(items.iter().filter_map(IngressView::from_json))
        }
        ("Service", InformerEvent::Restarted(items)) => {
            book.replace_services(items.iter().filter_map(ServiceView::from_json))
        }
        ("Node", InformerEvent::Restarted(items)) => {
            book.replace_nodes(items.iter().filter_map(NodeView::from_json));
        }
        (_, InformerEvent::Restarted(items)) => book.replace_slices(items.iter().filter_map(SliceView::from_json)),
        (kind, InformerEvent::Applied(object)) => apply(book, kind, &object),
        (kind, InformerEvent::Deleted(object)) => {
            let Some(name) = ObjectName::from_json(&object) else { return };
            match kind {
                "Ingress" => book.delete_ingress(&name),
                "Service" => book.delete_service(&name),
                "Node" => book.delete_node(&name.name),
                _ => book.delete_slice(&name),
            }
        }
    }
}

fn apply(book: &mut RouteBook, kind: &str, object: &Value) {
    match kind {
        "Ingress" => {
            if let Some(view) = IngressView::from_json(object) {
                book.put_ingress(view);
            }
        }
        "Service" => {
            if let Some(view) = ServiceView::from_json(object) {
                book.put_service(view);
            }
        }
        "Node" => {
            if let Some(view) = NodeView::from_json(object) {
                book.put_node(view);
            }
        }
        _ => {
            if let Some(view) = SliceView::from_json(object) {
                book.put_slice(view);
            }
        }
    }
}
