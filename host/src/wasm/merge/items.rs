//! A component as the list of what it defines, in order, with what each definition refers to.
//!
//! Deliberately absent: components that import, export or share core modules.

use std::borrow::Cow;
use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent};
use wasm_encoder::{
    CanonicalFunctionSection, Component, ComponentAliasSection, ComponentSectionId, InstanceSection, RawSection,
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Encoding, ExternalKind, Instance, Parser, Payload, Validator, WasmFeatures,
};

/// What has numbers of its own, of what concerns core modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Space {
    Module,
    Instance,
    Function,
    Table,
    Memory,
    Global,
    Tag,
}

pub(super) const SPACES: usize = 7;

impl From<ExternalKind> for Space {
    fn from(kind: ExternalKind) -> Space {
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => Space::Function,
            ExternalKind::Table => Space::Table,
            ExternalKind::Memory => Space::Memory,
            ExternalKind::Global => Space::Global,
            ExternalKind::Tag => Space::Tag,
        }
    }
}

/// One definition, or a whole section where its parts do not matter.
pub(super) enum Item<'a> {
    Module(&'a [u8]),
    Component(Cow<'a, [u8]>),
    Instance(Instance<'a>),
    Canonical(CanonicalFunction),
    Alias(ComponentAlias<'a>),
    Other { id: u8, content: &'a [u8] },
}

impl Item<'_> {
    /// In which space it defines something.
    fn defines(&self) -> Option<Space> {
        match self {
            Item::Module(_) => Some(Space::Module),
            Item::Instance(_) => Some(Space::Instance),
            Item::Canonical(CanonicalFunction::Lift { .. }) => None,
            Item::Canonical(_) => Some(Space::Function),
            Item::Alias(ComponentAlias::CoreInstanceExport { kind, .. }) => Some((*kind).into()),
            Item::Component(_) | Item::Alias(_) | Item::Other { .. } => None,
        }
    }

    /// Appends it to a component, with the numbers that the reencoder gives to what it refers to.
    pub(super) fn encode<T: ReencodeComponent>(
        &self,
        reencoder: &mut T,
        component: &mut Component,
    ) -> Result<(), Error<T::Error>> {
        match self {
            Item::Module(bytes) => {
                component.section(&RawSection { id: ComponentSectionId::CoreModule.into(), data: bytes });
            }
            Item::Component(bytes) => {
                component.section(&RawSection { id: ComponentSectionId::Component.into(), data: bytes });
            }
            Item::Instance(instance) => {
                let mut section = InstanceSection::new();
                reencoder.parse_instance(&mut section, instance.clone())?;
                component.section(&section);
            }
            Item::Canonical(function) => {
                let mut section = CanonicalFunctionSection::new();
                reencoder.parse_component_canonical(&mut section, function.clone())?;
                component.section(&section);
            }
            Item::Alias(alias) => {
                let mut section = ComponentAliasSection::new();
                section.alias(reencoder.component_alias(alias.clone())?);
                component.section(&section);
            }
            Item::Other { id, content } => {
                component.section(&RawSection { id: *id, data: content });
            }
        }
        Ok(())
    }

    /// What it refers to.
    pub(super) fn references(&self) -> Vec<(Space, u32)> {
        let mut recorder = Recorder(Vec::new());
        match self {
            Item::Instance(_) | Item::Canonical(_) | Item::Alias(_) => {
                // What cannot be encoded is not parsed either.
                let _ = self.encode(&mut recorder, &mut Component::new());
            }
            Item::Module(_) | Item::Component(_) | Item::Other { .. } => {}
        }
        recorder.0
    }
}

/// Notes what a definition refers to, and changes nothing.
struct Recorder(Vec<(Space, u32)>);

impl Recorder {
    fn note(&mut self, space: Space, index: u32) -> u32 {
        self.0.push((space, index));
        index
    }
}

impl Reencode for Recorder {
    type Error = Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, Error> {
        Ok(self.note(Space::Function, index))
    }

    fn table_index(&mut self, index: u32) -> Result<u32, Error> {
        Ok(self.note(Space::Table, index))
    }

    fn memory_index(&mut self, index: u32) -> Result<u32, Error> {
        Ok(self.note(Space::Memory, index))
    }

    fn global_index(&mut self, index: u32) -> Result<u32, Error> {
        Ok(self.note(Space::Global, index))
    }

    fn tag_index(&mut self, index: u32) -> Result<u32, Error> {
        Ok(self.note(Space::Tag, index))
    }
}

impl ReencodeComponent for Recorder {
    fn module_index(&mut self, index: u32) -> u32 {
        self.note(Space::Module, index)
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        self.note(Space::Instance, index)
    }
}

/// A component in its parts.
pub(super) struct Outline<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// By item: what it defines.
    pub(super) definitions: Vec<Option<(Space, u32)>>,
    /// By space: the item that defines each number.
    definers: [Vec<usize>; SPACES],
}

/// Where something comes from that a module can import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source<'a> {
    /// An item that makes a core function of something of the component model.
    Canonical(usize),
    /// An export of an instance of a module.
    Export { instance: u32, name: &'a str },
}

impl<'a> Outline<'a> {
    /// Nothing, if it is no component or has something that is not understood here.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Outline<'a>> {
        let mut outline = Outline { items: Vec::new(), definitions: Vec::new(), definers: Default::default() };
        let mut depth = 0_usize;
        // Of the bodies of functions it is seen to later.
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.ok()?;
            validator.payload(&payload).ok()?;
            let section = payload.as_section();
            match payload {
                Payload::Version { encoding: Encoding::Component, .. } => {}
                Payload::Version { .. } if depth > 0 => {}
                Payload::ModuleSection { unchecked_range, .. } => {
                    if depth == 0 {
                        outline.add(Item::Module(bytes.get(unchecked_range)?));
                    }
                    depth += 1;
                }
                Payload::ComponentSection { unchecked_range, .. } => {
                    if depth == 0 {
                        outline.add(Item::Component(bytes.get(unchecked_range)?.into()));
                    }
                    depth += 1;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentAliasSection(aliases) => {
                    for alias in aliases {
                        let alias = alias.ok()?;
                        if shares_module(&alias) {
                            return None;
                        }
                        if depth == 0 {
                            outline.add(Item::Alias(alias));
                        }
                    }
                }
                _ if depth > 0 => {}
                payload => {
                    let (id, range) = section?;
                    outline.add_section(payload, id, bytes.get(range)?)?;
                }
            }
        }
        Some(outline)
    }

    fn add_section(&mut self, payload: Payload<'a>, id: u8, content: &'a [u8]) -> Option<()> {
        match payload {
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    self.add(Item::Instance(instance.ok()?));
                }
                return Some(());
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    self.add(Item::Canonical(function.ok()?));
                }
                return Some(());
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    if let ComponentTypeRef::Module(_) = import.ok()?.ty {
                        return None;
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    if export.ok()?.kind == ComponentExternalKind::Module {
                        return None;
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                let is_module = |kind: ComponentExternalKind| kind == ComponentExternalKind::Module;
                for instance in instances {
                    let names_module = match instance.ok()? {
                        ComponentInstance::Instantiate { args, .. } => args.iter().any(|arg| is_module(arg.kind)),
                        ComponentInstance::FromExports(exports) => exports.iter().any(|export| is_module(export.kind)),
                    };
                    if names_module {
                        return None;
                    }
                }
            }
            // Names of numbers, which change.
            Payload::CustomSection(section) if section.name() == "component-name" => return Some(()),
            Payload::CustomSection(_) | Payload::ComponentTypeSection(_) | Payload::CoreTypeSection(_) => {}
            _ => return None,
        }
        self.add(Item::Other { id, content });
        Some(())
    }

    fn add(&mut self, item: Item<'a>) {
        let defined = item.defines().map(|space| {
            let definers = &mut self.definers[space as usize];
            definers.push(self.items.len());
            (space, definers.len() as u32 - 1)
        });
        self.definitions.push(defined);
        self.items.push(item);
    }

    pub(super) fn instance(&self, index: u32) -> Option<&Instance<'a>> {
        match self.definer(Space::Instance, index)? {
            (_, Item::Instance(instance)) => Some(instance),
            _ => None,
        }
    }

    pub(super) fn module(&self, index: u32) -> Option<&'a [u8]> {
        match self.definer(Space::Module, index)? {
            (_, Item::Module(bytes)) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn instance_count(&self) -> u32 {
        self.definers[Space::Instance as usize].len() as u32
    }

    /// The item that defines an instance.
    pub(super) fn instance_item(&self, index: u32) -> Option<usize> {
        self.definer(Space::Instance, index).map(|(item, _)| item)
    }

    /// Where that comes from which an instance offers under a name.
    pub(super) fn source(&self, instance: u32, name: &'a str) -> Option<Source<'a>> {
        match self.instance(instance)? {
            Instance::Instantiate { .. } => Some(Source::Export { instance, name }),
            Instance::FromExports(exports) => {
                let export = exports.iter().find(|export| export.name == name)?;
                self.source_of(export.kind.into(), export.index)
            }
        }
    }

    /// Where something comes from that has a number.
    pub(super) fn source_of(&self, space: Space, index: u32) -> Option<Source<'a>> {
        match self.definer(space, index)? {
            (item, Item::Canonical(_)) => Some(Source::Canonical(item)),
            (_, Item::Alias(ComponentAlias::CoreInstanceExport { instance_index, name, .. })) => {
                self.source(*instance_index, name)
            }
            _ => None,
        }
    }

    fn definer(&self, space: Space, index: u32) -> Option<(usize, &Item<'a>)> {
        let item = *self.definers[space as usize].get(index as usize)?;
        Some((item, self.items.get(item)?))
    }
}

fn shares_module(alias: &ComponentAlias<'_>) -> bool {
    match alias {
        ComponentAlias::Outer { kind, .. } => *kind == ComponentOuterAliasKind::CoreModule,
        ComponentAlias::InstanceExport { kind, .. } => *kind == ComponentExternalKind::Module,
        ComponentAlias::CoreInstanceExport { .. } => false,
    }
}
