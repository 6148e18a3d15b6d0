//! The folders that a guest is given at its start: `wasi:filesystem/preopens`, opened anew for each instance that asks.
//!
//! Deliberately absent: a working directory, and folders that no mount names. What a guest opens within one never lies outside of it.

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::FsPerms;
use wasmtime_wasi::filesystem::{Descriptor, Dir, OpenMode};
use wasmtime_wasi::{p2, p3};

use super::super::guest::Guest;
use crate::runtime::Mount;

struct Preopens;

impl HasData for Preopens {
    type Data<'a> = &'a mut Guest;
}

/// Replaces what is linked by default for WASI 0.2, which would build a whole WASI context even for a guest that has no folder.
pub(in crate::wasm) fn link_02(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    p2::bindings::filesystem::preopens::add_to_linker::<Guest, Preopens>(linker, |guest| guest)
}

/// The same for WASI 0.3.
pub(in crate::wasm) fn link_03(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    p3::bindings::filesystem::preopens::add_to_linker::<Guest, Preopens>(linker, |guest| guest)
}

impl p2::bindings::filesystem::preopens::Host for &mut Guest {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        given(self)
    }
}

impl p3::bindings::filesystem::preopens::Host for &mut Guest {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        given(self)
    }
}

fn given(guest: &mut Guest) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
    let surroundings = guest.surroundings().clone();
    let given = surroundings.mounts.iter().map(|mount| {
        let directory = guest.table.push(Descriptor::Dir(open(mount)?))?;
        Ok((directory, mount.path.clone()))
    });
    given.collect()
}

fn open(mount: &Mount) -> wasmtime::Result<Dir> {
    let folder = mount.folder.open();
    let folder = folder.map_err(|error| wasmtime::Error::msg(format!("{} cannot be opened: {error}", mount.path)))?;
    let (permissions, mode) = match mount.is_read_only {
        true => (FsPerms::ReadOnly, OpenMode::READ),
        false => (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE),
    };
    Ok(Dir::new(folder, permissions, mode, false))
}
