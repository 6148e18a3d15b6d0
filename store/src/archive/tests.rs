use std::io::Read;

use bytes::Bytes;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::record::Tag;

fn record(index: u64) -> Record {
    Record {
        key: format!("pods/a/{index}").into(),
        json: Bytes::from(format!(r#"{{"metadata":{{"name":"{index}"}}}}"#)),
        splice_offset: 13,
        tags: [Tag::new("spec.nodeName=h1")].into(),
        revision: index,
    }
}

fn archive(records: &[Record], files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let header = Header {
        cluster: "calm-otter".to_owned(),
        revision: 42,
        taken: "2026-11-21T10:00:00Z".to_owned(),
        records: records.len() as u64,
    };
    let mut bytes = Vec::new();
    let mut writer = ArchiveWriter::new(&mut bytes, &header).unwrap();
    records.iter().for_each(|record| writer.record(record).unwrap());
    files.iter().for_each(|(path, content)| writer.file(path, content.as_slice()).unwrap());
    writer.finish().unwrap();
    bytes
}

fn small() -> Vec<u8> {
    archive(&[record(1), record(2)], &[("pki/ca.key", b"key".to_vec()), ("empty", Vec::new())])
}

fn read(bytes: &[u8]) -> Result<(Header, Vec<Entry>), ArchiveError> {
    let mut reader = ArchiveReader::new(bytes)?;
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        entries.push(entry);
    }
    assert_eq!(reader.bytes(), bytes.len() as u64);
    assert!(reader.digest().is_some());
    Ok((reader.header().clone(), entries))
}

fn check(bytes: &[u8], expected: Expect) {
    let shown = match read(bytes) {
        Ok((header, entries)) => format!("revision {} and {} entries", header.revision, entries.len()),
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&shown);
}

/// The bytes with others from `at` on, under a checksum that is right again.
fn forged(mut bytes: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
    bytes[at..at + with.len()].copy_from_slice(with);
    let end = bytes.len() - DIGEST_BYTES;
    let digest = Sha256::digest(&bytes[..end - 5]);
    bytes[end..].copy_from_slice(&digest);
    bytes
}

#[test]
fn what_is_refused_and_how() {
    let whole = small();
    let at = |text: &[u8]| whole.windows(text.len()).position(|window| window == text).unwrap();
    check(&whole, expect!["revision 42 and 5 entries"]);
    check(b"", expect!["not a snapshot of a cluster"]);
    check(b"just some text that somebody wrote", expect!["not a snapshot of a cluster"]);
    check(&whole[..11], expect!["cut off after 11 bytes"]);
    check(&whole[..whole.len() - 1], expect!["cut off after 287 bytes"]);
    check(
        &forged(whole.clone(), 8, &2_u32.to_le_bytes()),
        expect!["format 2 is from a later release; this one reads formats up to 1"],
    );
    check(&forged(whole.clone(), 8, &[0]), expect!["damaged: no format has the number 0"]);
    check(&forged(whole.clone(), 12, &[9]), expect!["damaged: an item of kind 9 is in place of the header"]);
    check(&forged(whole.clone(), 13, &[255; 4]), expect!["damaged: an item of 4294967295 bytes is longer than any"]);
    check(
        &forged(whole.clone(), at(b"pki/ca.key"), b"../../../a"),
        expect![[r#"damaged: the path "../../../a" does not stay in its folder"#]],
    );
    check(
        &forged(whole.clone(), at(b"pki/ca.key"), b"/etc/shado"),
        expect![[r#"damaged: the path "/etc/shado" does not stay in its folder"#]],
    );
    check(
        &forged(whole.clone(), at(b"\"records\":2"), b"\"records\":3"),
        expect!["damaged: it has 2 records, and says it has 3"],
    );
    let mut changed = whole.clone();
    changed[at(b"calm")] = b'b';
    check(&changed, expect!["damaged: its checksum does not match"]);
    check(&[whole.as_slice(), b"\n"].concat(), expect!["damaged: something follows its end"]);
}

#[test]
fn each_changed_bit_and_each_missing_byte_is_found() {
    let whole = small();
    for index in 0..whole.len() {
        assert!(read(&whole[..index]).is_err(), "cut after {index} bytes");
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[index] ^= 1 << bit;
            assert!(read(&changed).is_err(), "bit {bit} of byte {index}");
        }
    }
}

#[test]
fn a_failing_disk_is_not_taken_for_damage() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is on fire"))
        }
    }
    let bytes = small();
    let mut reader = ArchiveReader::new(bytes[..100].chain(Failing)).unwrap();
    let error = std::iter::from_fn(|| reader.next_entry().transpose()).find_map(Result::err).unwrap();
    expect!["the disk is on fire"].assert_eq(&error.to_string());
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        revisions in prop::collection::vec(1_u64.., 0..20),
        lengths in prop::collection::vec(0_usize..200_000, 0..4),
        split in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let records: Vec<Record> = revisions.into_iter().map(record).collect();
        let names: Vec<String> = (0..lengths.len()).map(|index| format!("folder/{index}")).collect();
        let files: Vec<(&str, Vec<u8>)> = names.iter().zip(&lengths).map(|(name, length)| {
            (name.as_str(), (0..*length).map(|at| (at % 251) as u8).collect())
        }).collect();
        let bytes = archive(&records, &files);
        let (mut found_records, mut found_files): (Vec<Record>, Vec<(String, Vec<u8>)>) = Default::default();
        for entry in read(&bytes).unwrap().1 {
            match entry {
                Entry::Record(record) => found_records.push(record),
                Entry::File(path) => found_files.push((path, Vec::new())),
                Entry::Content(piece) => found_files.last_mut().unwrap().1.extend(piece),
            }
        }
        prop_assert_eq!(found_records, records);
        let files: Vec<(String, Vec<u8>)> = files.into_iter().map(|(name, content)| (name.to_owned(), content)).collect();
        prop_assert_eq!(found_files, files);

        let at = split.index(bytes.len());
        prop_assert!(read(&bytes[..at]).is_err());
        let mut changed = bytes.clone();
        changed[at] = with;
        prop_assert_eq!(read(&changed).is_err(), changed != bytes);
    }
}
