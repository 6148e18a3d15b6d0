//! URLs as Go's `url.ParseRequestURI` reads them: absolute ones, or paths that begin with a slash.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::{Context, Function, global, member, mismatch};
use crate::cel::EvaluationError;
use crate::cel::check::Type;
use crate::cel::value::{Evaluated, Key, Map, Text, Value};

/// A URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cel) struct Url {
    whole: String,
    scheme: String,
    /// Host and port.
    host: String,
    path: String,
    query: String,
}

pub(super) const FUNCTIONS: &[Function] = &[
    member("getEscapedPath", 1..=1, Type::String, |_, arguments| {
        part("getEscapedPath", arguments, |url| url.path.clone())
    }),
    member("getHost", 1..=1, Type::String, |_, arguments| part("getHost", arguments, |url| url.host.clone())),
    member("getHostname", 1..=1, Type::String, |_, arguments| {
        part("getHostname", arguments, |url| url.host_and_port().0.to_owned())
    }),
    member("getPort", 1..=1, Type::String, |_, arguments| {
        part("getPort", arguments, |url| url.host_and_port().1.to_owned())
    }),
    member("getQuery", 1..=1, Type::Map, query),
    member("getScheme", 1..=1, Type::String, |_, arguments| part("getScheme", arguments, |url| url.scheme.clone())),
    global("isURL", 1..=1, Type::Bool, |context, arguments| match &arguments[0] {
        Value::String(text) => {
            context.meter.charge_bytes(text.len())?;
            Ok(Value::Bool(Url::parse(text).is_some()))
        }
        _ => Err(mismatch("isURL", arguments)),
    }),
    global("url", 1..=1, Type::Url, |context, arguments| match &arguments[0] {
        Value::String(text) => {
            context.meter.charge_bytes(text.len())?;
            let url = Url::parse(text).map(|url| Value::Url(Rc::new(url)));
            url.ok_or_else(|| {
                EvaluationError::failed(format!("URL parse error during conversion from string: {text:?}"))
            })
        }
        _ => Err(mismatch("url", arguments)),
    }),
];

impl Url {
    fn parse(text: &str) -> Option<Url> {
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return None;
        }
        let (before, query) = text.split_once('?').unwrap_or((text, ""));
        let (scheme, rest) = if before.starts_with('/') { ("", before) } else { before.split_once(':')? };
        let is_scheme = scheme.is_empty() && before.starts_with('/')
            || scheme.starts_with(|char: char| char.is_ascii_alphabetic())
                && scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
        let (host, path) = match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let is_path = host.is_empty() && path.starts_with('/') || !host.is_empty() || scheme.is_empty();
        if !is_scheme || !is_path || !is_host(host) || !is_escaped(path) {
            return None;
        }
        let [scheme, host, path, query] = [&*scheme.to_ascii_lowercase(), host, path, query].map(str::to_owned);
        Some(Url { whole: text.to_owned(), scheme, host, path, query })
    }

    /// Without the brackets of an IPv6 address.
    fn host_and_port(&self) -> (&str, &str) {
        match self.host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or_default()),
            None => self.host.rsplit_once(':').unwrap_or((&self.host, "")),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.whole)
    }
}

/// A host of no strange characters, and a port of digits.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("", rest),
            _ => return false,
        },
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    is_port && is_escaped(name) && !name.contains(['<', '>', '"', '[', ']', '^', '`', '{', '|', '}', '\\'])
}

/// Whether each percent sign is followed by two hexadecimal digits.
fn is_escaped(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let bytes = rest.as_bytes();
        bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

fn part<'a>(name: &str, arguments: &[Value<'a>], part: fn(&Url) -> String) -> Evaluated<'a> {
    match &arguments[0] {
        Value::Url(url) => Ok(Value::text(part(url))),
        _ => Err(mismatch(name, arguments)),
    }
}

/// The parameters, each with its values.
fn query<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Evaluated<'a> {
    let Value::Url(url) = &arguments[0] else { return Err(mismatch("getQuery", arguments)) };
    context.meter.charge_bytes(url.query.len())?;
    let mut parameters = BTreeMap::<String, Vec<Value<'_>>>::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.entry(unescape(name)).or_default().push(Value::text(unescape(value)));
    }
    let entries =
        parameters.into_iter().map(|(name, values)| (Key::String(Text::Shared(name.into())), Value::list(values)));
    Ok(Value::Map(Map::Made(Rc::new(entries.collect()))))
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let code =
            code.and_then(|digits| str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
