use expect_test::{Expect, expect};

use super::*;
use crate::runtime::Stream;

/// What a container was told.
#[derive(Default)]
pub(in crate::wasm::capabilities) struct Told(pub(in crate::wasm::capabilities) Mutex<Vec<String>>);

impl LogSink for Told {
    fn write(&self, _: Stream, line: &[u8]) {
        self.0.lock().push(String::from_utf8_lossy(line).into_owned());
    }
}

fn reach(egress: &str, listens: bool) -> (Reach, Arc<Told>) {
    let told = Arc::<Told>::default();
    let pod = PodIdentity { namespace: "default".into(), ip: "127.64.0.9".into(), ..PodIdentity::default() };
    let mut spec = ContainerSpec::new(pod, "main", "none".into(), "none");
    spec.egress = egress.parse().unwrap();
    (Reach::new(&spec, listens, None, told.clone()), told)
}

#[test]
fn programs_listen_at_their_pods_address() {
    let check = |listens: bool, addresses: &[&str], expected: Expect| {
        let (reach, told) = reach("", listens);
        let allowed: Vec<_> = addresses.iter().filter(|text| reach.allow_listener(text.parse().unwrap())).collect();
        expected.assert_eq(&format!("{allowed:?}\n{}", told.0.lock().join("\n")));
    };
    check(
        true,
        &["127.64.0.9:80", "127.0.0.1:80", "0.0.0.0:80", "[::]:80"],
        expect![[r#"
        ["127.64.0.9:80"]
        a listener at 127.0.0.1:80 was denied: the pod's address is 127.64.0.9; bind to that, or to 0.0.0.0
        a listener at 0.0.0.0:80 was denied: the pod's address is 127.64.0.9; bind to that, or to 0.0.0.0
        a listener at [::]:80 was denied: the pod's address is 127.64.0.9; bind to that, or to 0.0.0.0"#]],
    );
    check(
        false,
        &["127.64.0.9:80"],
        expect![[r#"
        []
        a listener at 127.64.0.9:80 was denied: a component that answers requests listens to nothing else"#]],
    );
}

#[test]
fn sockets_are_for_programs_and_for_what_is_declared() {
    for (egress, listens, expected) in [("", false, false), ("", true, true), ("a.example", false, true)] {
        let (reach, told) = reach(egress, listens);
        assert_eq!(reach.has_sockets(), expected, "{egress} {listens}");
        reach.tell_of_sockets();
        assert_eq!(told.0.lock().is_empty(), expected);
    }
}

#[tokio::test]
async fn connections_go_where_the_pod_declares() {
    let (reach, told) = reach("localhost, 127.0.0.0/8:81, 10.0.0.1", true);
    let mut lines = Vec::new();
    // Nobody has looked the name up before the last one.
    for address in ["127.64.0.9:5", "127.0.0.1:81", "127.0.0.1:82", "10.0.0.1:82", "10.0.0.2:82", "169.254.169.254:80"]
    {
        lines.push(format!("{address}: {}", reach.allow_connection(address.parse().unwrap()).await));
    }
    expect![[r#"
        127.64.0.9:5: true
        127.0.0.1:81: true
        127.0.0.1:82: false
        10.0.0.1:82: true
        10.0.0.2:82: false
        169.254.169.254:80: false
        a connection to 127.0.0.1:82 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "127.0.0.1" in the pod's annotation coracle.dev/egress
        a connection to 10.0.0.2:82 was denied: the pod does not declare it; declare "10.0.0.2" in the pod's annotation coracle.dev/egress
        a connection to 169.254.169.254:80 was denied: addresses of the machine and its link are reached only where they are declared as addresses; declare "169.254.169.254" in the pod's annotation coracle.dev/egress"#]].assert_eq(&format!("{}\n{}", lines.join("\n"), told.0.lock().join("\n")));
}

#[tokio::test]
async fn an_address_is_known_by_the_name_that_was_looked_up() {
    // A name of this machine stands for an address of it, which has to be declared itself.
    let (reach, _) = reach("localhost", true);
    assert_eq!(reach.allow_lookup("localhost").as_deref(), Some("localhost"));
    assert!(!reach.allow_connection("127.0.0.1:80".parse().unwrap()).await);
    assert!(stands_for("localhost", [127, 0, 0, 1].into()).await);
    assert!(!stands_for("localhost", [127, 0, 0, 2].into()).await);
    assert!(!stands_for("nobody.invalid", [127, 0, 0, 1].into()).await);
}

#[test]
fn names_are_looked_up_as_declared() {
    let (reach, told) = reach("*.example", true);
    let asked = ["a.example", "example", "A.EXAMPLE.", "10.0.0.1", "[::1]"];
    let allowed: Vec<_> = asked.into_iter().filter_map(|name| reach.allow_lookup(name)).collect();
    expect![[r#"
        ["a.example", "A.EXAMPLE.", "10.0.0.1", "[::1]"]
        the name example was denied: the pod does not declare it; declare "example" in the pod's annotation coracle.dev/egress"#]].assert_eq(&format!("{allowed:?}\n{}", told.0.lock().join("\n")));
}

#[test]
fn who_sent_a_datagram_may_be_answered_for_a_while() {
    let (reach, _) = reach("", true);
    let client: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let now = Instant::now();
    assert!(!reach.is_answer(client, now));
    reach.hear(client, now);
    assert!(reach.is_answer(client, now));
    assert!(!reach.is_answer("127.0.0.1:10".parse().unwrap(), now));
    assert!(!reach.is_answer(client, now + ANSWER_TIME));
    // Many others are forgotten when they are old, and no more of them are kept than there may be.
    for port in 0..u16::try_from(SENDERS_MAX).unwrap() + 9 {
        reach.hear(([10, 0, 0, 1], port).into(), now + ANSWER_TIME / 2);
    }
    assert_eq!(reach.senders.lock().len(), SENDERS_MAX);
    reach.hear("127.0.0.1:10".parse().unwrap(), now + ANSWER_TIME * 2);
    assert_eq!(reach.senders.lock().len(), 1);
}
