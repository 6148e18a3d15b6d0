//! The rules for names, label keys and values, ports and addresses; each returns what is wrong, nothing when all is well.

use std::net::IpAddr;

/// The longest DNS label.
pub const LABEL_BYTES_MAX: usize = 63;
/// The longest DNS subdomain.
pub const SUBDOMAIN_BYTES_MAX: usize = 253;

const LABEL_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FORMAT: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED_FORMAT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                              alphanumeric character";

/// The rule for a number that may not be negative.
pub const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
/// The rule for a field that never changes.
pub const IMMUTABLE: &str = "field is immutable";

fn rule(text: &str, format: &str, examples: &[&str]) -> String {
    let quoted: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{text} (e.g. {}regex used for validation is '{format}')", quoted.join(" or "))
}

fn too_long(bytes_max: usize) -> String {
    format!("must be no more than {bytes_max} bytes")
}

fn is_lower_alnum(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edges = [bytes.first(), bytes.last()];
    edges.iter().all(|edge| edge.is_some_and(|byte| is_lower_alnum(*byte)))
        && bytes.iter().all(|byte| is_lower_alnum(*byte) || *byte == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_qualified_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edges = [bytes.first(), bytes.last()];
    edges.iter().all(|edge| edge.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn length_and_form(text: &str, bytes_max: usize, is_valid: bool, message: impl FnOnce() -> String) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > bytes_max {
        errors.push(too_long(bytes_max));
    }
    if !is_valid {
        errors.push(message());
    }
    errors
}

/// A DNS label (RFC 1123): namespaces, container names.
pub fn dns1123_label(text: &str) -> Vec<String> {
    length_and_form(text, LABEL_BYTES_MAX, is_label(text), || {
        rule(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character",
            LABEL_FORMAT,
            &["my-name", "123-abc"],
        )
    })
}

/// A DNS subdomain (RFC 1123): most objects' names.
pub fn dns1123_subdomain(text: &str) -> Vec<String> {
    length_and_form(text, SUBDOMAIN_BYTES_MAX, is_subdomain(text), || {
        rule(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character",
            SUBDOMAIN_FORMAT,
            &["example.com"],
        )
    })
}

/// A DNS label (RFC 1035), which starts with a letter: Services' names.
pub fn dns1035_label(text: &str) -> Vec<String> {
    let is_valid = is_label(text) && text.starts_with(|first: char| first.is_ascii_lowercase());
    length_and_form(text, LABEL_BYTES_MAX, is_valid, || {
        rule(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        )
    })
}

/// A host with a wildcard as its first label: `*.example.com`.
pub fn wildcard_subdomain(text: &str) -> Vec<String> {
    let is_valid = text.strip_prefix("*.").is_some_and(is_subdomain);
    length_and_form(text, SUBDOMAIN_BYTES_MAX, is_valid, || {
        rule(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist \
             of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{SUBDOMAIN_FORMAT}"),
            &["*.example.com"],
        )
    })
}

/// A host, or a wildcard for some.
pub fn host_or_wildcard(text: &str) -> Vec<String> {
    if text.contains('*') { wildcard_subdomain(text) } else { dns1123_subdomain(text) }
}

/// The host of a rule of an ingress, of which addresses are none.
pub fn ingress_host(text: &str) -> Vec<String> {
    let address = text.parse::<IpAddr>().is_ok().then(|| "must be a DNS name, not an IP address".to_owned());
    address.into_iter().chain(host_or_wildcard(text)).collect()
}

/// A qualified name, `example.com/name` or `name`: label and annotation keys, finalizers, resource names.
pub fn qualified_name(text: &str) -> Vec<String> {
    let form = || rule(QUALIFIED_RULE, QUALIFIED_FORMAT, &["MyName", "my.name", "123-abc"]);
    let mut errors = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, rest)) if rest.contains('/') => {
            let form = form();
            return vec![format!(
                "a qualified name {form} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some(("", name)) => {
            errors.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            errors.extend(dns1123_subdomain(prefix).into_iter().map(|error| format!("prefix part {error}")));
            name
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_BYTES_MAX {
        errors.push(format!("name part {}", too_long(LABEL_BYTES_MAX)));
    }
    if !is_qualified_part(name) {
        errors.push(format!("name part {}", form()));
    }
    errors
}

/// A label's value.
pub fn label_value(text: &str) -> Vec<String> {
    length_and_form(text, LABEL_BYTES_MAX, text.is_empty() || is_qualified_part(text), || {
        rule(
            &format!("a valid label must be an empty string or {}", &QUALIFIED_RULE["must ".len()..]),
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        )
    })
}

/// A key of a ConfigMap's or Secret's data.
pub fn config_key(text: &str) -> Vec<String> {
    let is_valid =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let mut errors = length_and_form(text, SUBDOMAIN_BYTES_MAX, is_valid, || {
        rule(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        )
    });
    match text {
        "." => errors.push("must not be '.'".to_owned()),
        ".." => errors.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => errors.push("must not start with '..'".to_owned()),
        _ => {}
    }
    errors
}

/// An environment variable's name.
pub fn env_var_name(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["must be non-empty".to_owned()];
    }
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        return Vec::new();
    }
    vec!["a valid environment variable name must consist only of printable ASCII characters other than '='".to_owned()]
}

/// The name of a header that a probe sends.
pub fn http_header_name(text: &str) -> Vec<String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    vec![
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
            .to_owned(),
    ]
}

/// A port's number.
pub fn port(number: i64) -> Vec<String> {
    if (1..=65535).contains(&number) {
        return Vec::new();
    }
    vec!["must be between 1 and 65535, inclusive".to_owned()]
}

/// A port's name, as containers declare and Services target it.
pub fn port_name(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > 15 {
        errors.push(too_long(15));
    }
    if !text.bytes().all(|byte| is_lower_alnum(byte) || byte == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// A block of addresses, `10.9.8.0/24`.
pub fn cidr(text: &str) -> Vec<String> {
    let is_block = text.split_once('/').is_some_and(|(address, length)| {
        let is_plain = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let bits = address.parse().ok().map(|address: IpAddr| if address.is_ipv4() { 32 } else { 128 });
        is_plain && bits.zip(length.parse::<u8>().ok()).is_some_and(|(bits, length)| length <= bits)
    });
    if is_block {
        Vec::new()
    } else {
        vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned()]
    }
}

/// An IP address.
pub fn ip_address(text: &str) -> Vec<String> {
    if text.parse::<IpAddr>().is_ok() {
        return Vec::new();
    }
    vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()]
}

/// A part of a URL's path: names that follow no stricter rule.
pub fn path_segment(text: &str) -> Vec<String> {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    let refused = ["/", "%"].iter().filter(|part| text.contains(**part));
    refused.map(|part| format!("may not contain '{part}'")).collect()
}

/// A quantity: `100m`, `1.5Gi`.
pub fn quantity(text: &str) -> Vec<String> {
    crate::quantity::Quantity::parse(text).err().map(|error| error.to_string()).into_iter().collect()
}
