//! A handler written with the SDK: routes, extractors, configuration, logs, calls of Services, and tests that need neither a cluster nor Wasm.

use coracle_sdk::http::{Json, Path, Query, Router, StatusCode, get};
use coracle_sdk::{client, config, debug, http_handler};
use serde::{Deserialize, Serialize};

#[http_handler]
fn app() -> Router {
    Router::new()
        .route("/", get(async || "Hello from the SDK!\n"))
        .route("/hello/{name}", get(hello))
        .route("/sum", get(sum))
        .route("/from/{service}", get(from))
}

#[derive(Serialize)]
struct Greeting {
    text: String,
}

async fn hello(Path(name): Path<String>) -> Result<Json<Greeting>, config::Error> {
    let greeting = config::optional::<String>("GREETING")?.unwrap_or_else(|| "Hello".to_owned());
    debug!("greeted", name);
    Ok(Json(Greeting { text: format!("{greeting}, {name}!") }))
}

#[derive(Deserialize)]
struct Terms {
    a: u32,
    b: u32,
}

async fn sum(Query(terms): Query<Terms>) -> Result<String, (StatusCode, &'static str)> {
    let sum = terms.a.checked_add(terms.b).ok_or((StatusCode::UNPROCESSABLE_ENTITY, "the sum is too large\n"))?;
    Ok(format!("{sum}\n"))
}

/// What another Service says.
async fn from(Path(service): Path<String>) -> Result<String, client::Error> {
    let text = client::get(format!("http://{service}/")).send().await?.ok()?.text().await?;
    Ok(format!("{service} says: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_sdk::test::Client;

    #[test]
    fn greets_by_name() {
        assert_eq!(Client::new(app()).get("/hello/Ada").text(), r#"{"text":"Hello, Ada!"}"#);
    }

    #[test]
    fn passes_on_what_a_service_says() {
        let client = Client::new(app()).with_service("stock", Router::new().route("/", get(async || "3 left\n")));
        assert_eq!(client.get("/from/stock").text(), "stock says: 3 left\n");
        assert_eq!(client.get("/from/nobody").status(), 502);
    }

    #[test]
    fn sums_what_fits() {
        let client = Client::new(app());
        assert_eq!(client.get("/sum?a=1&b=2").text(), "3\n");
        assert_eq!(client.get("/sum?a=4294967295&b=1").status(), 422);
        assert_eq!(client.get("/sum?a=one&b=2").status(), 400);
    }
}
