//! The certificates of members and hosts, as their own figures tell of them.

use coracle_api::kinds::cells::human_duration;
use serde::Serialize;

const EXPIRATION: &str = "coracle_certificate_expiration_seconds";
const RENEWAL: &str = "coracle_certificate_renewal_seconds";

/// One of them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Certificate {
    /// Whose it is: `member one`, `host h1`.
    pub(super) holder: String,
    /// What it is called there: `server`.
    pub(super) certificate: String,
    /// When it ends, in seconds since 1970.
    pub(super) expires: i64,
    /// When it is to be renewed.
    pub(super) renewal: i64,
}

impl Certificate {
    /// Whether half of the time is over in which it should have been renewed.
    fn is_overdue(&self, now: i64) -> bool {
        now > self.renewal + (self.expires - self.renewal) / 2
    }
}

/// The certificates in somebody's figures.
pub(super) fn read(holder: &str, metrics: &str) -> Vec<Certificate> {
    let figures = |metric: &str| {
        let start = format!("{metric}{{certificate=\"");
        let figure = move |line: &str| -> Option<(String, i64)> {
            let (name, value) = line.strip_prefix(&start)?.split_once("\"} ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        metrics.lines().filter_map(figure).collect::<Vec<_>>()
    };
    let renewals = figures(RENEWAL);
    let found = figures(EXPIRATION).into_iter().filter_map(|(certificate, expires)| {
        let (_, renewal) = renewals.iter().find(|(name, _)| *name == certificate)?;
        Some(Certificate { holder: holder.to_owned(), certificate, expires, renewal: *renewal })
    });
    found.collect()
}

/// Which ends first, in a few words.
pub(super) fn first_end(certificates: &[Certificate], now: i64) -> String {
    match certificates.iter().min_by_key(|certificate| certificate.expires) {
        None => "not known".to_owned(),
        Some(Certificate { holder, certificate, expires, .. }) if *expires <= now => {
            format!("have expired (that of {holder} as {certificate})")
        }
        Some(Certificate { holder, certificate, expires, .. }) => {
            format!("end in {} at first (that of {holder} as {certificate})", human_duration(expires - now))
        }
    }
}

/// Those that should have been renewed.
pub(super) fn problems(certificates: &[Certificate], now: i64) -> impl Iterator<Item = String> {
    certificates.iter().filter(move |certificate| certificate.is_overdue(now)).map(move |overdue| {
        let Certificate { holder, certificate, expires, renewal } = overdue;
        let end = match expires - now {
            left if left > 0 => format!("ends in {}", human_duration(left)),
            _ => "has expired".to_owned(),
        };
        let late = human_duration(now - renewal);
        format!("{holder}: its certificate as {certificate} {end}, and should have been renewed {late} ago; its log says why it was not")
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn figures_become_certificates_and_the_overdue_are_named() {
        let metrics = "# TYPE coracle_certificate_expiration_seconds gauge\n\
            coracle_certificate_expiration_seconds{certificate=\"server\"} 1000000\n\
            coracle_certificate_expiration_seconds{certificate=\"member\"} 900000\n\
            coracle_certificate_renewal_seconds{certificate=\"server\"} 800000\n\
            coracle_certificate_renewal_seconds{certificate=\"member\"} 700000\nother 1\n";
        let found = read("member one", metrics);
        let told = [0, 790_000, 850_000, 950_000].map(|now| {
            let problems: String = problems(&found, now).map(|problem| format!("\n  {problem}")).collect();
            format!("{}{problems}", first_end(&found, now))
        });
        expect![[r#"
            end in 10d at first (that of member one as member)
            end in 30h at first (that of member one as member)
            end in 13h at first (that of member one as member)
              member one: its certificate as member ends in 13h, and should have been renewed 41h ago; its log says why it was not
            have expired (that of member one as member)
              member one: its certificate as server ends in 13h, and should have been renewed 41h ago; its log says why it was not
              member one: its certificate as member has expired, and should have been renewed 2d21h ago; its log says why it was not"#]]
        .assert_eq(&told.join("\n"));
        assert_eq!(first_end(&[], 0), "not known");
    }
}
