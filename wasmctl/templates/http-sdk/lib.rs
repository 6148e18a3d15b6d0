//! Answers HTTP requests: `GET /` greets whom `$GREETING_NAME` names, `GET /sum?a=1&b=2` adds.

use coracle_sdk::http::{Json, Query, Router, get};
use coracle_sdk::{config, http_handler, info};
use serde::Deserialize;

#[http_handler]
fn app() -> Router {
    Router::new().route("/", get(hello)).route("/sum", get(sum))
}

async fn hello() -> Result<String, config::Error> {
    let name = config::optional::<String>("GREETING_NAME")?.unwrap_or_else(|| "world".to_owned());
    info!("greeted", name);
    Ok(format!("Hello, {name}!\n"))
}

#[derive(Deserialize)]
struct Terms {
    a: i64,
    b: i64,
}

async fn sum(Query(terms): Query<Terms>) -> Json<i64> {
    Json(terms.a.saturating_add(terms.b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_sdk::test::Client;

    #[test]
    fn greets() {
        assert_eq!(Client::new(app()).get("/").text(), "Hello, world!\n");
    }

    #[test]
    fn adds() {
        assert_eq!(Client::new(app()).get("/sum?a=1&b=2").json::<i64>(), 3);
        assert_eq!(Client::new(app()).get("/sum?a=one").status(), 400);
    }
}
