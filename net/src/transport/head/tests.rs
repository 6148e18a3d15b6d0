use expect_test::{Expect, expect};

use super::*;

/// Sends a request's head to another host; shows it on its way and as it arrives.
fn check(mut request: Request<()>, expected: Expect) {
    request.headers_mut().insert(REQUEST_ID, HeaderValue::from_static("r1"));
    let context = RequestContext {
        request_id: RequestId::accept(&HeaderValue::from_static("r1")).unwrap(),
        client_addr: "[2001:db8::1]:5000".parse().unwrap(),
        scheme: Scheme::HTTP,
    };
    let show = |request: &Request<()>| {
        let headers: Vec<_> =
            request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        format!("{} {}\n  {}", request.method(), request.uri(), headers.join("\n  "))
    };
    let pod = HeaderValue::from_static("uid-1:8080");
    if let Err(error) = address(&mut request, &pod, &context) {
        return expected.assert_eq(&error.to_string());
    }
    let sent = show(&request);
    // As on another attempt.
    address(&mut request, &pod, &context).unwrap();
    assert_eq!(sent, show(&request));
    let (uid, port, read) = read(&mut request).unwrap();
    assert_eq!((read.request_id, read.client_addr), (context.request_id, context.client_addr));
    expected.assert_eq(&format!("{sent}\n=> {uid} {port} {}: {}\n", read.scheme, show(&request)));
}

#[test]
fn a_pod_sees_the_request_that_its_own_ingress_would_show_it() {
    let http1 = Request::get("/a?b=%20").header("host", "shop.example:80").header("connection", "x-hop, keep-alive");
    let http1 = http1.header("x-hop", "1").header("keep-alive", "5").header("te", "gzip").header("accept", "*/*");
    check(
        http1.body(()).unwrap(),
        expect![[r#"
        GET http://shop.example:80/a?b=%20
          host: shop.example:80
          accept: */*
          x-request-id: r1
          coracle-pod: uid-1:8080
          coracle-client: [2001:db8::1]:5000
        => uid-1 8080 http: GET /a?b=%20
          host: shop.example:80
          accept: */*
          x-request-id: r1
    "#]],
    );
    let http2 = Request::post("http://shop.example/a").header("te", "trailers");
    check(
        http2.body(()).unwrap(),
        expect![[r#"
        POST http://shop.example/a
          x-request-id: r1
          coracle-pod: uid-1:8080
          coracle-client: [2001:db8::1]:5000
          te: trailers
        => uid-1 8080 http: POST http://shop.example/a
          x-request-id: r1
          te: trailers
    "#]],
    );
    check(
        Request::options("*").body(()).unwrap(),
        expect![[r#"
        OPTIONS http://localhost*
          x-request-id: r1
          coracle-pod: uid-1:8080
          coracle-client: [2001:db8::1]:5000
        => uid-1 8080 http: OPTIONS http://localhost*
          x-request-id: r1
    "#]],
    );
    // What a client calls a pod counts for nothing.
    let forged = Request::get("/").header("host", "a").header("coracle-pod", "other:1").header("coracle-client", "me");
    check(
        forged.body(()).unwrap(),
        expect![[r#"
        GET http://a/
          host: a
          coracle-pod: uid-1:8080
          coracle-client: [2001:db8::1]:5000
          x-request-id: r1
        => uid-1 8080 http: GET /
          host: a
          x-request-id: r1
    "#]],
    );
    check(Request::get("/").header("host", "a b").body(()).unwrap(), expect!["invalid uri character"]);
}

#[test]
fn what_no_host_has_addressed_is_not_read() {
    let whole = [("coracle-pod", "u:80"), ("coracle-client", "10.0.0.1:1"), ("x-request-id", "r")];
    let is_read = |headers: &[(&str, &str)]| {
        let mut request = Request::get("/").body(()).unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        read(&mut request).is_some()
    };
    assert!(is_read(&whole));
    for left_out in 0..3 {
        let mut part = whole.to_vec();
        part.remove(left_out);
        assert!(!is_read(&part), "{part:?}");
    }
    assert!(!is_read(&[("coracle-pod", "u"), whole[1], whole[2]]));
    assert!(!is_read(&[("coracle-pod", "u:70000"), whole[1], whole[2]]));
}
