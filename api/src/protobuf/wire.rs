//! Protobuf's encoding: a message is a sequence of numbered values, whatever they mean.

use super::error::{Problem, ProtobufError};

/// The numbers of the wire types.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// The largest field number.
const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;

/// One value; what it means is its field's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    /// An integer or boolean.
    Varint(u64),
    /// A floating-point number.
    Fixed64(u64),
    /// Text, bytes, a message, a map's entry, or packed numbers.
    Bytes(&'a [u8]),
    /// Skipped only: no field of Kubernetes has this type.
    Fixed32,
}

impl<'a> Wire<'a> {
    pub(super) fn varint(self) -> Result<u64, ProtobufError> {
        match self {
            Wire::Varint(number) => Ok(number),
            other => Err(other.instead_of(VARINT)),
        }
    }

    pub(super) fn fixed64(self) -> Result<u64, ProtobufError> {
        match self {
            Wire::Fixed64(number) => Ok(number),
            other => Err(other.instead_of(FIXED64)),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], ProtobufError> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            other => Err(other.instead_of(BYTES)),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, ProtobufError> {
        str::from_utf8(self.bytes()?).map_err(|_| Problem::Utf8.into())
    }

    fn instead_of(self, expected: u8) -> ProtobufError {
        let found = match self {
            Wire::Varint(_) => VARINT,
            Wire::Fixed64(_) => FIXED64,
            Wire::Bytes(_) => BYTES,
            Wire::Fixed32 => FIXED32,
        };
        Problem::WrongWireType { found, expected }.into()
    }
}

/// Reads the values of one message, or a row of packed numbers.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field's number and value; `None` at the message's end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, ProtobufError> {
        if self.is_at_end() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        let number = match u32::try_from(number) {
            Ok(small) if small > 0 && number <= FIELD_NUMBER_MAX => small,
            _ => return Err(Problem::FieldNumber(number).into()),
        };
        let value = match (tag & 7) as u8 {
            VARINT => Wire::Varint(self.varint()?),
            FIXED64 => Wire::Fixed64(self.fixed64()?),
            BYTES => {
                let length = self.varint()?;
                Wire::Bytes(self.take(usize::try_from(length).map_err(|_| Problem::Truncated)?)?)
            }
            FIXED32 => self.take(4).map(|_| Wire::Fixed32)?,
            other => return Err(Problem::UnsupportedWireType(other).into()),
        };
        Ok(Some((number, value)))
    }

    pub(super) fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Problem::VarintTooLong.into())
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, ProtobufError> {
        let bytes = self.take(8)?.try_into().expect("invariant: eight bytes were taken");
        Ok(u64::from_le_bytes(bytes))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Problem::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}
