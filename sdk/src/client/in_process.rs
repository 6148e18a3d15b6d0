//! Asks the routers that a test gave for Services; there is no network.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use tower_service::Service as _;

use super::Failure;

thread_local! {
    static SERVICES: RefCell<BTreeMap<String, Router>> = const { RefCell::new(BTreeMap::new()) };
}

/// Does something while requests to these authorities (`stock`, `stock.shop.svc:8080`) go to these routers.
pub(crate) fn with_services<T>(services: BTreeMap<String, Router>, work: impl FnOnce() -> T) -> T {
    struct Restore(BTreeMap<String, Router>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SERVICES.set(std::mem::take(&mut self.0));
        }
    }
    let _before = Restore(SERVICES.replace(services));
    work()
}

pub(super) async fn send(request: Request<Body>, _: Option<Duration>) -> Result<Response<Body>, Failure> {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let Some(mut service) = SERVICES.with_borrow(|services| services.get(&authority).cloned()) else {
        return Err(Failure::Other(format!(
            "outside a component there is no network; give the test a router for it: \
             `test::Client::with_service(\"{authority}\", …)`"
        )));
    };
    let Ok(response) = service.call(request).await;
    Ok(response)
}
