//! Real components for unit tests, encoded by hand: they build in milliseconds, and need no toolchain.

use std::borrow::Cow;

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, ImportSection, MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wit_parser::Resolve;

/// Where the guest keeps things in its memory. Below is an empty answer: `ok(none)` is all zeros.
const REFUSAL_AT: i32 = 512;
const TEXT_AT: i32 = 1_024;
const HEAP_AT: i32 = 256 << 10;

/// Pages that a self-test asks for.
const MORE_PAGES: i32 = 64;

/// A plugin to be made.
#[derive(Debug, Clone)]
pub(crate) struct TestGuest {
    manifest: String,
    /// Interface and function, both without parameters.
    imports: Vec<(String, String, Option<ValType>)>,
    self_test: Option<SelfTest>,
    handle: Handle,
    /// What it does when it is to leave or to take over.
    handover: Option<(Handover, Handover)>,
    /// Of the contract that it is built for.
    contract: String,
    leave_out_handler: bool,
}

/// What it does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handle {
    Silent,
    /// For some milliseconds.
    Busy,
    Spin,
}

/// What it does when it is asked whether it is fit.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SelfTest {
    Pass,
    Refuse(String),
    RefuseIfItGrows(String),
    Spin,
}

/// What it does when it is to leave what it knows, which is nothing, or to take that over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handover {
    Agree,
    Refuse,
    Spin,
    Trap,
}

/// Turns of a loop: some milliseconds, on any machine.
const BUSY: i32 = 20_000_000;

impl TestGuest {
    pub fn new(manifest: &str) -> Self {
        Self {
            manifest: manifest.to_owned(),
            imports: Vec::new(),
            self_test: None,
            handle: Handle::Silent,
            handover: None,
            contract: contract(),
            leave_out_handler: false,
        }
    }

    /// One that handles these types.
    pub fn handling(version: &str, types: &[&str]) -> Self {
        let handles: Vec<_> = types.iter().map(|name| serde_json::json!({ "type": name })).collect();
        Self::new(&serde_json::json!({"name": "test", "version": version, "handles": handles}).to_string())
    }

    /// Imports `clock`.
    pub fn with_clock(self) -> Self {
        self.with_import("clock", "now-ms", Some(ValType::I64))
    }

    pub fn with_import(mut self, interface: &str, function: &str, result: Option<ValType>) -> Self {
        self.imports.push((interface.to_owned(), function.to_owned(), result));
        self
    }

    pub fn with_self_test(mut self, result: Result<(), &str>) -> Self {
        self.self_test = Some(match result {
            Ok(()) => SelfTest::Pass,
            Err(reason) => SelfTest::Refuse(reason.to_owned()),
        });
        self
    }

    /// Its self-test fails once it may have 8 MiB of memory.
    pub fn that_fails_with_more_memory(mut self) -> Self {
        self.self_test = Some(SelfTest::RefuseIfItGrows("there is too much memory".to_owned()));
        self
    }

    /// Its self-test never ends.
    pub fn with_self_test_that_spins(mut self) -> Self {
        self.self_test = Some(SelfTest::Spin);
        self
    }

    /// Hands over nothing, and takes not even that.
    pub fn that_imports_nothing(mut self) -> Self {
        self.handover = Some((Handover::Agree, Handover::Refuse));
        self
    }

    pub fn with_handle(mut self, handle: Handle) -> Self {
        self.handle = handle;
        self
    }

    /// Its instances are those of sessions.
    pub fn of_sessions(mut self, export: Handover, import: Handover) -> Self {
        let mut manifest: serde_json::Value = serde_json::from_str(&self.manifest).unwrap();
        manifest["isolation"] = "session".into();
        self.manifest = manifest.to_string();
        self.handover = Some((export, import));
        self
    }

    pub fn without_handler(mut self) -> Self {
        self.leave_out_handler = true;
        self
    }

    /// Built for a contract that differs from the host's.
    pub fn with_contract(mut self, change: impl FnOnce(String) -> String) -> Self {
        self.contract = change(self.contract);
        self
    }

    fn interface(&self, name: &str) -> String {
        let version = self.contract.split_once('@').unwrap().1.split_once(';').unwrap().0;
        format!("switchboard:plugin/{name}@{version}")
    }

    /// The component.
    pub fn build(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        resolve.push_str("contract.wit", &self.contract).unwrap();
        let package = resolve.push_str("guest.wit", &self.world()).unwrap();
        let world = resolve.select_world(&[package], Some("guest")).unwrap();
        let mut module = self.module();
        let encoding = wit_component::StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
        wit_component::ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
    }

    fn world(&self) -> String {
        let imports = self.imports.iter().map(|(interface, ..)| format!("import {};", self.interface(interface)));
        let exports = self.exported().map(|interface| format!("export {};", self.interface(interface)));
        let items: Vec<String> = imports.chain(exports).collect();
        format!("package test:guest; world guest {{ {} }}", items.join(" "))
    }

