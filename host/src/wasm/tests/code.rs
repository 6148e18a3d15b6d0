use super::*;
use crate::disk_quota::DiskQuota;

/// Another component than hello, of the same size.
fn hallo() -> Vec<u8> {
    wat::parse_str(guest_text("hello").replace("Hello", "Hallo")).unwrap()
}

fn with_quota(bytes_max: u64) -> Host {
    let quota = DiskQuota::new(bytes_max, Arc::new(SystemClock));
    Host::with(|dir| Options { quota, ..child_options(dir, CompileLimits::default()) })
}

/// The extensions of the files in the only engine's folder, and the bytes that count.
fn kept(host: &Host) -> String {
    let folder = cached(host.dir.path(), "cwasm").parent().unwrap().to_owned();
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut extensions: Vec<String> =
        files.map(|file| file.extension().unwrap().to_str().unwrap().to_owned()).collect();
    extensions.sort();
    extensions.join(" ")
}

async fn code_bytes() -> u64 {
    let host = Host::with(|dir| child_options(dir, CompileLimits::default()));
    host.runtime.prepare(&host.spec("hello")).await.unwrap();
    std::fs::metadata(cached(host.dir.path(), "cwasm")).unwrap().len()
}

#[tokio::test]
async fn code_makes_room_for_other_code_unless_a_container_uses_it() {
    let bytes = code_bytes().await;
    let host = with_quota(bytes + bytes / 2);
    let (hello, hallo) = (host.spec("hello"), host.spec_of(&hallo()));
    let prepared = host.runtime.prepare(&hello).await.unwrap();
    let refused = host.runtime.prepare(&hallo).await.err().unwrap();
    assert_eq!((refused.reason(), refused.is_transient()), ("CreateContainerError", true));
    let start = "this host could not prepare the container: there is no room for its compiled code: it takes ";
    assert!(refused.to_string().starts_with(start), "{refused}");
    assert_eq!(kept(&host), "cwasm seal");

    drop(prepared);
    assert!(host.runtime.prepare(&hallo).await.unwrap().compile_time() > Duration::ZERO);
    assert_eq!(kept(&host), "cwasm seal");
    // It is in memory no more, where it would have kept its room on disk.
    assert!(host.runtime.prepare(&hello).await.unwrap().compile_time() > Duration::ZERO);
}

#[tokio::test]
async fn what_is_kept_counts_after_a_restart_and_what_no_engine_can_load_is_gone() {
    let host = Host::with(|dir| child_options(dir, CompileLimits::default()));
    host.runtime.prepare(&host.spec("hello")).await.unwrap();
    let code = cached(host.dir.path(), "cwasm");
    let other_engine = host.dir.path().join("compiled/0123456789abcdef");
    std::fs::create_dir(&other_engine).unwrap();
    std::fs::write(other_engine.join("sha256-1.cwasm"), "code").unwrap();
    for name in ["sha256-1.77.new", "sha256-2.cwasm", "sha256-3.seal"] {
        std::fs::write(code.with_file_name(name), "left by a host that was killed").unwrap();
    }

    let quota = DiskQuota::unlimited(Arc::new(SystemClock));
    let options = Options { quota: quota.clone(), ..child_options(host.dir.path(), CompileLimits::default()) };
    let again = WasmRuntime::open(options).unwrap();
    assert!(!other_engine.exists());
    assert_eq!(kept(&host), "cwasm seal");
    let mut text = String::new();
    quota.render(&mut text);
    let bytes = std::fs::metadata(&code).unwrap().len();
    assert!(text.contains(&format!("\ncoracle_host_image_disk_bytes {bytes}\n")), "{text}");
    assert_eq!(again.prepare(&host.spec("hello")).await.unwrap().compile_time(), Duration::ZERO);
}

#[tokio::test]
async fn what_is_compiled_ahead_need_not_be_when_a_container_wants_it() {
    let host = Host::with(|dir| child_options(dir, CompileLimits::default()));
    let spec = host.spec("hello");
    let ahead = async |spec: &ContainerSpec| host.runtime.compile_ahead(&spec.artifact, &spec.digest).await;
    ahead(&spec).await.unwrap();
    ahead(&spec).await.unwrap();
    assert_eq!(host.runtime.compilations(), 1);
    assert_eq!(host.runtime.prepare(&spec).await.unwrap().compile_time(), Duration::ZERO);
    // At the same time it is done once.
    let spec = host.spec_of(&hallo());
    let (compiled, prepared) = tokio::join!(ahead(&spec), host.runtime.prepare(&spec));
    compiled.unwrap();
    prepared.unwrap();
    assert_eq!(host.runtime.compilations(), 2);
    // It would be compiled as a part of another.
    ahead(&host.spec_of(&wat::parse_str("(component (core module))").unwrap())).await.unwrap();
    assert_eq!(host.runtime.compilations(), 2);
}

