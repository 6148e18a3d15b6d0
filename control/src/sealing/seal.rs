//! Envelope encryption: a value under a fresh data key, the data key under a wrapping key, both bound to where they are stored.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;

/// A key that wraps data keys.
pub(crate) type WrappingKey = [u8; KEY_BYTES];

/// Random bytes.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("invariant: the system has randomness");
    bytes
}

/// The wrapped data key and the encrypted value.
pub(super) fn seal(wrapping: &WrappingKey, place: &str, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let data_key: [u8; KEY_BYTES] = random();
    (encrypt(wrapping, place, &data_key), encrypt(&data_key, place, value))
}

/// The value, unless anything was changed, or moved from another place.
pub(super) fn open(wrapping: &WrappingKey, place: &str, data_key: Vec<u8>, value: Vec<u8>) -> Option<Vec<u8>> {
    let data_key: [u8; KEY_BYTES] = decrypt(wrapping, place, data_key)?.try_into().ok()?;
    decrypt(&data_key, place, value)
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("invariant: the key has the length of the cipher's"))
}

/// Nonce, ciphertext and tag.
fn encrypt(key: &[u8; KEY_BYTES], place: &str, value: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = random();
    let mut out = Vec::with_capacity(NONCE_LEN + value.len() + MAX_TAG_LEN);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(value);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = cipher(key)
        .seal_in_place_separate_tag(nonce, Aad::from(place), &mut out[NONCE_LEN..])
        .expect("invariant: objects are shorter than the cipher allows");
    out.extend_from_slice(tag.as_ref());
    out
}

fn decrypt(key: &[u8; KEY_BYTES], place: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    Some(cipher(key).open_in_place(nonce, Aad::from(place), rest).ok()?.to_vec())
}
