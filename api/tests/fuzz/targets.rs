//! What is fuzzed, and what must hold of any input.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coracle_api::apply::{self, Application, ManagedFields, Part, Writer};
use coracle_api::cel::{AccessCheck, AccessSubject, Authorize, Budget, Declarations, Evaluation, Program};
use coracle_api::continue_token::ContinueToken;
use coracle_api::decode::{self, ContentType};
use coracle_api::schema::{self, ProblemKind};
use coracle_api::selector::{FieldSelector, LabelSelector};
use coracle_api::table::{self, Include};
use coracle_api::{encode, kinds, patch, spdy, yaml};
use jiff::Timestamp;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::engine::{Target, run};
use crate::{generate, mutate};

/// Inputs to start from, of those that are made at random.
const GENERATED: usize = 100;

/// A value that came out of a body or patch is JSON that reads as the same value.
fn check_json(value: &Value) {
    let again = decode::decode_any(value.to_string().as_bytes(), ContentType::Json).unwrap();
    assert_eq!(&again.value, value);
    assert!(again.duplicates.is_empty());
}

/// An object that fits its schema can be defaulted, validated, stored and shown.
fn check_object(object: &Value) {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let Some(kind) = kinds::by_api_version(text("apiVersion"), text("kind")) else { return };
    if let Some(definition) = schema::definition(kind.definition)
        && schema::check(definition, object).iter().any(|problem| problem.kind != ProblemKind::Unknown)
    {
        return;
    }
    let mut prepared = object.clone();
    kind.prepare(&mut prepared);
    let mut again = prepared.clone();
    kind.default(&mut again);
    assert_eq!(again, prepared, "defaulting is idempotent");
    let mut errors = Vec::new();
    kind.validate(&prepared, &mut errors);
    kind.validate_update(object, &prepared, &mut errors);
    let _ = table::row(kind, &prepared, Include::Object, Timestamp::UNIX_EPOCH);
    let _ = (kind.tags)(&prepared);
    let stored: Value = serde_json::from_slice(&encode::encode(&prepared).json).unwrap();
    assert_eq!(stored["spec"], prepared["spec"]);
}

fn check_body(body: &[u8], content_type: ContentType) -> Option<Value> {
    let object = decode::decode(body, content_type).ok()?.value;
    check_json(&object);
    check_object(&object);
    Some(object)
}

fn objects(random: &mut StdRng) -> Vec<Vec<u8>> {
    (0..GENERATED).map(|_| generate::object(random).to_string().into_bytes()).collect()
}

#[test]
fn json() {
    let check = |input: &[u8]| check_body(input, ContentType::Json).is_some();
    let mutate = |random: &mut StdRng, input: &[u8], others: &[Vec<u8>]| match random.random_bool(0.2) {
        true => generate::object(random).to_string().into_bytes(),
        false => mutate::json(random, input, others),
    };
    run(&Target { name: "json", seeds: objects, mutate, check });
}

#[test]
fn yaml() {
    let check = |input: &[u8]| {
        let Some(object) = check_body(input, ContentType::Yaml) else { return false };
        let printed = yaml::to_yaml(&object);
        let again = decode::decode(printed.as_bytes(), ContentType::Yaml);
        assert_eq!(again.map(|decoded| decoded.value), Ok(object), "{printed}");
        true
    };
    let seeds = |random: &mut StdRng| {
        let mut seeds = objects(random);
        seeds.extend((0..GENERATED).map(|_| yaml::to_yaml(&generate::object(random)).into_bytes()));
        seeds
    };
    run(&Target { name: "yaml", seeds, mutate: mutate::bytes, check });
}

#[test]
fn protobuf() {
    let check = |input: &[u8]| {
        let Some(object) = check_body(input, ContentType::Protobuf) else { return false };
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        if let Some(kind) = kinds::by_api_version(text("apiVersion"), text("kind")) {
            let problems = schema::check(schema::definition(kind.definition).unwrap(), &object);
            let malformed = problems.iter().all(|problem| matches!(problem.kind, ProblemKind::Malformed(_)));
            assert!(malformed, "{problems:?}");
        }
        true
    };
    let seeds = |_: &mut StdRng| {
        let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/protobuf");
        let mut paths: Vec<_> = std::fs::read_dir(recorded).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
    };
    run(&Target { name: "protobuf", seeds, mutate: mutate::protobuf, check });
}

