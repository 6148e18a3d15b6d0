use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn check(declared: &str, asked: &[&str], expected: Expect) {
    let egress: Egress = match declared.parse() {
        Ok(egress) => egress,
        Err(error) => return expected.assert_eq(&format!("{error}")),
    };
    let answer = |asked: &&str| {
        let (name, address) = asked.split_once('=').map_or((*asked, None), |(name, address)| (name, Some(address)));
        let (host, port) = name.rsplit_once(':').unwrap();
        let port = port.parse().unwrap();
        let allowed = egress.allow_host(host, port).and_then(|()| match address {
            Some(address) => egress.allow_address(address.parse().unwrap(), port, Some(host)),
            None => Ok(()),
        });
        match allowed {
            Ok(()) => format!("{asked}: yes"),
            Err(denial) => format!("{asked}: {denial}"),
        }
    };
    expected.assert_eq(&asked.iter().map(answer).collect::<Vec<_>>().join("\n"));
}

#[test]
fn nothing_is_reached_without_a_declaration() {
    check(
        "",
        &["example.com:443", "1.1.1.1:80", "[::1]:80"],
        expect![[r#"
        example.com:443: a connection to example.com:443 was denied: it is no Service, and the pod does not declare it; declare "example.com" in the pod's annotation coracle.dev/egress
        1.1.1.1:80: a connection to 1.1.1.1:80 was denied: the pod does not declare it; declare "1.1.1.1" in the pod's annotation coracle.dev/egress
        [::1]:80: a connection to [::1]:80 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "::1" in the pod's annotation coracle.dev/egress"#]],
    );
}

#[test]
fn names_are_reached_as_declared() {
    check(
        "Api.example.com, *.shop.example:8443 ,db.internal.:5432",
        &[
            "api.example.com:443",
            "API.EXAMPLE.COM.:1",
            "example.com:443",
            "api.example.com.evil:443",
            "a.shop.example:8443",
            "a.b.shop.example:8443",
            "shop.example:8443",
            ".shop.example:8443",
            "a.shop.example:443",
            "xshop.example:8443",
            "db.internal:5432",
        ],
        expect![[r#"
            api.example.com:443: yes
            API.EXAMPLE.COM.:1: yes
            example.com:443: a connection to example.com:443 was denied: it is no Service, and the pod does not declare it; declare "example.com" in the pod's annotation coracle.dev/egress
            api.example.com.evil:443: a connection to api.example.com.evil:443 was denied: it is no Service, and the pod does not declare it; declare "api.example.com.evil" in the pod's annotation coracle.dev/egress
            a.shop.example:8443: yes
            a.b.shop.example:8443: yes
            shop.example:8443: a connection to shop.example:8443 was denied: it is no Service, and the pod does not declare it; declare "shop.example" in the pod's annotation coracle.dev/egress
            .shop.example:8443: a connection to .shop.example:8443 was denied: it is no Service, and the pod does not declare it; declare ".shop.example" in the pod's annotation coracle.dev/egress
            a.shop.example:443: a connection to a.shop.example:443 was denied: it is no Service, and the pod does not declare it; declare "a.shop.example" in the pod's annotation coracle.dev/egress
            xshop.example:8443: a connection to xshop.example:8443 was denied: it is no Service, and the pod does not declare it; declare "xshop.example" in the pod's annotation coracle.dev/egress
            db.internal:5432: yes"#]],
    );
}

#[test]
fn addresses_are_reached_as_declared() {
    check(
        "10.0.0.0/8:80, 192.168.1.7",
        &["10.1.2.3:80", "10.1.2.3:81", "11.0.0.1:80", "192.168.1.7:9", "192.168.1.8:9"],
        expect![[r#"
            10.1.2.3:80: yes
            10.1.2.3:81: a connection to 10.1.2.3:81 was denied: the pod does not declare it; declare "10.1.2.3" in the pod's annotation coracle.dev/egress
            11.0.0.1:80: a connection to 11.0.0.1:80 was denied: the pod does not declare it; declare "11.0.0.1" in the pod's annotation coracle.dev/egress
            192.168.1.7:9: yes
            192.168.1.8:9: a connection to 192.168.1.8:9 was denied: the pod does not declare it; declare "192.168.1.8" in the pod's annotation coracle.dev/egress"#]],
    );
    check(
        "2001:db8::/32, [2001:db9::1]:80",
        &["[2001:db8::1]:1", "[2001:db9::1]:80", "[2001:db9::1]:81"],
        expect![[r#"
        [2001:db8::1]:1: yes
        [2001:db9::1]:80: yes
        [2001:db9::1]:81: a connection to [2001:db9::1]:81 was denied: the pod does not declare it; declare "2001:db9::1" in the pod's annotation coracle.dev/egress"#]],
    );
}

#[test]
fn names_do_not_lead_to_the_machine_or_its_link() {
    check(
        "*, api.example.com",
        &[
            "api.example.com:80=93.184.216.34",
            "api.example.com:80=10.0.0.1",
            "api.example.com:80=169.254.169.254",
            "api.example.com:80=127.0.0.1",
            "api.example.com:80=::ffff:169.254.169.254",
            "api.example.com:80=fd00:ec2::254",
            "api.example.com:80=fe80::1",
            "169.254.169.254:80",
            "0.0.0.0:80",
            "[::ffff:127.0.0.1]:80",
        ],
        expect![[r#"
            api.example.com:80=93.184.216.34: yes
            api.example.com:80=10.0.0.1: yes
            api.example.com:80=169.254.169.254: a connection to api.example.com:80, which is 169.254.169.254, was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "169.254.169.254" in the pod's annotation coracle.dev/egress
            api.example.com:80=127.0.0.1: a connection to api.example.com:80, which is 127.0.0.1, was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "127.0.0.1" in the pod's annotation coracle.dev/egress
            api.example.com:80=::ffff:169.254.169.254: a connection to api.example.com:80, which is 169.254.169.254, was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "169.254.169.254" in the pod's annotation coracle.dev/egress
            api.example.com:80=fd00:ec2::254: a connection to api.example.com:80, which is fd00:ec2::254, was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "fd00:ec2::254" in the pod's annotation coracle.dev/egress
            api.example.com:80=fe80::1: a connection to api.example.com:80, which is fe80::1, was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "fe80::1" in the pod's annotation coracle.dev/egress
            169.254.169.254:80: a connection to 169.254.169.254:80 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "169.254.169.254" in the pod's annotation coracle.dev/egress
            0.0.0.0:80: a connection to 0.0.0.0:80 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "0.0.0.0" in the pod's annotation coracle.dev/egress
            [::ffff:127.0.0.1]:80: a connection to 127.0.0.1:80 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "127.0.0.1" in the pod's annotation coracle.dev/egress"#]],
    );
    check(
        "metadata.internal:80, 169.254.169.254:80",
        &["metadata.internal:80=169.254.169.254", "169.254.169.254:80", "169.254.169.254:81", "169.254.169.253:80"],
        expect![[r#"
            metadata.internal:80=169.254.169.254: yes
            169.254.169.254:80: yes
            169.254.169.254:81: a connection to 169.254.169.254:81 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "169.254.169.254" in the pod's annotation coracle.dev/egress
            169.254.169.253:80: a connection to 169.254.169.253:80 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "169.254.169.253" in the pod's annotation coracle.dev/egress"#]],
    );
}

#[test]
fn what_is_no_pattern_is_refused() {
    let refused = |text: &str| text.parse::<Egress>().unwrap_err().to_string();
    expect![[r#""https://example.com" is none of HOST, *.DOMAIN, *, ADDRESS and ADDRESS/BITS, each with or without :PORT (IPv6 in brackets)"#]].assert_eq(&refused("https://example.com"));
    let others =
        ["a b", "*x.com", "**", "a..b", "example.com:0", "example.com:99999", "10.0.0.0/33", "1.2.3", "a/8", "é.fr"];
    for text in others {
        assert!(text.parse::<Egress>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_panic_or_opens_the_link(text in "[*a-c0-9.:/\\[\\], ]{0,24}", host in "[a-c0-9.:\\[\\]]{0,12}") {
        let Ok(egress) = text.parse::<Egress>() else { return Ok(()) };
        let _ = egress.allow_host(&host, 80);
        let link = IpAddr::from([169, 254, 169, 254]);
        let names_it = egress.0.iter().any(|pattern| matches!(pattern.host, Host::Range { .. }));
        prop_assert!(names_it || egress.allow_address(link, 80, Some(&host)).is_err());
    }
}
