//! `WWW-Authenticate`: which of a registry's challenges can be answered.

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// The best of several headers: a token before a password.
    pub(super) fn choose<'a>(values: impl Iterator<Item = &'a str>) -> Option<Challenge> {
        let mut basic = None;
        for value in values {
            match Challenge::parse(value) {
                Some(Challenge::Basic) => basic = Some(Challenge::Basic),
                None => {}
                bearer => return bearer,
            }
        }
        basic
    }

    fn parse(value: &str) -> Option<Challenge> {
        let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        let mut rest = rest.trim_start();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = after.trim_start_matches([',', ' ']);
        }
        Some(Challenge::Bearer { realm: realm?, service })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(values: &[&str], expected: Expect) {
        expected.assert_eq(&format!("{:?}", Challenge::choose(values.iter().copied())));
    }

    #[test]
    fn the_best_challenge_is_chosen() {
        check(&[r#"Basic realm="x""#], expect!["Some(Basic)"]);
        check(
            &[
                r#"Basic realm="x""#,
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a,b:c=d""#,
            ],
            expect![[r#"Some(Bearer { realm: "https://auth.docker.io/token", service: Some("registry.docker.io") })"#]],
        );
        check(
            &["bearer realm=https://a/t, error=x"],
            expect![[r#"Some(Bearer { realm: "https://a/t", service: None })"#]],
        );
        check(&[r#"Bearer service="x""#], expect!["None"]);
        check(&[r#"Bearer realm="x"#], expect!["None"]);
        check(&["Negotiate", ""], expect!["None"]);
    }
}
