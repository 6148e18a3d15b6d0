use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::routes::tests::{Here, ingress, path, service, slice};
use crate::routes::{Endpoint, RoutingTable};

fn ingress_view(value: &Value) -> IngressView {
    IngressView::from_json(value).unwrap()
}

fn book(service_name: &str, pods: &[&str]) -> RouteBook {
    let mut book = RouteBook::new();
    book.put_ingress(ingress_view(&ingress("i", &[("h", &[path("/", "Prefix", service_name)])])));
    book.put_service(ServiceView::from_json(&service(service_name)).unwrap());
    book.put_slice(SliceView::from_json(&slice(service_name, pods)).unwrap());
    book
}

fn endpoints(table: &RoutingTable) -> Vec<Arc<Endpoint>> {
    table.find("h", "/").map(|route| route.endpoints().to_vec()).unwrap_or_default()
}

fn pods(table: &RoutingTable) -> String {
    endpoints(table).iter().map(|endpoint| endpoint.pod.to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn endpoints_that_stay_keep_their_count_of_requests() {
    let here = Here::new(&["a", "b", "c"]);
    let mut book = book("web", &["a", "b"]);
    let first = endpoints(&book.build(&here, "here"));
    first[1].begin();
    book.put_slice(SliceView::from_json(&slice("web", &["c", "b"])).unwrap());
    let table = book.build(&here, "here");
    let second = endpoints(&table);
    assert_eq!(pods(&table), "default/c default/b");
    assert!(Arc::ptr_eq(&first[1], &second[1]) && second[1].in_flight() == 1);
}

#[test]
fn routes_of_other_services_are_not_made_again() {
    let here = Here::new(&["a"]);
    let mut book = book("web", &["a"]);
    let before = book.build(&here, "here").find("h", "/").unwrap().clone();
    book.put_service(ServiceView::from_json(&service("other")).unwrap());
    book.put_slice(SliceView::from_json(&slice("other", &["b"])).unwrap());
    assert!(book.is_changed());
    assert!(Arc::ptr_eq(&before, book.build(&here, "here").find("h", "/").unwrap()));
    book.handlers_changed();
    assert!(!Arc::ptr_eq(&before, book.build(&here, "here").find("h", "/").unwrap()));
}

#[test]
fn what_is_put_again_unchanged_changes_nothing() {
    let mut book = book("web", &["a"]);
    book.build(&Here::default(), "here");
    book.put_slice(SliceView::from_json(&slice("web", &["a"])).unwrap());
    book.put_service(ServiceView::from_json(&service("web")).unwrap());
    book.put_ingress(ingress_view(&ingress("i", &[("h", &[path("/", "Prefix", "web")])])));
    book.delete_slice(&ObjectName::new("default", "unknown"));
    assert!(!book.is_changed());
}

#[test]
fn a_handler_that_appears_is_found() {
    let mut book = book("web", &["a"]);
    let is_local = |table: &RoutingTable| matches!(endpoints(table)[0].target, crate::Target::Local(_));
    assert!(!is_local(&book.build(&Here::default(), "here")));
    book.handlers_changed();
    assert!(is_local(&book.build(&Here::new(&["a"]), "here")));
}

#[test]
fn replacing_forgets_what_is_not_listed() {
    let here = Here::default();
    let mut book = book("web", &["a"]);
    assert_eq!(pods(&book.build(&here, "here")), "default/a");
    book.replace_slices([]);
    assert_eq!(book.build(&here, "here").find("h", "/").unwrap().reason(), "no ready pod behind service default/web");
    book.replace_services([]);
    assert_eq!(book.build(&here, "here").find("h", "/").unwrap().reason(), "no Service default/web");
    book.replace_ingresses([]);
    assert!(book.build(&here, "here").find("h", "/").is_none());
}

/// Step by step and all at once give the same table.
#[test]
fn a_book_builds_what_build_routes_builds() {
    let here = Here::new(&["a", "d"]);
    let mut book = book("web", &["a", "b"]);
    for pods in [&["a"][..], &["a", "b", "c"], &[], &["d", "b"]] {
        let view = SliceView::from_json(&slice("web", pods)).unwrap();
        book.put_slice(view.clone());
        let step_by_step = book.build(&here, "here");
        let ingress = ingress_view(&ingress("i", &[("h", &[path("/", "Prefix", "web")])]));
        let service = ServiceView::from_json(&service("web")).unwrap();
        let at_once = crate::build_routes(&[ingress], &[service], &[view], &here, "here", &Peers::default());
        let (one, two) = (endpoints(&step_by_step), endpoints(&at_once));
        assert!(one.len() == two.len() && one.iter().zip(&two).all(|(one, two)| one.is_same(two)));
    }
}
