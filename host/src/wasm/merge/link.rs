//! Core modules as one module, in which what they imported of each other is used directly.
//!
//! Deliberately absent: custom sections other than the names of functions, which traces of traps show.

use std::collections::HashMap;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, EntityType, ExportKind, ExportSection,
    FunctionSection, GlobalSection, ImportSection, MemorySection, Module as Encoder, NameMap, NameSection,
    TableSection, TagSection, TypeSection,
};
use wasmparser::{
    DataSectionReader, ElementKind, ElementSectionReader, ExternalKind, FunctionBody, FunctionSectionReader,
    GlobalSectionReader, Import, KnownCustom, MemorySectionReader, Name, NameSectionReader, Operator, Parser, Payload,
    TableSectionReader, TagSectionReader, TypeRef, TypeSectionReader,
};

use super::items::Space;

/// A core module in its sections.
#[derive(Default)]
pub(super) struct Module<'a> {
    pub(super) imports: Vec<Import<'a>>,
    pub(super) exports: HashMap<&'a str, (ExternalKind, u32)>,
    pub(super) has_start: bool,
    types: Option<TypeSectionReader<'a>>,
    functions: Option<FunctionSectionReader<'a>>,
    pub(super) tables: Option<TableSectionReader<'a>>,
    pub(super) memories: Option<MemorySectionReader<'a>>,
    tags: Option<TagSectionReader<'a>>,
    globals: Option<GlobalSectionReader<'a>>,
    elements: Option<ElementSectionReader<'a>>,
    pub(super) data: Option<DataSectionReader<'a>>,
    code: Vec<FunctionBody<'a>>,
    names: Option<NameSectionReader<'a>>,
}

impl<'a> Module<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Module<'a>> {
        let mut module = Module::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.ok()? {
                Payload::TypeSection(section) => module.types = Some(section),
                Payload::ImportSection(section) => {
                    module.imports = section.into_imports().collect::<Result<_, _>>().ok()?;
                }
                Payload::FunctionSection(section) => module.functions = Some(section),
                Payload::TableSection(section) => module.tables = Some(section),
                Payload::MemorySection(section) => module.memories = Some(section),
                Payload::TagSection(section) => module.tags = Some(section),
                Payload::GlobalSection(section) => module.globals = Some(section),
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.ok()?;
                        module.exports.insert(export.name, (export.kind, export.index));
                    }
                }
                Payload::StartSection { .. } => module.has_start = true,
                Payload::ElementSection(section) => module.elements = Some(section),
                Payload::DataSection(section) => module.data = Some(section),
                Payload::CodeSectionEntry(body) => module.code.push(body),
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(names) = section.as_known() {
                        module.names = Some(names);
                    }
                }
                Payload::Version { .. }
                | Payload::CodeSectionStart { .. }
                | Payload::DataCountSection { .. }
                | Payload::End(_) => {}
                _ => return None,
            }
        }
        Some(module)
    }

    /// The tables, by the module's own numbers, that it fills when it is instantiated.
    pub(super) fn filled_tables(&self) -> Option<Vec<u32>> {
        let mut tables = Vec::new();
        for element in self.elements.clone().into_iter().flatten() {
            if let ElementKind::Active { table_index, .. } = element.ok()?.kind {
                tables.push(table_index.unwrap_or(0));
            }
        }
        Some(tables)
    }

    fn type_count(&self) -> Option<u32> {
        let mut count = 0;
        for group in self.types.clone().into_iter().flatten() {
            count += group.ok()?.types().len() as u32;
        }
        Some(count)
    }
}

/// What one of a module's imports is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound<'a> {
    /// A function that the whole imports, by its number.
    Input(u32),
    /// What a part before it exports.
    Export { part: usize, name: &'a str },
}

/// A module with what its imports are.
pub(super) struct Part<'a> {
    pub(super) module: Module<'a>,
    pub(super) imports: Vec<Bound<'a>>,
}

/// The name of what the whole imports or exports as the given part's.
pub(super) fn export_name(part: usize, name: &str) -> String {
    format!("{part}:{name}")
}

/// One module of all parts: it imports `inputs` functions, named by their numbers, and exports what is asked for of its parts.
pub(super) fn link(parts: &[Part<'_>], inputs: u32, exports: &[(usize, &str)]) -> Option<Vec<u8>> {
    let numbers = number(parts, inputs)?;
    let mut sections = Sections::default();
    let mut input_types: Vec<Option<u32>> = vec![None; inputs as usize];
    let mut constants = HashMap::new();
    for (part, numbers) in parts.iter().zip(&numbers) {
        let mut linker = Linker { numbers, constants };
        for (import, bound) in part.module.imports.iter().zip(&part.imports) {
            if let (TypeRef::Func(ty), Bound::Input(input)) = (import.ty, bound) {
                input_types.get_mut(*input as usize)?.get_or_insert(linker.type_index(ty).ok()?);
            }
        }
        sections.add(&part.module, &mut linker).ok()?;
        constants = linker.constants;
    }
    let mut imports = ImportSection::new();
    for (input, ty) in input_types.into_iter().enumerate() {
        imports.import("", &input.to_string(), EntityType::Function(ty?));
    }
    let mut exported = ExportSection::new();
    for (part, name) in exports {
        let (kind, index) = *parts.get(*part)?.module.exports.get(name)?;
        let index = *numbers.get(*part)?.of(kind.into())?.get(index as usize)?;
        exported.export(&export_name(*part, name), export_kind(kind), index);
    }
    Some(sections.finish(&imports, &exported))
}

pub(super) fn export_kind(kind: ExternalKind) -> ExportKind {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Func,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Tag => ExportKind::Tag,
    }
}

