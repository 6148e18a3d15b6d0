use wasmtime::{Config, Engine};

use super::*;

fn linker(has_concurrency: bool) -> Linker<Guest> {
    let mut config = Config::new();
    config.concurrency_support(has_concurrency);
    Linker::new(&Engine::new(&config).unwrap())
}

#[test]
fn what_is_replaced_is_what_wasmtime_links() {
    let (mut linker_02, mut linker_03) = (linker(false), linker(true));
    wasmtime_wasi::p2::add_to_linker_async(&mut linker_02).unwrap();
    wasmtime_wasi::p3::add_to_linker(&mut linker_03).unwrap();
    let replaced_02 = [
        (TCP_02, "[method]tcp-socket.start-bind"),
        (UDP_02, "[method]udp-socket.start-bind"),
        (CREATE_TCP_02, "create-tcp-socket"),
        (CREATE_UDP_02, "create-udp-socket"),
        (LOOKUP_02, "resolve-addresses"),
    ];
    let replaced_03 = [
        (TYPES_03, "[method]tcp-socket.bind"),
        (TYPES_03, "[method]udp-socket.bind"),
        (TYPES_03, "[static]tcp-socket.create"),
        (TYPES_03, "[static]udp-socket.create"),
        (LOOKUP_03, "resolve-addresses"),
    ];
    for (linker, replaced) in [(&mut linker_02, replaced_02), (&mut linker_03, replaced_03)] {
        for (interface, function) in replaced {
            let again = linker.instance(interface).unwrap().func_wrap(function, |_, (): ()| Ok(()));
            assert!(again.is_err(), "{interface} has no {function} yet");
        }
    }
    linker_02.allow_shadowing(true);
    link_02(&mut linker_02).unwrap();
    linker_03.allow_shadowing(true);
    link_03(&mut linker_03).unwrap();
}
