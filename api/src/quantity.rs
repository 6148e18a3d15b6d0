//! Quantities of resources: `100m`, `1.5Gi`, `1e3`, exact to a billionth.
//!
//! No floating point: a quantity is a whole number of nano-units. Finer values are rounded up (away from zero), larger
//! ones than 2^63-1 are cut to it, as Kubernetes does.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;
use thiserror::Error;

const NANOS: i128 = 1_000_000_000;
const NANOS_MAX: i128 = i64::MAX as i128 * NANOS;
/// Longer texts are no quantities anybody means.
const BYTES_MAX: usize = 256;

const BINARY: &[(&str, i128)] =
    &[("Ei", 1 << 60), ("Pi", 1 << 50), ("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
/// The decimal suffixes with their powers of ten.
const DECIMAL: &[(&str, i32)] =
    &[("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0), ("m", -3), ("u", -6), ("n", -9)];

/// Not a quantity.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct QuantityError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Binary,
    Decimal,
    Exponent,
}

/// A quantity; it compares by value and prints in canonical form, with the sort of suffix it was written with.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Quantity = Quantity { nanos: 0, format: Format::Decimal };

    /// Parses `100m`, `1.5Gi`, `1e3`, `.5`, `-2k`.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        if text.is_empty() || text.len() > BYTES_MAX || !text.is_ascii() {
            return Err(QuantityError);
        }
        let (is_negative, rest) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.bytes().position(|byte| !byte.is_ascii_digit() && byte != b'.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError);
        }
        let (format, multiplier, exponent) = parse_suffix(suffix)?;
        let nanos = scale(whole, fraction, multiplier, exponent);
        Ok(Quantity { nanos: if is_negative { -nanos } else { nanos }, format })
    }

    /// From a JSON string or number, as quantities travel in objects.
    pub fn from_value(value: &Value) -> Result<Quantity, QuantityError> {
        match value {
            Value::String(text) => Quantity::parse(text),
            Value::Number(number) => Quantity::parse(&number.to_string()),
            _ => Err(QuantityError),
        }
    }

    /// So many thousandths, printed with decimal suffixes: CPU.
    pub fn from_milli(milli: i64) -> Quantity {
        Quantity { nanos: i128::from(milli) * (NANOS / 1000), format: Format::Decimal }
    }

    /// So many units, printed with decimal suffixes: pods, devices.
    pub fn from_units(units: i64) -> Quantity {
        Quantity { nanos: i128::from(units) * NANOS, format: Format::Decimal }
    }

    /// So many bytes, printed with binary suffixes.
    pub fn from_bytes(bytes: i64) -> Quantity {
        Quantity { nanos: i128::from(bytes) * NANOS, format: Format::Binary }
    }

    /// The thousandths, rounded up; cut to what an `i64` holds.
    pub fn milli(self) -> i64 {
        clamp(round_up(self.nanos, NANOS / 1000))
    }

    /// The whole units, rounded up: bytes, pods.
    pub fn units(self) -> i64 {
        clamp(round_up(self.nanos, NANOS))
    }

    /// How many times as large as another it is; `None` for nothing to compare with.
    #[expect(clippy::cast_precision_loss, reason = "a ratio is inexact anyway")]
    pub fn ratio_to(self, other: Quantity) -> Option<f64> {
        (other.nanos != 0).then(|| self.nanos as f64 / other.nanos as f64)
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// The sum, printed as `self` is unless that is zero; cut to the largest quantity.
    #[must_use]
    pub fn plus(self, other: Quantity) -> Quantity {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Quantity { nanos: (self.nanos + other.nanos).clamp(-NANOS_MAX, NANOS_MAX), format }
    }

    /// The difference, printed as `self` is; cut to the largest quantity.
    #[must_use]
    pub fn minus(self, other: Quantity) -> Quantity {
        Quantity { nanos: (self.nanos - other.nanos).clamp(-NANOS_MAX, NANOS_MAX), format: self.format }
    }
}

fn parse_suffix(suffix: &str) -> Result<(Format, i128, i32), QuantityError> {
    if let Some((_, multiplier)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Binary, *multiplier, 0));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Decimal, 1, *power));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError)?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(QuantityError);
    }
    Ok((Format::Exponent, 1, exponent.parse().map_err(|_| QuantityError)?))
}

/// `whole.fraction × multiplier × 10^exponent` in nano-units, rounded up, cut to the largest quantity.
fn scale(whole: &str, fraction: &str, multiplier: i128, exponent: i32) -> i128 {
    // 28 digits hold every quantity with its billionths; beside a binary multiplier 20 leave room for the product.
    let full = 10_i128.pow(if multiplier == 1 { 27 } else { 19 });
    let mut value: i128 = 0;
    let mut power = exponent.saturating_add(9);
    let mut is_inexact = false;
    let digits = whole.bytes().map(|byte| (byte, false)).chain(fraction.bytes().map(|byte| (byte, true)));
    for (byte, is_fraction) in digits {
        let digit = i128::from(byte - b'0');
        if value < full {
            value = value * 10 + digit;
            power = power.saturating_sub(i32::from(is_fraction));
        } else {
            is_inexact |= digit != 0;
            power = power.saturating_add(i32::from(!is_fraction));
        }
    }
    if value == 0 {
        return 0;
    }
    let value = value * multiplier;
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    let (nanos, is_rest) = match (power >= 0, factor) {
        (true, Some(factor)) => (value.checked_mul(factor).unwrap_or(NANOS_MAX), false),
        (true, None) => (NANOS_MAX, false),
        (false, Some(divisor)) => (value / divisor, value % divisor != 0),
        (false, None) => (0, true),
    };
    (nanos + i128::from(is_inexact || is_rest)).min(NANOS_MAX)
}

fn round_up(nanos: i128, unit: i128) -> i128 {
    let rounded = nanos / unit;
    if nanos % unit == 0 { rounded } else { rounded + nanos.signum() }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos;
        if nanos == 0 {
            return formatter.write_str("0");
        }
        if self.format == Format::Binary && nanos % NANOS == 0 && nanos.abs() >= 1024 * NANOS {
            let units = nanos / NANOS;
            let suffix = BINARY.iter().find(|(_, multiplier)| units % multiplier == 0);
            return match suffix {
                Some((name, multiplier)) => write!(formatter, "{}{name}", units / multiplier),
                None => write!(formatter, "{units}"),
            };
        }
        let fits = |power: i32| nanos % 10_i128.pow(u32::try_from(power + 9).unwrap_or(0)) == 0;
        let (name, power) = DECIMAL.iter().find(|(_, power)| fits(*power)).copied().unwrap_or(("n", -9));
        let mantissa = nanos / 10_i128.pow(u32::try_from(power + 9).unwrap_or(0));
        match (self.format, power) {
            (Format::Exponent, 0) => write!(formatter, "{mantissa}"),
            (Format::Exponent, _) => write!(formatter, "{mantissa}e{power}"),
            _ => write!(formatter, "{mantissa}{name}"),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Quantity) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Quantity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Quantity) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::hash::Hash for Quantity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        Quantity::parse(text)
    }
}

#[cfg(test)]
mod tests;
