//! Changes to inputs: to bytes as they are, to JSON's tree, to protobuf's.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

mod json;
mod protobuf;

pub(crate) use json::json;
pub(crate) use protobuf::protobuf;

/// Pieces that some parser somewhere gives a meaning.
const PIECES: &[&str] = &[
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    "=",
    "==",
    "!=",
    "!",
    "<",
    ">",
    " in ",
    " notin ",
    "\n",
    "  ",
    "- ",
    "---\n",
    "&a ",
    "*a",
    "<<: ",
    "|\n",
    ">-\n",
    "!!binary ",
    "!!str ",
    "#",
    "%YAML 1.2\n",
    "? ",
    "~",
    "null",
    "true",
    ".nan",
    ".inf",
    "-0",
    "0x10",
    "0o7",
    "1e999",
    "1_000",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\t",
    "\r",
    "k8s\0",
];

/// Changes bytes at random: flips, cuts, repeats, pieces of others.
pub(crate) fn bytes(random: &mut StdRng, input: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut output = input.to_vec();
    let from = random.random_range(0..=output.len());
    let to = (from + random.random_range(0..=16)).min(output.len());
    match random.random_range(0..7) {
        0 if from < output.len() => output[from] ^= 1 << random.random_range(0..8),
        1 if from < output.len() => output[from] = random.random(),
        2 => drop(output.drain(from..to)),
        3 => {
            let repeated = output[from..to].repeat(random.random_range(1..=8));
            output.splice(from..from, repeated);
        }
        4 => {
            let other = others.choose(random).unwrap();
            let start = random.random_range(0..=other.len());
            let end = (start + random.random_range(0..=64)).min(other.len());
            output.splice(from..to, other[start..end].iter().copied());
        }
        5 => output.truncate(from),
        _ => {
            let piece = PIECES.choose(random).unwrap();
            output.splice(from..from, piece.bytes());
        }
    }
    output
}