/// The numbers that one part's definitions have in the whole.
#[derive(Clone, Default)]
struct Numbers {
    functions: Vec<u32>,
    tables: Vec<u32>,
    memories: Vec<u32>,
    globals: Vec<u32>,
    tags: Vec<u32>,
    /// Of the first of its types, passive elements and data.
    types: u32,
    elements: u32,
    data: u32,
    /// Of the first function that it does not import.
    own_functions: u32,
}

impl Numbers {
    fn of(&self, space: Space) -> Option<&Vec<u32>> {
        match space {
            Space::Function => Some(&self.functions),
            Space::Table => Some(&self.tables),
            Space::Memory => Some(&self.memories),
            Space::Global => Some(&self.globals),
            Space::Tag => Some(&self.tags),
            Space::Module | Space::Instance => None,
        }
    }

    fn of_mut(&mut self, space: Space) -> Option<&mut Vec<u32>> {
        match space {
            Space::Function => Some(&mut self.functions),
            Space::Table => Some(&mut self.tables),
            Space::Memory => Some(&mut self.memories),
            Space::Global => Some(&mut self.globals),
            Space::Tag => Some(&mut self.tags),
            Space::Module | Space::Instance => None,
        }
    }
}

fn number(parts: &[Part<'_>], inputs: u32) -> Option<Vec<Numbers>> {
    let mut all: Vec<Numbers> = Vec::new();
    let (mut types, mut elements, mut data) = (0, 0, 0);
    // The next free number of each: functions, tables, memories, globals, tags.
    let mut next = [inputs, 0, 0, 0, 0];
    for Part { module, imports } in parts {
        let mut numbers = Numbers { types, elements, data, own_functions: next[0], ..Numbers::default() };
        for (import, bound) in module.imports.iter().zip(imports) {
            let space = space_of(&import.ty);
            let index = match *bound {
                Bound::Input(input) => input,
                Bound::Export { part, name } => {
                    let (kind, index) = *parts.get(part)?.module.exports.get(name)?;
                    *all.get(part)?.of(kind.into())?.get(index as usize)?
                }
            };
            numbers.of_mut(space)?.push(index);
        }
        let own = [
            (Space::Function, count(module.functions.as_ref())),
            (Space::Table, count(module.tables.as_ref())),
            (Space::Memory, count(module.memories.as_ref())),
            (Space::Global, count(module.globals.as_ref())),
            (Space::Tag, count(module.tags.as_ref())),
        ];
        for ((space, count), next) in own.into_iter().zip(&mut next) {
            numbers.of_mut(space)?.extend(*next..*next + count);
            *next += count;
        }
        types += module.type_count()?;
        elements += count(module.elements.as_ref());
        data += count(module.data.as_ref());
        all.push(numbers);
    }
    Some(all)
}

fn count<'a, T>(section: Option<&wasmparser::SectionLimited<'a, T>>) -> u32 {
    section.map_or(0, wasmparser::SectionLimited::count)
}

fn space_of(ty: &TypeRef) -> Space {
    match ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => Space::Function,
        TypeRef::Table(_) => Space::Table,
        TypeRef::Memory(_) => Space::Memory,
        TypeRef::Global(_) => Space::Global,
        TypeRef::Tag(_) => Space::Tag,
    }
}

/// The value of a global that never changes.
#[derive(Clone, Copy)]
enum Constant {
    I32(i32),
    I64(i64),
}

/// A part refers to something that is not there.
#[derive(Debug)]
struct Unknown;

/// Gives one part's definitions their numbers in the whole.
struct Linker<'n> {
    numbers: &'n Numbers,
    /// By the numbers of the whole. A module may not compute with the globals of its own that an engine without garbage collection knows.
    constants: HashMap<u32, Constant>,
}

