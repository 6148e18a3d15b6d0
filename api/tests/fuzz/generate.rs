//! Random objects that fit their schema: any kind, any field, values that mean something.

use coracle_api::kind::Kind;
use coracle_api::kinds;
use coracle_api::schema::{self, Definition, Shape};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};

/// Texts that some field somewhere gives a meaning.
pub(crate) const WORDS: &[&str] = &[
    "",
    "a",
    "web",
    "default",
    "a.example",
    "*.a.example",
    "example.org/a@sha256:00",
    "app.kubernetes.io/name",
    "Always",
    "Never",
    "OnFailure",
    "Recreate",
    "RollingUpdate",
    "ClusterIP",
    "None",
    "NodePort",
    "ExternalName",
    "TCP",
    "UDP",
    "HTTP",
    "Prefix",
    "/",
    "/a/b",
    "..",
    "10.0.0.1",
    "::1",
    "IPv4",
    "In",
    "Exists",
    "NoSchedule",
    "Opaque",
    "v1",
    "apps/v1",
    "Pod",
    "50%",
    "101%",
    "-1",
    "0",
    "1Gi",
    "metadata.name",
    "limits.cpu",
    "$(A)",
    "\u{0}",
    "\u{e9}\u{1f6f6}",
    " ",
    "a b",
    "\n",
    "kubernetes.io/hostname",
    "2026-01-01T00:00:00Z",
];
const INTEGERS: &[i32] = &[0, 1, 2, 3, 80, 8080, 65_535, 65_536, -1, i32::MAX, i32::MIN];
const QUANTITIES: &[&str] = &["0", "1", "250m", "0.5", "1Gi", "1e3", "-1", "9223372036854775807", "1E", "1n"];
const DEPTH_MAX: usize = 8;

/// An object of any kind there is.
pub(crate) fn object(random: &mut StdRng) -> Value {
    let kind = *kinds::ALL.choose(random).unwrap();
    object_of(random, kind)
}

/// An object of a kind.
pub(crate) fn object_of(random: &mut StdRng, kind: &Kind) -> Value {
    let mut object = json!({ "metadata": { "name": "a" } });
    if let Some(definition) = schema::definition(kind.definition) {
        object = fields(random, definition, 0);
    }
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.into();
    object
}

fn fields(random: &mut StdRng, definition: &'static Definition, depth: usize) -> Value {
    let share = [0.8, 0.6, 0.3, 0.2, 0.2, 0.1, 0.1, 0.1, 0.0][depth.min(DEPTH_MAX)];
    let mut object = Map::new();
    for field in definition.fields() {
        if random.random_bool(share) {
            object.insert(field.name.to_owned(), value(random, &field.shape, depth + 1));
        }
    }
    Value::Object(object)
}

/// A value of a shape; `depth` is how many objects are around it.
fn value(random: &mut StdRng, shape: &Shape, depth: usize) -> Value {
    match shape {
        Shape::String => (*WORDS.choose(random).unwrap()).into(),
        Shape::Bytes => (*["", "YQ==", "//4A"].choose(random).unwrap()).into(),
        Shape::Integer32 => (*INTEGERS.choose(random).unwrap()).into(),
        Shape::Integer64 => {
            if random.random_bool(0.1) {
                i64::MAX.into()
            } else {
                (*INTEGERS.choose(random).unwrap()).into()
            }
        }
        Shape::Number => json!(*[0.0, 0.5, -1e300].choose(random).unwrap()),
        Shape::Boolean => random.random_bool(0.5).into(),
        Shape::Time | Shape::MicroTime => {
            (*["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"].choose(random).unwrap())
                .into()
        }
        Shape::IntOrString if random.random_bool(0.5) => (*INTEGERS.choose(random).unwrap()).into(),
        Shape::IntOrString => (*["50%", "http", "0%", "", "200%"].choose(random).unwrap()).into(),
        Shape::Quantity => (*QUANTITIES.choose(random).unwrap()).into(),
        Shape::Any => json!({ "a": [1, null, { "b": "c" }] }),
        Shape::List(item) => (0..random.random_range(0..3)).map(|_| value(random, item, depth)).collect(),
        Shape::Map(values) => {
            let entries = (0..random.random_range(0..3)).map(|_| {
                let key = WORDS.choose(random).unwrap();
                ((*key).to_owned(), value(random, values, depth))
            });
            Value::Object(entries.collect())
        }
        Shape::Object(reference) if random.random_bool(0.02) => fields(random, reference.definition(), DEPTH_MAX),
        Shape::Object(reference) => fields(random, reference.definition(), depth),
    }
}
