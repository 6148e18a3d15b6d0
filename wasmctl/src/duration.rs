//! Durations on a command line.

use std::time::Duration;

use jiff::SignedDuration;

/// Seconds, or a duration with units.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let duration: SignedDuration =
        text.parse().map_err(|_| "give seconds, or for example 90s, 5m or 1h30m".to_owned())?;
    duration.try_into().map_err(|_| "a duration is not negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn durations_are_seconds_or_have_units() {
        let read = ["90", "5m", "1h30m", "0", "-5s", "soon"].map(|text| format!("{text} {:?}\n", duration(text)));
        expect![[r#"
            90 Ok(90s)
            5m Ok(300s)
            1h30m Ok(5400s)
            0 Ok(0ns)
            -5s Err("a duration is not negative")
            soon Err("give seconds, or for example 90s, 5m or 1h30m")
        "#]]
        .assert_eq(&read.concat());
    }
}