impl Linker<'_> {
    fn lookup(&self, space: Space, index: u32) -> Result<u32, Error<Unknown>> {
        let number = self.numbers.of(space).and_then(|numbers| numbers.get(index as usize));
        number.copied().ok_or(Error::UserError(Unknown))
    }

    fn constant(&self, expression: &wasmparser::ConstExpr<'_>) -> Option<Constant> {
        let mut operators = expression.get_operators_reader();
        let first = operators.read().ok()?;
        operators.is_end_then_eof().then_some(())?;
        match first {
            Operator::I32Const { value } => Some(Constant::I32(value)),
            Operator::I64Const { value } => Some(Constant::I64(value)),
            Operator::GlobalGet { global_index } => {
                self.constants.get(&self.lookup(Space::Global, global_index).ok()?).copied()
            }
            _ => None,
        }
    }

    /// Notes which of the module's own globals are constant.
    fn note_constants(&mut self, globals: GlobalSectionReader<'_>) -> Result<(), Error<Unknown>> {
        let own = self.numbers.globals.len() - globals.count() as usize;
        for (index, global) in globals.into_iter().enumerate() {
            let global = global?;
            if !global.ty.mutable
                && let Some(constant) = self.constant(&global.init_expr)
            {
                self.constants.insert(self.numbers.globals[own + index], constant);
            }
        }
        Ok(())
    }
}

impl Reencode for Linker<'_> {
    type Error = Unknown;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<Unknown>> {
        self.lookup(Space::Function, index)
    }

    fn table_index(&mut self, index: u32) -> Result<u32, Error<Unknown>> {
        self.lookup(Space::Table, index)
    }

    fn memory_index(&mut self, index: u32) -> Result<u32, Error<Unknown>> {
        self.lookup(Space::Memory, index)
    }

    fn global_index(&mut self, index: u32) -> Result<u32, Error<Unknown>> {
        self.lookup(Space::Global, index)
    }

    fn tag_index(&mut self, index: u32) -> Result<u32, Error<Unknown>> {
        self.lookup(Space::Tag, index)
    }

    fn type_index(&mut self, index: u32) -> Result<u32, Error<Unknown>> {
        self.numbers.types.checked_add(index).ok_or(Error::UserError(Unknown))
    }

    fn element_index(&mut self, index: u32) -> Result<u32, Error<Unknown>> {
        self.numbers.elements.checked_add(index).ok_or(Error::UserError(Unknown))
    }

    fn data_index(&mut self, index: u32) -> Result<u32, Error<Unknown>> {
        self.numbers.data.checked_add(index).ok_or(Error::UserError(Unknown))
    }

    fn const_expr(&mut self, expression: wasmparser::ConstExpr<'_>) -> Result<ConstExpr, Error<Unknown>> {
        match self.constant(&expression) {
            Some(Constant::I32(value)) => Ok(ConstExpr::i32_const(value)),
            Some(Constant::I64(value)) => Ok(ConstExpr::i64_const(value)),
            None => utils::const_expr(self, expression),
        }
    }
}

/// The whole's sections, to which each part adds its own.
#[derive(Default)]
struct Sections {
    types: TypeSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    tags: TagSection,
    globals: GlobalSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
    names: NameMap,
}

impl Sections {
    fn add(&mut self, module: &Module<'_>, linker: &mut Linker<'_>) -> Result<(), Error<Unknown>> {
        if let Some(section) = module.types.clone() {
            linker.parse_type_section(&mut self.types, section)?;
        }
        if let Some(section) = module.functions.clone() {
            linker.parse_function_section(&mut self.functions, section)?;
        }
        if let Some(section) = module.tables.clone() {
            linker.parse_table_section(&mut self.tables, section)?;
        }
        if let Some(section) = module.memories.clone() {
            linker.parse_memory_section(&mut self.memories, section)?;
        }
        if let Some(section) = module.tags.clone() {
            linker.parse_tag_section(&mut self.tags, section)?;
        }
        if let Some(section) = module.globals.clone() {
            linker.note_constants(section.clone())?;
            linker.parse_global_section(&mut self.globals, section)?;
        }
        if let Some(section) = module.elements.clone() {
            linker.parse_element_section(&mut self.elements, section)?;
        }
        if let Some(section) = module.data.clone() {
            linker.parse_data_section(&mut self.data, section)?;
        }
        for body in &module.code {
            linker.parse_function_body(&mut self.code, body.clone())?;
        }
        self.add_names(module, linker.numbers);
        Ok(())
    }

    fn add_names(&mut self, module: &Module<'_>, numbers: &Numbers) {
        for section in module.names.clone().into_iter().flatten().flatten() {
            let Name::Function(names) = section else { continue };
            for name in names.into_iter().flatten() {
                // What it imports has its name from where it is defined.
                let number =
                    numbers.functions.get(name.index as usize).filter(|number| **number >= numbers.own_functions);
                if let Some(number) = number {
                    self.names.append(*number, name.name);
                }
            }
        }
    }

    fn finish(self, imports: &ImportSection, exports: &ExportSection) -> Vec<u8> {
        let mut names = NameSection::new();
        names.functions(&self.names);
        let mut module = Encoder::new();
        module.section(&self.types).section(imports).section(&self.functions);
        module.section(&self.tables).section(&self.memories);
        // Whoever does not support exceptions takes no empty section of them either.
        if !self.tags.is_empty() {
            module.section(&self.tags);
        }
        module.section(&self.globals).section(exports).section(&self.elements);
        module.section(&DataCountSection { count: self.data.len() });
        module.section(&self.code).section(&self.data).section(&names);
        module.finish()
    }
}
