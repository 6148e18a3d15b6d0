//! A component with one module in the place of several.

use std::collections::{HashMap, HashSet};

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent};
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentSectionId, ExportKind, InstanceSection, ModuleArg, RawSection,
};
use wasmparser::{CanonicalFunction, ComponentAlias, ExternalKind, Instance};

use super::items::{Item, Outline, SPACES, Space};
use super::link::{export_kind, export_name, link};
use super::plan::Plan;

/// Writes the items in their order; those that need the one module, and came before its last part, after it.
pub(super) fn rewrite(outline: &Outline<'_>, plan: Option<&Plan<'_>>) -> Option<Vec<u8>> {
    let definitions = &outline.definitions;
    let mut writer = Writer { outline, plan, component: Component::new(), numbers: Numbers::default(), whole: None };
    let Some(plan) = plan else {
        for (item, defined) in outline.items.iter().zip(definitions) {
            writer.write(item, *defined)?;
        }
        return Some(writer.component.finish());
    };
    let needed = needed(outline, plan);
    let last_part = plan.part_of.keys().filter_map(|instance| outline.instance_item(*instance)).max()?;
    let mut waiting = Vec::new();
    for (index, (item, defined)) in outline.items.iter().zip(definitions).enumerate() {
        if index == last_part {
            writer.write_whole(&needed)?;
            for index in std::mem::take(&mut waiting) {
                writer.write(outline.items.get(index)?, definitions[index])?;
            }
        } else if !needed.contains(&index) {
            // A part, or what nobody uses any more.
        } else if index > last_part || writer.knows_all(item) {
            writer.write(item, *defined)?;
        } else if matches!(item, Item::Canonical(CanonicalFunction::Lift { .. })) {
            // What comes of it would have to wait too.
            return None;
        } else {
            waiting.push(index);
        }
    }
    Some(writer.component.finish())
}

/// The items that remain.
fn needed(outline: &Outline<'_>, plan: &Plan<'_>) -> HashSet<usize> {
    let mut needed: HashSet<usize> = plan.inputs.iter().copied().collect();
    let mut used: HashSet<(Space, u32)> = HashSet::new();
    for (index, item) in outline.items.iter().enumerate().rev() {
        let is_needed = match (item, outline.definitions[index]) {
            (Item::Instance(Instance::Instantiate { .. }), Some((_, instance))) => plan.others.contains_key(&instance),
            (_, Some(definition)) => used.contains(&definition) || needed.contains(&index),
            (_, None) => true,
        };
        if is_needed {
            needed.insert(index);
            used.extend(item.references());
        }
    }
    needed
}

/// The new numbers of what is written.
#[derive(Default)]
struct Numbers {
    by_old: HashMap<(Space, u32), u32>,
    next: [u32; SPACES],
}

impl Numbers {
    fn add(&mut self, space: Space) -> u32 {
        let number = self.next[space as usize];
        self.next[space as usize] += 1;
        number
    }

    fn find(&self, space: Space, index: u32) -> Result<u32, Error<Missing>> {
        self.by_old.get(&(space, index)).copied().ok_or(Error::UserError(Missing))
    }
}

/// Something is referred to that is not written.
#[derive(Debug)]
struct Missing;

impl Reencode for Numbers {
    type Error = Missing;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<Missing>> {
        self.find(Space::Function, index)
    }

    fn table_index(&mut self, index: u32) -> Result<u32, Error<Missing>> {
        self.find(Space::Table, index)
    }

    fn memory_index(&mut self, index: u32) -> Result<u32, Error<Missing>> {
        self.find(Space::Memory, index)
    }

    fn global_index(&mut self, index: u32) -> Result<u32, Error<Missing>> {
        self.find(Space::Global, index)
    }

    fn tag_index(&mut self, index: u32) -> Result<u32, Error<Missing>> {
        self.find(Space::Tag, index)
    }
}

impl ReencodeComponent for Numbers {
    fn module_index(&mut self, index: u32) -> u32 {
        self.by_old.get(&(Space::Module, index)).copied().unwrap_or(u32::MAX)
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        self.by_old.get(&(Space::Instance, index)).copied().unwrap_or(u32::MAX)
    }
}

struct Writer<'o, 'a> {
    outline: &'o Outline<'a>,
    plan: Option<&'o Plan<'a>>,
    component: Component,
    numbers: Numbers,
    /// The number of the instance of the one module.
    whole: Option<u32>,
}

impl Writer<'_, '_> {
    fn part(&self, instance: u32) -> Option<usize> {
        self.plan?.part_of.get(&instance).copied()
    }

