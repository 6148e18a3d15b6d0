//! What the host itself asks of a handler, and the end of its grace.

use super::*;

#[tokio::test]
async fn what_its_host_asks_is_neither_counted_nor_logged() {
    let host = Host::new();
    let container = host.start(&host.spec("hello")).await.unwrap();
    let ask = |container: &dyn Container| {
        let request = http::Request::get("/").body(RequestBody::empty()).unwrap();
        let context = RequestContext {
            request_id: RequestId::generate(1, 1, 1),
            client_addr: ([127, 0, 0, 1], 1234).into(),
            scheme: http::uri::Scheme::HTTP,
        };
        container.ask(request, context).unwrap()
    };
    let response = ask(&*container).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "Hello from Coracle!\n");
    assert_eq!(container.stats().requests, 0);
    // More failures in a row than a client's requests may have.
    let trapping = host.start(&host.spec("handler-traps")).await.unwrap();
    for _ in 0..6 {
        assert!(ask(&*trapping).await.unwrap_err().to_string().starts_with("the component failed: "));
    }
    assert_eq!((trapping.stats().traps, trapping.exited().borrow().is_none()), (6, true));
    container.stop(Duration::from_secs(60));
    exit_of(&*container).await;
    assert!(host.lines().iter().all(|line| line.starts_with("the component failed: ")), "{:?}", host.lines());
}

#[tokio::test]
async fn what_outlives_the_grace_is_ended() {
    outlives_the_grace(None).await;
    outlives_the_grace(Some(100)).await;
}

async fn outlives_the_grace(instance_reuse: Option<u32>) {
    let host = Host::new();
    let mut spec = host.spec("handler-loops");
    spec.instance_reuse = instance_reuse;
    let container: Arc<dyn Container> = host.start(&spec).await.unwrap().into();
    let asked = container.clone();
    let answer = tokio::spawn(async move { get_text(&*asked, "/").await });
    while container.stats().requests_active == 0 {
        tokio::task::yield_now().await;
    }
    container.stop(Duration::ZERO);
    assert_eq!(exit_text(&*container).await, "137 Error 1 requests were still running");
    assert_eq!(answer.await.unwrap(), "503 (retry) this container ended before it answered");
    while host.runtime.instances() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_limit_of_the_processor_is_kept() {
    let host = Host::new();
    let mut spec = host.spec("command-loops");
    spec.cpu_millis_max = Some(100);
    let began = Instant::now();
    let container = host.start(&spec).await.unwrap();
    while container.stats().cpu_ns < 100_000_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // 10 ms of it were there at the start; the rest takes ten times as long to earn, but for the last turn, which may have been a long one.
    assert!(began.elapsed() > Duration::from_millis(450), "{:?}", began.elapsed());
    container.stop(Duration::ZERO);
    exit_of(&*container).await;
}

#[tokio::test]
async fn requests_of_a_container_over_its_limit_wait() {
    let host = Host::new();
    let mut spec = host.spec("handler-loops");
    (spec.cpu_millis_max, spec.request_timeout) = (Some(10), Duration::from_millis(300));
    let container = host.start(&spec).await.unwrap();
    let late = "504 no response within 0.3 s";
    assert_eq!(get_text(&*container, "/").await, late);
    // It had its first slice, and with it more than there was.
    let first = container.stats().cpu_ns;
    for _ in 0..4 {
        assert_eq!(get_text(&*container, "/").await, late);
    }
    let others = container.stats().cpu_ns - first;
    assert!(others < 100_000_000, "{others}");
}

#[tokio::test]
async fn a_command_that_hears_of_its_end_has_its_grace() {
    let host = Host::new();
    for guest in ["command-ends-when-asked", "command-03-ends-when-asked"] {
        let container = host.start(&host.spec(guest)).await.unwrap();
        container.stop(Duration::from_secs(60));
        assert_eq!(exit_text(&*container).await, "0 Completed", "{guest}");
    }

    // One that goes on nevertheless is ended.
    let mut spec = host.spec("command-ends-when-asked");
    spec.args = vec!["for ever".to_owned()];
    let container = host.start(&spec).await.unwrap();
    container.stop(Duration::from_millis(50));
    assert_eq!(exit_text(&*container).await, "137 Error it had not ended when its grace was over");

    // One that does not hear of it has no use for the time.
    let container = host.start(&host.spec("command-loops")).await.unwrap();
    container.stop(Duration::from_secs(60));
    assert_eq!(exit_text(&*container).await, "143 Error stopped by the host");
}