/// An object and a patch for it, in one document.
fn patched(random: &mut StdRng, patch: impl Fn(&mut StdRng, &Value) -> Value) -> Vec<Vec<u8>> {
    let documents = (0..GENERATED).map(|_| {
        let object = generate::object(random);
        let patch = patch(random, &object);
        json!({ "object": object, "patch": patch }).to_string().into_bytes()
    });
    documents.collect()
}

/// Another object of the same kind.
fn sibling(random: &mut StdRng, object: &Value) -> Value {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    generate::object_of(random, kinds::by_api_version(text("apiVersion"), text("kind")).unwrap())
}

/// The object and the patch of a document; objects are as deep as bodies may be.
fn halves(input: &[u8]) -> Option<(Value, Value)> {
    let mut document: Value = serde_json::from_slice(input).ok()?;
    let (object, patch) = (document.get_mut("object")?.take(), document.get_mut("patch")?.take());
    let object = decode::decode(object.to_string().as_bytes(), ContentType::Json).ok()?.value;
    Some((object, patch))
}

#[test]
fn merge_patch() {
    let check = |input: &[u8]| {
        let Some((mut object, patch)) = halves(input) else { return false };
        let Ok(patch) = patch::parse(patch.to_string().as_bytes()) else { return false };
        patch::merge_patch(&mut object, &patch.value);
        check_json(&object);
        let once = object.clone();
        patch::merge_patch(&mut object, &patch.value);
        assert_eq!(object, once, "a merge patch is idempotent");
        true
    };
    run(&Target { name: "merge_patch", seeds: |random| patched(random, sibling), mutate: mutate::json, check });
}

#[test]
fn strategic_patch() {
    let check = |input: &[u8]| {
        let Some((object, patch)) = halves(input) else { return false };
        let Ok(patch) = patch::parse(patch.to_string().as_bytes()) else { return false };
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let kind = kinds::by_api_version(text("apiVersion"), text("kind"));
        let Some(definition) = kind.and_then(|kind| schema::definition(kind.definition)) else { return false };
        let Ok(result) = patch::strategic_merge(&object, &patch.value, definition) else { return false };
        check_json(&result);
        true
    };
    run(&Target { name: "strategic_patch", seeds: |random| patched(random, sibling), mutate: mutate::json, check });
}

#[test]
fn server_side_apply() {
    let check = |input: &[u8]| {
        let Some((live, config)) = halves(input) else { return false };
        let Ok(config) = patch::parse(config.to_string().as_bytes()) else { return false };
        let config = config.value;
        let text = |field: &str| live[field].as_str().unwrap_or_default();
        let kind = kinds::by_api_version(text("apiVersion"), text("kind"));
        let Some(definition) = kind.and_then(|kind| schema::definition(kind.definition)) else { return false };
        if !schema::check(definition, &live).is_empty() || apply::check(definition, &config).is_err() {
            return false;
        }
        let Ok(mut managed) = ManagedFields::of(&live) else { return false };
        let (manager, api_version) = ("fuzz".to_owned(), text("apiVersion").to_owned());
        let writer = Writer { manager, api_version, subresource: "", now: Timestamp::UNIX_EPOCH };
        let application = Application { part: Part::Whole, writer: &writer, force: true };
        let mut once = apply::apply(definition, &live, &config, &mut managed, application).unwrap();
        managed.write_to(&mut once);
        check_json(&once);
        let mut managed = ManagedFields::of(&once).unwrap();
        let mut twice = apply::apply(definition, &once, &config, &mut managed, application).unwrap();
        managed.write_to(&mut twice);
        assert_eq!(twice, once, "applying is idempotent");
        true
    };
    run(&Target { name: "server_side_apply", seeds: |random| patched(random, sibling), mutate: mutate::json, check });
}

/// Operations of every kind, that succeed on most objects.
fn operations(_: &mut StdRng, _: &Value) -> Value {
    json!([
        { "op": "test", "path": "/metadata", "value": {} },
        { "op": "add", "path": "/metadata/labels", "value": { "a": "b" } },
        { "op": "copy", "from": "/metadata/labels", "path": "/metadata/annotations" },
        { "op": "move", "from": "/metadata/labels/a", "path": "/metadata/labels/c" },
        { "op": "replace", "path": "/kind", "value": "Pod" },
        { "op": "add", "path": "/list", "value": [1, 2] },
        { "op": "add", "path": "/list/-", "value": 3 },
        { "op": "remove", "path": "/list/0" },
    ])
}