#[tokio::test]
async fn a_bomb_that_is_pushed_costs_its_limits_once() {
    let small = CompileLimits { memory_bytes_max: 64 << 20, ..CompileLimits::default() };
    let host = Host::with(|dir| child_options(dir, small));
    let text = guest_text("hello");
    let end = text.rfind(')').unwrap();
    let functions = format!("(func (local {})) ", "i64 ".repeat(20_000)).repeat(100);
    let bomb = host.spec_of(&wat::parse_str(format!("{}(core module {functions}))", &text[..end])).unwrap());
    let said = host.runtime.compile_ahead(&bomb.artifact, &bomb.digest).await.unwrap_err().to_string();
    assert!(said.contains("64Mi of memory"), "{said}");
    assert_eq!(host.runtime.prepare(&bomb).await.err().unwrap().to_string(), said);
    assert_eq!(host.runtime.compilations(), 1);
}

/// Looks twice, as happens to what nobody asks for a while; gives the number of components that are in memory then.
fn look_twice(host: &Host) -> u64 {
    for _ in 0..2 {
        host.runtime.shared.known().iter().for_each(|component| component.look());
    }
    host.runtime.components_in_memory()
}

#[tokio::test]
async fn a_component_that_nobody_asks_leaves_memory_and_comes_back() {
    let host = Host::with(|dir| child_options(dir, CompileLimits::default()));
    let fresh = host.start(&host.spec("hello")).await.unwrap();
    let mut spec = host.spec_of(&hallo());
    spec.instance_reuse = Some(10);
    let reused = host.start(&spec).await.unwrap();
    assert_eq!(host.runtime.components_in_memory(), 2);
    assert_eq!(look_twice(&host), 0);
    assert_eq!(get_text(&*fresh, "/").await, "200 Hello from Coracle!");
    assert_eq!(host.runtime.components_in_memory(), 1);
    assert_eq!(get_text(&*reused, "/").await, "200 Hallo from Coracle!");
    assert_eq!(host.runtime.components_in_memory(), 2);
    assert_eq!(look_twice(&host), 1, "an instance of one waits for more requests");
    assert_eq!(host.runtime.compilations(), 2);

    // Its code is damaged meanwhile, which the same runtime finds as well.
    let code = cached(host.dir.path(), "cwasm")
        .with_file_name(format!("{}.cwasm", cache::file_stem(&host.spec("hello").digest)));
    std::fs::write(&code, "no code").unwrap();
    assert_eq!(get_text(&*fresh, "/").await, "200 Hello from Coracle!");
    assert_eq!(host.runtime.compilations(), 3);
}

#[tokio::test]
async fn a_component_stays_in_memory_while_a_command_of_it_runs() {
    let host = Host::with(|dir| child_options(dir, CompileLimits::default()));
    let command = host.start(&host.spec("command-loops")).await.unwrap();
    assert_eq!(look_twice(&host), 1);
    command.stop(Duration::ZERO);
    exit_of(&*command).await;
    drop(command);
    // Its last part is dropped by the thread that ran it.
    while look_twice(&host) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_can_not_come_back_into_memory_is_not_there_for_a_request_and_may_be_for_the_next() {
    let host = Host::with(|dir| child_options(dir, CompileLimits::default()));
    let spec = host.spec("hello");
    let container = host.start(&spec).await.unwrap();
    assert_eq!(look_twice(&host), 0);
    std::fs::remove_file(cached(host.dir.path(), "cwasm")).unwrap();
    let aside = spec.artifact.with_extension("aside");
    std::fs::rename(&spec.artifact, &aside).unwrap();
    let answer = get_text(&*container, "/").await;
    assert!(answer.starts_with("503 (retry) the component could not be loaded: "), "{answer}");
    assert!(answer.contains("cannot be read"), "{answer}");
    std::fs::rename(&aside, &spec.artifact).unwrap();
    assert_eq!(get_text(&*container, "/").await, "200 Hello from Coracle!");
}
