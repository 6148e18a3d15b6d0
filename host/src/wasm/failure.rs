//! Turns what wasmtime reports into one line for the user.
//!
//! Deliberately absent: backtraces.

use wasmtime::component::ResourceTableError;
use wasmtime::{Error, Trap};
use wasmtime_wasi::I32Exit;

use super::limits::LimitError;

/// Why a guest ended other than by returning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It called `wasi:cli/exit`.
    Exit(i32),
    /// It asked for more memory than it may have.
    Memory(String),
    /// It was stopped at an epoch tick: out of time, or asked to end.
    Interrupted,
    /// It trapped, or broke another limit.
    Trap(String),
}

impl Failure {
    /// Reads an error that a call into a guest, or an instantiation, ended with.
    pub(crate) fn of(error: &Error) -> Failure {
        if let Some(exit) = error.downcast_ref::<I32Exit>() {
            return Failure::Exit(exit.0);
        }
        if let Some(limit @ LimitError::Memory { .. }) = error.downcast_ref::<LimitError>() {
            return Failure::Memory(limit.to_string());
        }
        if error.chain().any(|cause| matches!(cause.downcast_ref(), Some(ResourceTableError::Full))) {
            return Failure::Trap(
                "it holds as many handles as an instance may have: files, connections, streams".to_owned(),
            );
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Failure::Interrupted,
            Some(trap) => Failure::Trap(trap_text(*trap)),
            None => Failure::Trap(one_line(&error.root_cause().to_string())),
        }
    }

    /// The reason in one line.
    pub(crate) fn text(&self) -> String {
        match self {
            Failure::Exit(code) => format!("exited with code {code}"),
            Failure::Memory(reason) | Failure::Trap(reason) => reason.clone(),
            Failure::Interrupted => "stopped while running".to_owned(),
        }
    }
}

fn trap_text(trap: Trap) -> String {
    let text = one_line(&trap.to_string());
    text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned()
}

/// The first line, at most 300 bytes of it.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
    match line.char_indices().find(|(index, _)| *index >= 300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