#[test]
fn json_patch() {
    let check = |input: &[u8]| {
        let Some((mut object, patch)) = halves(input) else { return false };
        if patch::json_patch(&mut object, patch.to_string().as_bytes()).is_err() {
            return false;
        }
        check_json(&object);
        true
    };
    let seeds = |random: &mut StdRng| {
        let mut documents = patched(random, operations);
        documents.extend(patched(random, |random, object| json!([operations(random, object)[1]])));
        documents
    };
    run(&Target { name: "json_patch", seeds, mutate: mutate::json, check });
}

#[test]
fn label_selector() {
    let check = |input: &[u8]| {
        let Some(selector) = str::from_utf8(input).ok().and_then(|text| LabelSelector::parse(text).ok()) else {
            return false;
        };
        assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector.clone()), "{selector}");
        let _ = selector.matches(&json!({ "metadata": { "labels": { "a": "b", "i": "2" } } }));
        true
    };
    let seeds = |_: &mut StdRng| {
        let texts =
            ["a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1,j<2", "", "a==b", "a in (,)", "x.example/a in ( b , c )"];
        texts.map(|text| text.as_bytes().to_vec()).to_vec()
    };
    run(&Target { name: "label_selector", seeds, mutate: mutate::bytes, check });
}

#[test]
fn field_selector() {
    let check = |input: &[u8]| {
        let Some(selector) = str::from_utf8(input).ok().and_then(|text| FieldSelector::parse(text).ok()) else {
            return false;
        };
        let printed = selector.terms.iter().map(|term| {
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            format!("{}{}{value}", term.path, if term.is_negated { "!=" } else { "=" })
        });
        let printed = printed.collect::<Vec<_>>().join(",");
        assert_eq!(FieldSelector::parse(&printed), Ok(selector.clone()), "{printed}");
        let _ = (selector.check(&["spec.nodeName"]), selector.matches(&json!({ "spec": { "nodeName": "a" } })));
        true
    };
    let seeds = |_: &mut StdRng| {
        let texts = ["metadata.name=x,spec.nodeName!=y", "", "a==b", r"a=b\,c\=\\d", "status.phase=Running,a!=,"];
        texts.map(|text| text.as_bytes().to_vec()).to_vec()
    };
    run(&Target { name: "field_selector", seeds, mutate: mutate::bytes, check });
}

#[test]
fn continue_token() {
    let check = |input: &[u8]| {
        let _ = str::from_utf8(input).map(ContinueToken::decode);
        let Ok(token) = ContinueToken::decode(&URL_SAFE_NO_PAD.encode(input)) else { return false };
        assert_eq!(ContinueToken::decode(&token.encode()), Ok(token));
        true
    };
    let seeds = |_: &mut StdRng| {
        let tokens = [(Some(1), "default/a"), (None, ""), (Some(i64::MAX.cast_unsigned()), "a\u{e9}\0")];
        let texts = tokens.map(|(revision, last)| ContinueToken { revision, last: last.to_owned() }.encode());
        texts.map(|text| URL_SAFE_NO_PAD.decode(text).unwrap()).to_vec()
    };
    run(&Target { name: "continue_token", seeds, mutate: mutate::json, check });
}

/// Allows whatever has a long name.
struct LongNames;

impl Authorize for LongNames {
    fn allows(&self, check: &AccessCheck) -> bool {
        check.verb.len() > 3
    }
}

