use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::Quantity;

fn check(texts: &[&str], expected: &Expect) {
    let line = |text: &&str| match Quantity::parse(text) {
        Ok(quantity) => format!("{text} = {quantity}, {} milli, {} units\n", quantity.milli(), quantity.units()),
        Err(_) => format!("{text}: none\n"),
    };
    expected.assert_eq(&texts.iter().map(line).collect::<String>());
}

#[test]
fn prints_canonically() {
    check(
        &[
            "0", "0Mi", "1", "1000m", "100m", "0.1", ".5", "5.", "1500", "2k", "0.5k", "12e2", "1e3", "1E3", "15e-1",
            "-250m", "+3",
        ],
        &expect![[r#"
            0 = 0, 0 milli, 0 units
            0Mi = 0, 0 milli, 0 units
            1 = 1, 1000 milli, 1 units
            1000m = 1, 1000 milli, 1 units
            100m = 100m, 100 milli, 1 units
            0.1 = 100m, 100 milli, 1 units
            .5 = 500m, 500 milli, 1 units
            5. = 5, 5000 milli, 5 units
            1500 = 1500, 1500000 milli, 1500 units
            2k = 2k, 2000000 milli, 2000 units
            0.5k = 500, 500000 milli, 500 units
            12e2 = 1200, 1200000 milli, 1200 units
            1e3 = 1e3, 1000000 milli, 1000 units
            1E3 = 1e3, 1000000 milli, 1000 units
            15e-1 = 1500e-3, 1500 milli, 2 units
            -250m = -250m, -250 milli, -1 units
            +3 = 3, 3000 milli, 3 units
        "#]],
    );
}

#[test]
fn prints_binary_suffixes() {
    check(
        &["1Ki", "1.5Gi", "1024Mi", "1000Ki", "0.5Ki", "0.5Mi", "100Ki", "1Ei", "0.1Ki", "62.5Ki", "-2Gi"],
        &expect![[r#"
        1Ki = 1Ki, 1024000 milli, 1024 units
        1.5Gi = 1536Mi, 1610612736000 milli, 1610612736 units
        1024Mi = 1Gi, 1073741824000 milli, 1073741824 units
        1000Ki = 1000Ki, 1024000000 milli, 1024000 units
        0.5Ki = 512, 512000 milli, 512 units
        0.5Mi = 512Ki, 524288000 milli, 524288 units
        100Ki = 100Ki, 102400000 milli, 102400 units
        1Ei = 1Ei, 9223372036854775807 milli, 1152921504606846976 units
        0.1Ki = 102400m, 102400 milli, 103 units
        62.5Ki = 64000, 64000000 milli, 64000 units
        -2Gi = -2Gi, -2147483648000 milli, -2147483648 units
    "#]],
    );
}

#[test]
fn rounds_up_and_cuts() {
    check(
        &["1n", "1u", "0.1n", "0.0000000001", "1.0000000001", "1.23456789012345678901234567890123"],
        &expect![[r#"
        1n = 1n, 1 milli, 1 units
        1u = 1u, 1 milli, 1 units
        0.1n = 1n, 1 milli, 1 units
        0.0000000001 = 1n, 1 milli, 1 units
        1.0000000001 = 1000000001n, 1001 milli, 2 units
        1.23456789012345678901234567890123 = 1234567891n, 1235 milli, 2 units
    "#]],
    );
    check(
        &[
            "9223372036854775807",
            "9223372036854775808",
            "1e18",
            "1e19",
            "8Ei",
            "9Ei",
            "1e2147483647",
            "1e-2147483648",
            "00000000000000000000000000000000000000001",
            "0e99",
        ],
        &expect![[r#"
            9223372036854775807 = 9223372036854775807, 9223372036854775807 milli, 9223372036854775807 units
            9223372036854775808 = 9223372036854775807, 9223372036854775807 milli, 9223372036854775807 units
            1e18 = 1e18, 9223372036854775807 milli, 1000000000000000000 units
            1e19 = 9223372036854775807, 9223372036854775807 milli, 9223372036854775807 units
            8Ei = 9223372036854775807, 9223372036854775807 milli, 9223372036854775807 units
            9Ei = 9223372036854775807, 9223372036854775807 milli, 9223372036854775807 units
            1e2147483647 = 9223372036854775807, 9223372036854775807 milli, 9223372036854775807 units
            1e-2147483648 = 1e-9, 1 milli, 1 units
            00000000000000000000000000000000000000001 = 1, 1000 milli, 1 units
            0e99 = 0, 0 milli, 0 units
        "#]],
    );
}

#[test]
fn refuses_what_is_no_quantity() {
    check(
        &[
            "",
            "-",
            ".",
            "1.2.3",
            "1 Gi",
            "1gi",
            "1GI",
            "Ki",
            "1ki",
            "1K",
            "1e",
            "1e+",
            "1e1.5",
            "1ee3",
            "--1",
            "0x10",
            "١",
            "1e99999999999",
        ],
        &expect![[r#"
            : none
            -: none
            .: none
            1.2.3: none
            1 Gi: none
            1gi: none
            1GI: none
            Ki: none
            1ki: none
            1K: none
            1e: none
            1e+: none
            1e1.5: none
            1ee3: none
            --1: none
            0x10: none
            ١: none
            1e99999999999: none
        "#]],
    );
}

#[test]
fn compares_and_adds_by_value() {
    let quantity = |text| Quantity::parse(text).unwrap();
    assert_eq!(quantity("1000m"), quantity("1"));
    assert!(quantity("1Gi") > quantity("1G"));
    assert_eq!(quantity("1Gi").plus(quantity("512Mi")).to_string(), "1536Mi");
    assert_eq!(Quantity::ZERO.plus(quantity("1Gi")).to_string(), "1Gi");
    assert_eq!(quantity("1").minus(quantity("1500m")).to_string(), "-500m");
    assert_eq!(quantity("8Ei").plus(quantity("8Ei")), quantity("9223372036854775807"));
    assert_eq!(
        (Quantity::from_milli(1500).to_string(), Quantity::from_bytes(1 << 21).to_string()),
        ("1500m".into(), "2Mi".into())
    );
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "[-+]?[0-9.]{0,40}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,12}") {
        let _ = Quantity::parse(&text);
    }

    #[test]
    fn what_is_printed_reads_back(digits in "[0-9]{1,15}(\\.[0-9]{1,9})?", suffix in "|n|u|m|k|M|G|Ki|Mi|Gi|Ti|e3|e-2") {
        let quantity = Quantity::parse(&format!("{digits}{suffix}")).unwrap();
        let printed = quantity.to_string();
        let again = Quantity::parse(&printed).unwrap();
        prop_assert_eq!(quantity, again);
        // What is no multiple of 1024 prints without its binary suffix, as 64000, and is read back as decimal: 64k.
        prop_assert!(suffix.ends_with('i') || again.to_string() == printed);
    }
}
