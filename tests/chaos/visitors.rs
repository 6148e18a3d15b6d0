//! People who ask pods all the while, through the ingress of one host after the other.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coracle_tests::{ControlPlane, Host, Machine, Network, eventually, root, try_get};

const HOSTS: u8 = 2;
const REPLICAS: &str = "4";
const INGRESS_PORT: u16 = 8080;
const PAUSE: Duration = Duration::from_millis(20);
/// An answer that takes longer is too late.
const PATIENCE: Duration = Duration::from_secs(2);

/// Hosts on machines of their own, which no fault befalls, and who visits their pods.
pub(crate) struct Visitors {
    _hosts: Vec<(Machine, Host)>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Visited>,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Visited {
    pub(crate) answered: u64,
    /// What was not answered well, or too late.
    pub(crate) complaints: Vec<String>,
}

impl Visitors {
    /// Starts hosts and pods, and begins to ask when each ingress reaches them.
    pub(crate) fn start(network: &mut Network, plane: &ControlPlane, folder: &Path) -> Visitors {
        let hosts = (1..=HOSTS).map(|number| {
            let (machine, name) = (network.machine(), format!("host-{number}"));
            let join = ["--join", &plane.invitation("host"), "--name", &name];
            let host = Host::spawn(machine.host(&folder.join(&name)).args(join));
            (machine, host)
        });
        let hosts: Vec<_> = hosts.collect();
        let hello = root().join("examples/hello/hello.wat");
        plane.wasmctl(&["deploy", hello.to_str().unwrap(), "--replicas", REPLICAS]).ok();
        let ingresses: Vec<_> = hosts.iter().map(|(machine, _)| machine.address()).collect();
        for ingress in &ingresses {
            eventually("hello answers", || ask(*ingress).ok());
        }
        let is_over = Arc::new(AtomicBool::default());
        let thread = std::thread::spawn({
            let is_over = is_over.clone();
            move || visit(&ingresses, &is_over)
        });
        Visitors { _hosts: hosts, is_over, thread }
    }

    pub(crate) fn end(self) -> Visited {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn visit(ingresses: &[Ipv4Addr], is_over: &AtomicBool) -> Visited {
    let (began, mut visited) = (Instant::now(), Visited::default());
    for ingress in ingresses.iter().cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
        let asked = Instant::now();
        let answer = ask(*ingress);
        match answer {
            Ok(()) if asked.elapsed() < PATIENCE => visited.answered += 1,
            answer => {
                let (at, took) = ((asked - began).as_secs_f64(), asked.elapsed());
                let complaint =
                    format!("a pod asked at {at:.1} s by way of {ingress}, answered after {took:.1?}: {answer:?}");
                println!("{complaint}");
                visited.complaints.push(complaint);
            }
        }
        std::thread::sleep(PAUSE);
    }
    visited
}

fn ask(ingress: Ipv4Addr) -> Result<(), String> {
    match try_get(SocketAddr::from((ingress, INGRESS_PORT)), "hello.localhost", "/") {
        Ok((200, _)) => Ok(()),
        Ok((status, body)) => Err(format!("{status} {body}")),
        Err(error) => Err(error.to_string()),
    }
}