/// What isn't refused comes to a value or an error within its budget, twice to the same one.
#[test]
fn cel() {
    let check = |input: &[u8]| {
        let Ok(source) = str::from_utf8(input) else { return false };
        let declared =
            Declarations { variables: &["object", "authorizer"], definitions: None, ..Declarations::default() };
        let Ok(program) = Program::compile(source, declared) else { return false };
        let list: Vec<Value> = (0..1000).map(Value::from).collect();
        let object = json!({ "list": list, "text": "ab ".repeat(1000), "number": 7, "map": { "a": { "b": null } } });
        let path = || AccessSubject::Path("/".to_owned());
        let evaluate = || {
            let budget = Budget::of(400_000);
            Evaluation::new([("object", &object)], &budget).with_authorizer(&LongNames, path()).evaluate(&program)
        };
        let once = evaluate();
        assert_eq!(evaluate(), once);
        true
    };
    let seeds = |_: &mut StdRng| {
        let texts = [
            "object.list.all(a, object.list.exists(b, a + b > 5 && a % 2 == 0 || b < 3))",
            "has(object.map.a) ? object.map.?a.?b.orValue(1) : {'k': [1, 2.5, 3u, -4, b'x', null]}",
            "object.list.map(a, a > 3, string(a)).filter(x, x.startsWith('1')).join(',').split('')",
            "object.text.replace('a', object.text).matches('(a|b)*c') || 'x' in ['x', \"y\", r'z', '''w''']",
            "cel.bind(x, object.text.findAll('[ab]+'), x.size() + x.indexOf('ab') + x[0].lastIndexOf('b'))",
            "quantity('1.5Gi').add(quantity('1k')).isGreaterThan(quantity('2')) && semver('1.2.3').major() == 1",
            "ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.1.2.3') && isURL('https://a:1/b?c=d')",
            "timestamp('2026-01-01T00:00:00Z') + duration('1h30m5.5s') - timestamp('2025-01-01T00:00:00Z')",
            "timestamp('2026-01-01T00:00:00Z').getHours('Europe/Berlin') + int('7') + int(3.5) * -9223372036854775807",
            "'%s %d %.3f %e %x %b'.format([object.map, 1, 2.5, 3, 255, true]).substring(1, 4).charAt(2).trim()",
            "sets.contains(object.list, [1, 2]) && [3, 1].isSorted() && [1.5, 2.5].sum() == [4.0].max()",
            "object.map.transformMap(k, v, k != 'z', type(v) == map)['a'] && optional.of(1).optMap(y, y + 1).hasValue()",
            "authorizer.group('apps').resource('pods').subresource('x').namespace('a').name('b').check('get').allowed()",
            "authorizer.serviceAccount('a', object.text).path('/').check('get').errored() || authorizer.requestResource != 1",
            "url('https://u@h:80/p%20q?k=v+w').getQuery()['k'][?0].value().upperAscii() == string(double('1e10'))",
        ];
        texts.map(|text| text.as_bytes().to_vec()).to_vec()
    };
    run(&Target { name: "cel", seeds, mutate: mutate::bytes, check });
}

#[test]
fn spdy() {
    let check = |input: &[u8]| {
        let (mut decoder, mut frames) = (spdy::Decoder::default(), Vec::new());
        decoder.push(input);
        while let Ok(Some(frame)) = decoder.next_frame() {
            frames.push(frame);
        }
        let (mut encoder, mut again) = (spdy::Encoder::default(), spdy::Decoder::default());
        for frame in &frames {
            again.push(&encoder.encode(frame));
            assert_eq!(again.next_frame(), Ok(Some(frame.clone())));
        }
        !frames.is_empty()
    };
    let seeds = |_: &mut StdRng| {
        let headers =
            |kind: &str| vec![("streamtype".to_owned(), kind.to_owned()), ("port".to_owned(), "80".to_owned())];
        let mut encoder = spdy::Encoder::default();
        let frames = [
            spdy::Frame::SynStream { stream: 1, headers: headers("error"), is_last: false },
            spdy::Frame::SynStream { stream: 3, headers: headers("data"), is_last: false },
            spdy::Frame::SynReply { stream: 1, headers: Vec::new(), is_last: true },
            spdy::Frame::Data { stream: 3, bytes: "hello".into(), is_last: true },
            spdy::Frame::Reset { stream: 3, status: spdy::CANCEL },
            spdy::Frame::Ping { id: 1 },
            spdy::Frame::GoAway { last_stream: 3, status: 0 },
        ];
        let encoded: Vec<Vec<u8>> = frames.iter().map(|frame| encoder.encode(frame).to_vec()).collect();
        vec![encoded.concat(), encoded[..2].concat(), encoded[3..].concat()]
    };
    run(&Target { name: "spdy", seeds, mutate: mutate::bytes, check });
}
