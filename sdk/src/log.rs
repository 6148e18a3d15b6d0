//! Structured logs: one JSON object a line on standard error, where the host gathers it.
//!
//! ```
//! use coracle_sdk::{info, warn};
//!
//! let (item, count) = (7, 3);
//! info!("sold", item, count);
//! warn!("nearly sold out", item, left = 10 - count);
//! ```
//!
//! prints
//!
//! ```json
//! {"level":"info","message":"sold","count":3,"item":7}
//! {"level":"warn","message":"nearly sold out","item":7,"left":7}
//! ```
//!
//! A field is anything that serialises; they are in the order of their names. Within a request whose client or ingress named it (`X-Request-Id`), each line says which one, as `request`.
//! `$LOG` says from which level on lines are written: `error`, `warn`, `info` (the default), `debug`, `trace` or `off`.
//! What libraries log through the `log` crate is written in the same way, with its `target`.
//!
//! Deliberately absent: times, which the host adds (`kubectl logs --timestamps`), and spans.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::OnceLock;

pub use log::{Level, LevelFilter};
use serde_json::{Map, Value, json};

thread_local! {
    /// Which request is being answered. Under WASI 0.2 an instance answers one at a time.
    static REQUEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From which level on lines are written, as `$LOG` said when the first was.
pub fn level() -> LevelFilter {
    static LEVEL: OnceLock<LevelFilter> = OnceLock::new();
    *LEVEL.get_or_init(|| parse_level(std::env::var("LOG").ok().as_deref()))
}

/// Writes one line; [`info!`](crate::info) and its kin are the way to it. `fields` is an object.
pub fn write(level: Level, message: &str, fields: Value) {
    if level > self::level() {
        return;
    }
    let request = REQUEST.with_borrow(Clone::clone);
    let line = line(level, message, fields, request.as_deref());
    // Nobody is there to be told that logs can't be written.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Lets libraries log here too.
pub(crate) fn start() {
    if log::set_logger(&Bridge).is_ok() {
        log::set_max_level(level());
    }
}

/// From now on lines are about this request.
#[cfg(target_family = "wasm")]
pub(crate) fn begin_request(headers: &http::HeaderMap) {
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    REQUEST.set(id);
}

/// The id of the request that is being answered.
pub(crate) fn request_id() -> Option<String> {
    REQUEST.with_borrow(Clone::clone)
}

fn parse_level(text: Option<&str>) -> LevelFilter {
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(LevelFilter::Info)
}

/// One line: level, message and request first, then the fields; what the line itself says can't be overwritten.
fn line(level: Level, message: &str, fields: Value, request: Option<&str>) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let mut line = format!("{{\"level\":\"{}\",\"message\":{}", level.as_str().to_lowercase(), quoted(message));
    let request = request.map(|id| ("request".to_owned(), Value::from(id)));
    let fields = match fields {
        Value::Object(fields) => fields,
        other => Map::from_iter([("fields".to_owned(), other)]),
    };
    let reserved = |name: &String| name == "level" || name == "message" || name == "request";
    let given = fields
        .into_iter()
        .map(|(name, value)| if reserved(&name) { (format!("{name}_"), value) } else { (name, value) });
    for (name, value) in request.into_iter().chain(given) {
        line.push_str(&format!(",{}:{value}", quoted(&name)));
    }
    line.push_str("}\n");
    line
}

/// Takes what is logged through the `log` crate.
struct Bridge;

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= level()
    }

    fn log(&self, record: &log::Record<'_>) {
        write(record.level(), &record.args().to_string(), json!({ "target": record.target() }));
    }

    fn flush(&self) {}
}

/// Logs a message and fields at a level; the fields are `name` or `name = value`.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_at {
    ($level:ident, $message:expr $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        if $crate::log::Level::$level <= $crate::log::level() {
            $crate::log::write(
                $crate::log::Level::$level,
                ::core::convert::AsRef::<str>::as_ref(&$message),
                $crate::__log::json!({ $(::core::stringify!($name): $crate::__log_value!($name $(= $value)?)),* }),
            );
        }
    };
}

/// The value of a field.
#[macro_export]
#[doc(hidden)]
macro_rules! __log_value {
    ($name:ident) => {
        $name
    };
    ($name:ident = $value:expr) => {
        $value
    };
}

/// Logs what failed: `error!("payment failed", order, error = error.to_string())`.
#[macro_export]
macro_rules! error { ($($what:tt)+) => { $crate::__log_at!(Error, $($what)+) }; }
/// Logs what will need somebody: `warn!("nearly sold out", item)`.
#[macro_export]
macro_rules! warn { ($($what:tt)+) => { $crate::__log_at!(Warn, $($what)+) }; }
/// Logs what happened: `info!("sold", item, count = 3)`.
#[macro_export]
macro_rules! info { ($($what:tt)+) => { $crate::__log_at!(Info, $($what)+) }; }
/// Logs what helps to find an error; not written unless `$LOG` says so.
#[macro_export]
macro_rules! debug { ($($what:tt)+) => { $crate::__log_at!(Debug, $($what)+) }; }
/// Logs every step; not written unless `$LOG` says so.
#[macro_export]
macro_rules! trace { ($($what:tt)+) => { $crate::__log_at!(Trace, $($what)+) }; }

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(message: &str, fields: Value, request: Option<&str>, expected: Expect) {
        expected.assert_eq(&line(Level::Info, message, fields, request));
    }

    #[test]
    fn lines_are_json_and_stay_one_line() {
        check(
            "sold",
            json!({}),
            None,
            expect![[r#"
            {"level":"info","message":"sold"}
        "#]],
        );
        check(
            "two\nlines \"quoted\"",
            json!({"item": 7, "name": "a\nb", "list": [1, 2]}),
            Some("r-1"),
            expect![[r#"
            {"level":"info","message":"two\nlines \"quoted\"","request":"r-1","item":7,"list":[1,2],"name":"a\nb"}
        "#]],
        );
    }

    #[test]
    fn fields_do_not_pretend_to_be_the_line_itself() {
        check(
            "sold",
            json!({"level": "error", "request": "r-2"}),
            Some("r-1"),
            expect![[r#"
            {"level":"info","message":"sold","request":"r-1","level_":"error","request_":"r-2"}
        "#]],
        );
        check(
            "sold",
            json!([1]),
            None,
            expect![[r#"
            {"level":"info","message":"sold","fields":[1]}
        "#]],
        );
    }

    #[test]
    fn levels() {
        for (text, expected) in [
            (None, LevelFilter::Info),
            (Some("debug"), LevelFilter::Debug),
            (Some("WARN"), LevelFilter::Warn),
            (Some("off"), LevelFilter::Off),
            (Some("loud"), LevelFilter::Info),
        ] {
            assert_eq!(parse_level(text), expected, "{text:?}");
        }
    }
}