    /// Whether all that an item refers to is written.
    fn knows_all(&self, item: &Item<'_>) -> bool {
        item.references().into_iter().all(|(space, index)| match space {
            Space::Instance if self.part(index).is_some() => self.whole.is_some(),
            _ => self.numbers.by_old.contains_key(&(space, index)),
        })
    }

    fn write(&mut self, item: &Item<'_>, defined: Option<(Space, u32)>) -> Option<()> {
        match item {
            Item::Alias(ComponentAlias::CoreInstanceExport { kind, instance_index, name })
                if let Some(part) = self.part(*instance_index) =>
            {
                self.write_alias(*kind, part, name)?;
            }
            Item::Instance(Instance::Instantiate { module_index, args }) => {
                let (_, instance) = defined?;
                let mut arguments = Vec::with_capacity(args.len());
                for argument in args {
                    let number = match self.part(argument.index) {
                        Some(part) => self.write_stand_in(part, instance, argument.name)?,
                        None => self.numbers.find(Space::Instance, argument.index).ok()?,
                    };
                    arguments.push((argument.name, ModuleArg::Instance(number)));
                }
                let mut section = InstanceSection::new();
                section.instantiate(self.numbers.by_old.get(&(Space::Module, *module_index)).copied()?, arguments);
                self.component.section(&section);
                self.numbers.add(Space::Instance);
            }
            _ => {
                if !self.knows_all(item) {
                    return None;
                }
                item.encode(&mut self.numbers, &mut self.component).ok()?;
                if let Some((space, _)) = defined {
                    self.numbers.add(space);
                }
            }
        }
        if let Some((space, index)) = defined {
            self.numbers.by_old.insert((space, index), self.numbers.next[space as usize] - 1);
        }
        Some(())
    }

    /// Names something that the one module exports as one part's, and returns its number.
    fn write_alias(&mut self, kind: ExternalKind, part: usize, name: &str) -> Option<u32> {
        let (name, kind_written) = (export_name(part, name), export_kind(kind));
        let mut section = ComponentAliasSection::new();
        section.alias(Alias::CoreInstanceExport { instance: self.whole?, kind: kind_written, name: &name });
        self.component.section(&section);
        Some(self.numbers.add(kind.into()))
    }

    /// An instance with what another one imports of a part, and returns its number.
    fn write_stand_in(&mut self, part: usize, importer: u32, argument: &str) -> Option<u32> {
        let plan = self.plan?;
        let mut exports = Vec::new();
        for (_, name) in plan.others.get(&importer)?.iter().filter(|(module, _)| *module == argument) {
            let (kind, _) = *plan.parts.get(part)?.module.exports.get(name)?;
            exports.push((*name, export_kind(kind), self.write_alias(kind, part, name)?));
        }
        let mut section = InstanceSection::new();
        section.export_items(exports);
        self.component.section(&section);
        Some(self.numbers.add(Space::Instance))
    }

    /// The one module, with what others need of its parts, and its instance.
    fn write_whole(&mut self, needed: &HashSet<usize>) -> Option<()> {
        let plan = self.plan?;
        let mut exports: HashSet<(usize, &str)> = HashSet::new();
        for index in needed {
            if let Item::Alias(ComponentAlias::CoreInstanceExport { instance_index, name, .. }) =
                self.outline.items.get(*index)?
                && let Some(part) = self.part(*instance_index)
            {
                exports.insert((part, name));
            }
        }
        for (instance, imports) in &plan.others {
            let Instance::Instantiate { args, .. } = self.outline.instance(*instance)? else { return None };
            for argument in args {
                if let Some(part) = self.part(argument.index) {
                    let imports = imports.iter().filter(|(module, _)| *module == argument.name);
                    exports.extend(imports.map(|(_, name)| (part, *name)));
                }
            }
        }
        let mut exports: Vec<(usize, &str)> = exports.into_iter().collect();
        exports.sort_unstable();
        let module = link(&plan.parts, plan.inputs.len() as u32, &exports)?;
        self.component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: &module });
        let module = self.numbers.add(Space::Module);

        let mut inputs = Vec::with_capacity(plan.inputs.len());
        for (number, input) in plan.inputs.iter().enumerate() {
            let (space, index) = (*self.outline.definitions.get(*input)?)?;
            inputs.push((number.to_string(), ExportKind::Func, self.numbers.find(space, index).ok()?));
        }
        let mut section = InstanceSection::new();
        section.export_items(inputs);
        let inputs = self.numbers.add(Space::Instance);
        section.instantiate(module, [("", ModuleArg::Instance(inputs))]);
        self.component.section(&section);
        self.whole = Some(self.numbers.add(Space::Instance));
        Some(())
    }
}
