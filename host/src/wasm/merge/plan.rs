//! Which instances of modules become one, and what they import of what stays outside.

use std::collections::{HashMap, HashSet};

use wasmparser::Instance;

use super::items::{Outline, Source};
use super::link::{Bound, Module, Part};
use crate::wasm::engine::MODULE_TABLES_MAX;

/// What is made one.
pub(super) struct Plan<'a> {
    /// In the order in which they are instantiated.
    pub(super) parts: Vec<Part<'a>>,
    /// By instance: which part it is.
    pub(super) part_of: HashMap<u32, usize>,
    /// The items whose functions the whole imports.
    pub(super) inputs: Vec<usize>,
    /// Those that stay as they are, with what they import: the argument's name, and the import's.
    pub(super) others: HashMap<u32, Vec<(&'a str, &'a str)>>,
}

impl<'a> Plan<'a> {
    /// Nothing, where there is nothing to gain or something stands against it.
    pub(super) fn of(outline: &Outline<'a>) -> Option<Plan<'a>> {
        let mut plan = Plan { parts: Vec::new(), part_of: HashMap::new(), inputs: Vec::new(), others: HashMap::new() };
        let mut used = HashSet::new();
        let mut others: Vec<(Module<'a>, Vec<Source<'a>>)> = Vec::new();
        for index in 0..outline.instance_count() {
            let Instance::Instantiate { module_index, args } = outline.instance(index)? else { continue };
            if !used.insert(*module_index) {
                return None;
            }
            let module = Module::parse(outline.module(*module_index)?)?;
            let mut sources = Vec::with_capacity(module.imports.len());
            for import in &module.imports {
                let argument = args.iter().find(|argument| argument.name == import.module)?;
                sources.push(outline.source(argument.index, import.name)?);
            }
            let is_late = sources.iter().any(|source| match source {
                // A memory, a function or a table of an instance.
                Source::Canonical(item) => !outline.items[*item].references().is_empty(),
                Source::Export { instance, .. } => !plan.part_of.contains_key(instance),
            });
            if is_late {
                let imports = module.imports.iter().map(|import| (import.module, import.name));
                plan.others.insert(index, imports.collect());
                others.push((module, sources));
                continue;
            }
            if module.has_start || meets(&module, &sources, &others)? {
                return None;
            }
            plan.add(index, module, &sources);
        }
        let modules = || plan.parts.iter().map(|part| &part.module);
        let memories: u32 = modules().filter_map(|module| Some(module.memories.as_ref()?.count())).sum();
        let tables: u32 = modules().filter_map(|module| Some(module.tables.as_ref()?.count())).sum();
        (plan.parts.len() > 1 && memories <= 1 && tables <= MODULE_TABLES_MAX).then_some(plan)
    }

    fn add(&mut self, index: u32, module: Module<'a>, sources: &[Source<'a>]) {
        let bound = |source: &Source<'a>| match *source {
            Source::Export { instance, name } => Bound::Export { part: self.part_of[&instance], name },
            Source::Canonical(item) => {
                let known = self.inputs.iter().position(|input| *input == item);
                let input = known.unwrap_or_else(|| {
                    self.inputs.push(item);
                    self.inputs.len() - 1
                });
                Bound::Input(input as u32)
            }
        };
        let imports = sources.iter().map(bound).collect();
        self.part_of.insert(index, self.parts.len());
        self.parts.push(Part { module, imports });
    }
}

/// The instances that become one are made before the others. Whether it can be seen that this one was made after some of them.
fn meets<'a>(module: &Module<'a>, sources: &[Source<'a>], others: &[(Module<'a>, Vec<Source<'a>>)]) -> Option<bool> {
    let own = filled(module, sources)?;
    for (other, sources) in others {
        let is_seen =
            other.has_start || other.data.is_some() || filled(other, sources)?.iter().any(|table| own.contains(table));
        if is_seen {
            return Some(true);
        }
    }
    Some(false)
}

/// The imported tables that a module fills; its own ones are nobody else's when it does.
fn filled<'a>(module: &Module<'a>, sources: &[Source<'a>]) -> Option<Vec<Source<'a>>> {
    let tables =
        module.imports.iter().zip(sources).filter(|(import, _)| matches!(import.ty, wasmparser::TypeRef::Table(_)));
    let tables: Vec<Source<'a>> = tables.map(|(_, source)| *source).collect();
    Some(module.filled_tables()?.into_iter().filter_map(|table| tables.get(table as usize).copied()).collect())
}
