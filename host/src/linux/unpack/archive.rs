//! The entries of a tar archive, with the headers that extend them taken together: GNU's long names, and pax's.
//!
//! Read header by header, so that each of these is bounded before it is read. Deliberately absent: sparse files, which images don't have.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header, PaxExtensions};

/// The most bytes of what extends one header.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;
const BLOCK_BYTES: u64 = 512;

/// An archive that is read from its beginning.
pub(super) struct Archive<R> {
    reader: R,
    /// Of the present entry: content that was not read, and what fills its last block.
    content_left: u64,
    padding: u64,
}

/// One entry; its content is read from it.
pub(super) struct Entry<'a, R> {
    archive: &'a mut Archive<R>,
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified_s: i64,
    /// Extended attributes.
    pub(super) extended: Vec<(String, Vec<u8>)>,
}

/// What an entry makes.
pub(super) enum Kind {
    File,
    Folder,
    Symlink(PathBuf),
    /// Another name of this file of the archive, or of a layer below.
    Link(PathBuf),
    Fifo,
    /// A device.
    Device,
}

/// What stood before an entry's own header.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    ids: [Option<u32>; 2],
    modified_s: Option<i64>,
    extended: Vec<(String, Vec<u8>)>,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(reader: R) -> Archive<R> {
        Archive { reader, content_left: 0, padding: 0 }
    }

    pub(super) fn into_inner(self) -> R {
        self.reader
    }

    /// The next entry; `None` at the end.
    pub(super) fn next_entry(&mut self) -> io::Result<Option<Entry<'_, R>>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            let size = header.entry_size()?;
            self.expect(size);
            match kind {
                EntryType::XGlobalHeader => {}
                EntryType::GNULongName => extensions.path = Some(self.text()?),
                EntryType::GNULongLink => extensions.target = Some(self.text()?),
                EntryType::XHeader => {
                    let bytes = self.extension()?;
                    extensions.read_pax(&bytes)?;
                }
                _ => return self.entry(&header, kind, extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, kind: EntryType, given: Extensions) -> io::Result<Entry<'_, R>> {
        let path = given.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let target = given.target.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let [path, target] =
            [path, target.unwrap_or_default()].map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes)));
        if let Some(size) = given.size {
            self.expect(size);
        }
        let kind = match kind {
            // Before POSIX, folders were files whose name ends so.
            EntryType::Regular if path.as_os_str().as_bytes().ends_with(b"/") => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::Symlink(target),
            EntryType::Link => Kind::Link(target),
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char | EntryType::Block => Kind::Device,
            other => {
                return Err(odd(&path, &format!("has the type {:?}, which is not supported", other.as_byte() as char)));
            }
        };
        let fields = header.as_old();
        let id = |given: Option<u32>, field: &[u8], own: io::Result<u64>| match given {
            Some(id) => Ok(id),
            None => u32::try_from(number(field, own)?).map_err(io::Error::other),
        };
        let [uid, gid] = given.ids;
        Ok(Entry {
            kind,
            size: self.content_left,
            mode: header.mode()? & 0o7777,
            uid: id(uid, &fields.uid, header.uid())?,
            gid: id(gid, &fields.gid, header.gid())?,
            modified_s: match given.modified_s {
                Some(seconds) => seconds,
                None => number(&fields.mtime, header.mtime())?.cast_signed(),
            },
            extended: given.extended,
            archive: self,
            path,
        })
    }

    fn expect(&mut self, size: u64) {
        self.content_left = size;
        self.padding = (BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES;
    }

    /// Goes on to the next header.
    fn skip(&mut self) -> io::Result<()> {
        let left = self.content_left + self.padding;
        (self.content_left, self.padding) = (0, 0);
        let skipped = io::copy(&mut (&mut self.reader).take(left), &mut io::sink())?;
        if skipped == left { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// A header; `None` where the archive ends, by a block of zeros or by ending.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let mut block = Vec::new();
        (&mut self.reader).take(BLOCK_BYTES).read_to_end(&mut block)?;
        if block.is_empty() || (block.len() as u64 == BLOCK_BYTES && block.iter().all(|byte| *byte == 0)) {
            return Ok(None);
        }
        if block.len() as u64 != BLOCK_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        header.as_mut_bytes().copy_from_slice(&block);
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        if header.cksum()? != sum {
            return Err(io::Error::other("it is no tar archive, or damaged"));
        }
        Ok(Some(header))
    }

    fn extension(&mut self) -> io::Result<Vec<u8>> {
        let size = self.content_left;
        if size > EXTENSION_BYTES_MAX {
            return Err(io::Error::other(format!(
                "a header of {size} bytes, and at most {EXTENSION_BYTES_MAX} are read"
            )));
        }
        let mut bytes = Vec::new();
        (&mut self.reader).take(size).read_to_end(&mut bytes)?;
        self.content_left -= bytes.len() as u64;
        Ok(bytes)
    }

    fn text(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = self.extension()?;
        bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
        Ok(bytes)
    }
}

impl Extensions {
    fn read_pax(&mut self, bytes: &[u8]) -> io::Result<()> {
        for record in PaxExtensions::new(bytes) {
            let record = record?;
            let (key, value) = (record.key().map_err(io::Error::other)?, record.value_bytes());
            let number = || record.value().ok().and_then(|value| value.parse::<u64>().ok());
            match key {
                "path" => self.path = Some(value.to_owned()),
                "linkpath" => self.target = Some(value.to_owned()),
                "size" => self.size = Some(number().ok_or_else(|| io::Error::other("a size that is no number"))?),
                "uid" => self.ids[0] = number().and_then(|id| u32::try_from(id).ok()),
                "gid" => self.ids[1] = number().and_then(|id| u32::try_from(id).ok()),
                "mtime" => self.modified_s = record.value().ok().and_then(|time| time.split('.').next()?.parse().ok()),
                _ if key.starts_with("GNU.sparse.") => {
                    return Err(io::Error::other("a sparse file, which is not supported"));
                }
                _ => {
                    if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                        self.extended.push((name.to_owned(), value.to_owned()));
                    }
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Entry<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&mut self.archive.reader).take(self.archive.content_left).read(buffer)?;
        self.archive.content_left -= count as u64;
        Ok(count)
    }
}

/// A number of a header; one that was left blank is 0, as others read it.
fn number(field: &[u8], read: io::Result<u64>) -> io::Result<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(0) } else { read }
}

fn odd(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{} {what}", path.display()))
}
