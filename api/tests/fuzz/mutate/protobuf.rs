//! Changes to a protobuf message's tree, the lengths around them put right again.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::bytes;
use crate::generate::WORDS;

const PREFIX: &[u8] = b"k8s\0";

/// A field: what may be a message is read as one.
#[derive(Clone)]
enum Content {
    Varint(u64),
    Fixed(Vec<u8>),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

#[derive(Clone)]
struct Field {
    number: u64,
    content: Content,
}

/// Changes a body; now and then as bytes, and always so where it is no message.
pub(crate) fn protobuf(random: &mut StdRng, input: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let read = |input: &[u8]| parse(input.strip_prefix(PREFIX)?, 0);
    let (Some(mut fields), false) = (read(input), random.random_bool(0.1)) else { return bytes(random, input, others) };
    let other = read(others.choose(random).unwrap()).unwrap_or_default();
    change(random, &mut fields, &other);
    [PREFIX, &encode(&fields)].concat()
}

/// Changes one field of a message, or of one inside it.
fn change(random: &mut StdRng, fields: &mut Vec<Field>, other: &[Field]) {
    if fields.is_empty() {
        return fields.extend(part(random, other));
    }
    let index = random.random_range(0..fields.len());
    let field = &mut fields[index];
    if let Content::Message(inner) = &mut field.content
        && random.random_bool(0.8)
    {
        return change(random, inner, other);
    }
    match random.random_range(0..9) {
        0 => field.number = random.random_range(1..48),
        1 => field.content = Content::Varint(*[0, 1, 2, 1 << 31, u64::MAX, 1 << 40].choose(random).unwrap()),
        2 => field.content = Content::Bytes(WORDS.choose(random).unwrap().as_bytes().to_vec()),
        3 => field.content = Content::Fixed(vec![random.random(); *[4, 8].choose(random).unwrap()]),
        4 => field.content = Content::Message(Vec::new()),
        5 => drop(fields.remove(index)),
        6 => {
            let repeated = vec![field.clone(); *[1, 2, 40].choose(random).unwrap()];
            fields.splice(index..index, repeated);
        }
        7 => {
            for _ in 0..random.random_range(1..120) {
                let inner = Field { number: field.number, content: field.content.clone() };
                field.content = Content::Message(vec![inner]);
            }
        }
        _ => fields.extend(part(random, other)),
    }
}

/// Any message's fields inside another body.
fn part(random: &mut StdRng, fields: &[Field]) -> Vec<Field> {
    match fields.choose(random) {
        Some(Field { content: Content::Message(inner), .. }) if random.random_bool(0.7) => part(random, inner),
        Some(field) => vec![field.clone()],
        None => Vec::new(),
    }
}

fn parse(mut rest: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let content = match tag & 7 {
            0 => Content::Varint(varint(&mut rest)?),
            1 => Content::Fixed(take(&mut rest, 8)?.to_vec()),
            5 => Content::Fixed(take(&mut rest, 4)?.to_vec()),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let inner = take(&mut rest, length)?;
                match parse(inner, depth + 1) {
                    Some(fields) if depth < 100 => Content::Message(fields),
                    _ => Content::Bytes(inner.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field { number: tag >> 3, content });
    }
    (depth <= 100).then_some(fields)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn encode(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { number, content } in fields {
        let (wire_type, content) = match content {
            Content::Varint(value) => (0, encode_varint(*value)),
            Content::Fixed(bytes) => (if bytes.len() == 8 { 1 } else { 5 }, bytes.clone()),
            Content::Bytes(bytes) => (2, [encode_varint(bytes.len() as u64), bytes.clone()].concat()),
            Content::Message(fields) => {
                let inner = encode(fields);
                (2, [encode_varint(inner.len() as u64), inner].concat())
            }
        };
        out.extend(encode_varint(number << 3 | wire_type));
        out.extend(content);
    }
    out
}

fn encode_varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
