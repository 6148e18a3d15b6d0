//! Numbers whose last digit shows whether the others were copied well: those of books and of payment cards.

use std::ops::RangeInclusive;

/// The first four digits of the cards of an issuer, and how many digits they have.
const CARDS: &[(RangeInclusive<u32>, &[usize])] = &[
    (1800..=1800, &[15]),
    (2131..=2131, &[15]),
    (2221..=2720, &[16]),
    (3000..=3059, &[14]),
    (3400..=3499, &[15]),
    (3500..=3599, &[16]),
    (3600..=3699, &[14]),
    (3700..=3799, &[15]),
    (3800..=3899, &[14]),
    (4000..=4999, &[13, 16]),
    (5100..=5599, &[16]),
    (6011..=6011, &[16]),
    (6200..=6299, &[16]),
    (6500..=6599, &[16]),
    (6700..=6799, &[16]),
];

/// Ten digits, of which the last may be an X, which is ten: weighted 1 to 10 they add up to a multiple of 11.
pub(super) fn is_isbn10(text: &str) -> bool {
    let text = without_separators(text);
    let (body, check) = match text.strip_suffix('X') {
        Some(body) => (digits(body), Some(10)),
        None => (digits(&text), None),
    };
    let all: Vec<u32> = body.into_iter().flatten().chain(check).collect();
    all.len() == 10 && all.iter().zip(1..).map(|(digit, weight)| digit * weight).sum::<u32>().is_multiple_of(11)
}

/// Thirteen digits, weighted 1 and 3 by turns, add up to a multiple of 10.
pub(super) fn is_isbn13(text: &str) -> bool {
    let all = digits(&without_separators(text)).unwrap_or_default();
    let weights = [1, 3].into_iter().cycle();
    all.len() == 13 && all.iter().zip(weights).map(|(digit, weight)| digit * weight).sum::<u32>().is_multiple_of(10)
}

/// A number of a known issuer whose digits, every second one from the last doubled, add up to a multiple of 10.
pub(super) fn is_card(text: &str) -> bool {
    let all: Vec<u32> = text.chars().filter_map(|character| character.to_digit(10)).collect();
    let issuer = all.iter().take(4).fold(0, |number, digit| number * 10 + digit);
    let is_known = CARDS.iter().any(|(issuers, lengths)| issuers.contains(&issuer) && lengths.contains(&all.len()));
    // The digits of a number up to 18 add up to what is left of it by nine.
    let doubled = |digit: u32| if digit == 9 { 9 } else { digit * 2 % 9 };
    let place = |(index, digit): (usize, &u32)| if index % 2 == 1 { doubled(*digit) } else { *digit };
    is_known && all.iter().rev().enumerate().map(place).sum::<u32>().is_multiple_of(10)
}

fn without_separators(text: &str) -> String {
    text.chars().filter(|character| !character.is_ascii_whitespace() && *character != '-').collect()
}

/// `None` where something else is among them.
fn digits(text: &str) -> Option<Vec<u32>> {
    text.chars().map(|character| character.to_digit(10)).collect()
}
