//! Instances that answer more than one request.

use super::*;

const BEGIN: &str = "(call $drop-request (local.get $request))";
/// Where the text ends in `!`.
const MARK: &str = "(i32.const 168)";

/// The hello guest, which counts up the last letter of its answer: the first request to an instance is answered with `"`, then `#`, `$`…
fn counting(then: &str) -> Vec<u8> {
    let count = format!("(i32.store8 {MARK} (i32.add (i32.load8_u {MARK}) (i32.const 1)))");
    let text = guest_text("hello").replace(BEGIN, &format!("{BEGIN} {count} {then}"));
    wat::parse_str(text).unwrap()
}

/// Answers to requests one after the other, by their status and last letter.
#[track_caller]
fn check(guest: &[u8], change: impl FnOnce(&mut ContainerSpec), requests: usize, expected: Expect) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers = runtime.block_on(async {
        let host = Host::new();
        let mut spec = host.spec_of(guest);
        change(&mut spec);
        let container = host.start(&spec).await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..requests {
            let text = get_text(&*container, "/").await;
            answers.push(format!("{}{}", &text[..3], text.strip_prefix("200 Hello from Coracle").unwrap_or_default()));
        }
        answers.join(" ")
    });
    expected.assert_eq(&answers);
}

#[test]
fn an_instance_answers_as_many_requests_as_its_owner_says() {
    check(&counting(""), |_| {}, 3, expect![[r#"200" 200" 200""#]]);
    check(&counting(""), |spec| spec.instance_reuse = Some(1), 2, expect![[r#"200" 200""#]]);
    check(&counting(""), |spec| spec.instance_reuse = Some(2), 5, expect![[r#"200" 200# 200" 200# 200""#]]);
}

#[test]
fn a_trap_costs_the_instance_and_its_request() {
    let guest = counting(&format!("(if (i32.eq (i32.load8_u {MARK}) (i32.const 35)) (then (unreachable)))"));
    check(&guest, |spec| spec.instance_reuse = Some(100), 5, expect![[r#"200" 500 200" 500 200""#]]);
}

#[test]
fn who_gives_no_answer_is_found_out() {
    let guest = guest_bytes("handler-no-response");
    check(&guest, |spec| spec.instance_reuse = Some(100), 2, expect!["502 502"]);
}

#[tokio::test]
async fn requests_at_once_have_instances_of_their_own_and_idle_ones_end() {
    let host = Host::new();
    let mut spec = host.spec_of(&counting(""));
    spec.instance_reuse = Some(100);
    let container = host.start(&spec).await.unwrap();
    let answers = futures::future::join(get_text(&*container, "/"), get_text(&*container, "/")).await;
    assert_eq!(answers, ("200 Hello from Coracle\"".to_owned(), "200 Hello from Coracle\"".to_owned()));
    assert_eq!(host.runtime.instances(), 2);
    assert!(container.stats().memory_bytes > 0);
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((host.runtime.instances(), container.stats().memory_bytes), (0, 0));
    assert_eq!(get_text(&*container, "/").await, "200 Hello from Coracle\"");
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_ended() {
    let host = Host::new();
    let mut spec = host.spec("handler-loops");
    spec.instance_reuse = Some(100);
    spec.request_timeout = Duration::from_millis(100);
    let container = host.start(&spec).await.unwrap();
    assert_eq!(get_text(&*container, "/").await, "504 no response within 0.1 s");
    while host.runtime.instances() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(container.stats().requests_active, 0);
}

#[tokio::test]
async fn a_container_that_stops_keeps_no_instance() {
    let host = Host::new();
    let mut spec = host.spec_of(&counting(""));
    spec.instance_reuse = Some(100);
    let container = host.start(&spec).await.unwrap();
    get_text(&*container, "/").await;
    assert_eq!(host.runtime.instances(), 1);
    container.stop(Duration::from_secs(60));
    assert_eq!(exit_text(&*container).await, "0 Completed");
    while host.runtime.instances() > 0 {
        tokio::task::yield_now().await;
    }
}