    fn exported(&self) -> impl Iterator<Item = &'static str> {
        let handler = (!self.leave_out_handler).then_some("handler");
        let health = self.self_test.is_some().then_some("health");
        let handover = self.handover.is_some().then_some("handover");
        ["plugin"].into_iter().chain(handler).chain(health).chain(handover)
    }

    fn module(&self) -> Vec<u8> {
        use ValType::I32;
        let mut types = TypeSection::new();
        types.ty().function([], [I32]);
        types.ty().function([I32], [I32]);
        types.ty().function([I32; 4], [I32]);
        let mut imports = ImportSection::new();
        for (index, (interface, function, result)) in (3_u32..).zip(&self.imports) {
            types.ty().function([], *result);
            imports.import(&self.interface(interface), function, EntityType::Function(index));
        }
        let first = u32::try_from(self.imports.len()).unwrap();
        let handle = match self.handle {
            Handle::Silent => returning(0),
            Handle::Busy => busy(),
            Handle::Spin => spinning(),
        };
        let mut bodies = vec![("plugin", "#manifest", 0, returning(REFUSAL_AT - 8)), ("handler", "#handle", 1, handle)];
        if self.leave_out_handler {
            bodies.pop();
        }
        if let Some(self_test) = &self.self_test {
            bodies.push(("health", "#self-test", 0, self_test.body()));
        }
        if let Some((export, import)) = self.handover {
            bodies.push(("handover", "#export-state", 0, export.body()));
            bodies.push(("handover", "#import-state", 2, import.body()));
        }

        let (mut functions, mut exports, mut code) = (FunctionSection::new(), ExportSection::new(), CodeSection::new());
        for (index, (interface, function, ty, body)) in (first..).zip(&bodies) {
            functions.function(*ty);
            exports.export(&format!("{}{function}", self.interface(interface)), ExportKind::Func, index);
            code.function(body);
        }
        functions.function(2);
        exports.export("cabi_realloc", ExportKind::Func, first + functions.len() - 1);
        exports.export("memory", ExportKind::Memory, 0);
        code.function(&bump());

        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 16,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut globals = GlobalSection::new();
        let heap = GlobalType { val_type: I32, mutable: true, shared: false };
        globals.global(heap, &ConstExpr::i32_const(HEAP_AT));
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&memories).section(&globals);
        module.section(&exports).section(&code).section(&self.data());
        module.finish()
    }

    fn data(&self) -> DataSection {
        let refusal = match &self.self_test {
            Some(SelfTest::Refuse(reason) | SelfTest::RefuseIfItGrows(reason)) => reason.as_str(),
            Some(SelfTest::Pass | SelfTest::Spin) | None => "",
        };
        let text = format!("{}{refusal}", self.manifest);
        let manifest_end = TEXT_AT + i32::try_from(self.manifest.len()).unwrap();
        let mut data = DataSection::new();
        let mut put = |at: i32, bytes: Cow<'_, [u8]>| _ = data.active(0, &ConstExpr::i32_const(at), bytes.to_vec());
        put(TEXT_AT, text.as_bytes().into());
        // A string is where it is and how long.
        put(REFUSAL_AT - 8, words(&[TEXT_AT, i32::try_from(self.manifest.len()).unwrap()]).into());
        // An error: which case, then the string.
        put(REFUSAL_AT, words(&[1, manifest_end, i32::try_from(refusal.len()).unwrap()]).into());
        data
    }
}

impl SelfTest {
    fn body(&self) -> Function {
        match self {
            Self::Pass => returning(0),
            Self::Refuse(_) => returning(REFUSAL_AT),
            Self::RefuseIfItGrows(_) => refusing_more_memory(),
            Self::Spin => spinning(),
        }
    }
}

impl Handover {
    fn body(self) -> Function {
        match self {
            Self::Agree => returning(0),
            Self::Refuse => returning(REFUSAL_AT),
            Self::Spin => spinning(),
            Self::Trap => {
                let mut function = Function::new([]);
                function.instructions().unreachable().end();
                function
            }
        }
    }
}

fn words(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn returning(address: i32) -> Function {
    let mut function = Function::new([]);
    function.instructions().i32_const(address).end();
    function
}

fn refusing_more_memory() -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    code.i32_const(0).i32_const(REFUSAL_AT);
    code.i32_const(MORE_PAGES).memory_grow(0).i32_const(-1).i32_eq().select().end();
    function
}

fn spinning() -> Function {
    let mut function = Function::new([]);
    function.instructions().loop_(wasm_encoder::BlockType::Empty).br(0).end().unreachable().end();
    function
}

/// Counts in a local after the one parameter.
fn busy() -> Function {
    let mut function = Function::new([(1, ValType::I32)]);
    let mut code = function.instructions();
    code.loop_(wasm_encoder::BlockType::Empty);
    code.local_get(1).i32_const(1).i32_add().local_tee(1).i32_const(BUSY).i32_lt_u().br_if(0).end();
    code.i32_const(0).end();
    function
}

/// `cabi_realloc` that never frees: an instance lives for one call.
fn bump() -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    code.global_get(0).i32_const(15).i32_add().i32_const(-16).i32_and().global_set(0);
    code.global_get(0).global_get(0).local_get(3).i32_add().global_set(0).end();
    function
}

/// The host's contract as one text.
fn contract() -> String {
    const FILES: [&str; 6] = [
        include_str!("../../../wit/types.wit"),
        include_str!("../../../wit/imports.wit"),
        include_str!("../../../wit/requests.wit"),
        include_str!("../../../wit/offers.wit"),
        include_str!("../../../wit/exports.wit"),
        include_str!("../../../wit/world.wit"),
    ];
    const HEADER: &str = "package switchboard:plugin@0.1.0;";
    FILES.iter().fold(HEADER.to_owned(), |text, file| text + &file.replace(HEADER, ""))
}
