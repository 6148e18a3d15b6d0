//! A view of the file system that only this host's Linux containers have to do with: what is mounted there shows nowhere else, and goes
//! when this process does.
//!
//! One thread owns it, and makes a thread for each piece of work in it. Deliberately absent: anything of components.

use std::ffi::{CStr, CString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use tokio::sync::oneshot;

use super::cgroup;

type Job = Box<dyn FnOnce() + Send>;

/// The way in.
pub(crate) struct Quarters {
    jobs: mpsc::Sender<Job>,
}

impl Quarters {
    /// Makes them, with this working directory for all who work there.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Quarters> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        std::thread::Builder::new().name("containers".to_owned()).spawn(move || {
            let entered = enter(&dir);
            let is_in = entered.is_ok();
            // Whoever opens waits for it.
            let _ = tell.send(entered);
            while is_in && let Ok(job) = inbox.recv() {
                // Threads have the view of the thread that makes them. One that can't be made drops the job, which tells who waits.
                if let Err(error) = std::thread::Builder::new().name("container".to_owned()).spawn(job) {
                    tracing::warn!(%error, "a thread could not be started");
                }
            }
        })?;
        told.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended")))?;
        Ok(Quarters { jobs })
    }

    /// Does work there; it goes on when nobody waits for it any more.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (tell, told) = oneshot::channel();
        self.begin(move || {
            // Nobody may wait for it any more.
            let _ = tell.send(work());
        });
        told.await.map_err(|_| io::Error::other("the work broke off"))
    }

    /// Begins work there.
    pub(crate) fn begin(&self, work: impl FnOnce() + Send + 'static) {
        // The thread ends only when the process does.
        let _ = self.jobs.send(Box::new(work));
    }
}

fn enter(dir: &Path) -> io::Result<()> {
    // SAFETY: only this thread's view of mounts and its working directory part from the process's; no memory is concerned.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // What others mount still shows here; what is mounted here shows nowhere else.
    mount(c"none", Path::new("/"), None, libc::MS_REC | libc::MS_SLAVE, c"")?;
    // A tree of version 2 beside those of version 1 is more than crun can take; it works with those alone.
    let beside = Path::new(cgroup::UNIFIED_BESIDE);
    if cgroup::is_unified(beside) {
        unmount(beside)?;
    }
    std::env::set_current_dir(dir)
}

/// Mounts an overlay: what was changed in `upper` upon `lower`, the uppermost first, all relative to the working directory.
pub(crate) fn mount_overlay(lower: &[&str], upper: &str, work: &str, at: &Path, options: &str) -> io::Result<()> {
    let data = format!("lowerdir={},upperdir={upper},workdir={work}{options}", lower.join(":"));
    mount(c"overlay", at, Some(c"overlay"), 0, &c_text(&data)?)
}

fn mount(source: &CStr, at: &Path, kind: Option<&CStr>, flags: u64, data: &CStr) -> io::Result<()> {
    let at = c_text(at.to_str().ok_or_else(|| io::Error::other("a path that is no text"))?)?;
    let kind = kind.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: all pointers are to strings that end with a zero and live until the call returns, or null where that is allowed.
    let result = unsafe { libc::mount(source.as_ptr(), at.as_ptr(), kind, flags, data.as_ptr().cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Unmounts what is there, at once for all who look, and in truth when nobody uses it any more.
pub(crate) fn unmount(at: &Path) -> io::Result<()> {
    let at = c_text(at.to_str().ok_or_else(|| io::Error::other("a path that is no text"))?)?;
    // SAFETY: the pointer is to a string that ends with a zero and lives until the call returns.
    let result = unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn c_text(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(io::Error::other)
}
