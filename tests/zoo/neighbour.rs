//! A pod that is asked again and again, and by when it has answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coracle_tests::try_get;

const PAUSE: Duration = Duration::from_millis(5);
/// An answer that takes longer is too late, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who asks the neighbour.
pub(crate) struct Neighbour {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Neighbour {
    /// Begins to ask.
    pub(crate) fn start(ingress: &str, host: &str) -> Neighbour {
        let is_over = Arc::new(AtomicBool::default());
        let (told, ingress, host) = (is_over.clone(), ingress.to_owned(), host.to_owned());
        let thread = std::thread::spawn(move || {
            let mut times = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let (status, text) = try_get(&ingress, &host, "/").expect("the neighbour answers");
                let took = asked.elapsed();
                assert_eq!((status, text.as_str()), (200, "Hello from Coracle!\n"), "after {took:?}");
                assert!(took < PATIENCE, "the neighbour answered after {took:?}");
                times.push(took);
                std::thread::sleep(PAUSE);
            }
            times
        });
        Neighbour { is_over, thread }
    }

    /// Stops asking; fails if an answer was wrong or late, and tells how late they were.
    pub(crate) fn end(self) -> String {
        self.is_over.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().expect("the neighbour was always answered in time");
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
        format!("{} answers, p50 {:.1?}, p99 {:.1?}, last {:.1?}", times.len(), at(0.5), at(0.99), at(0.9999))
    }
}
