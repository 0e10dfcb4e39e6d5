//! Whether bytes are a component that can be a plugin at all: well-formed, importing only what the
//! contract and an empty WASI offer, exporting what it requires.
//!
//! Done without compiling, so that an unfit file costs little, and a half-written one can be told
//! apart. Which imports are *granted* depends on config and is checked later; types of parameters are
//! checked by linking.

use wasmparser::{
    ComponentExternalKind, Parser, Payload, Validator, WasmFeatures,
    component_types::{ComponentAnyTypeId, ComponentEntityType},
    types::Types,
};

use super::{
    artifact::{Captured, Validated},
    wasi,
};

/// The package and version that this host offers.
const PACKAGE: &str = "switchboard:plugin";
const VERSION: &str = "0.1.0";

/// Everything that a plugin can import, function by function.
const OFFERED: &[(&str, &[&str])] = &[
    ("messages", &["send"]),
    ("topics", &["subscribe", "subscribe-with", "unsubscribe", "publish", "members", "history"]),
    ("state", &["get", "set", "delete", "increment", "compare-and-set"]),
    ("settings", &["get"]),
    ("logging", &["log"]),
    ("clock", &["now-ms", "monotonic-ns"]),
    ("random", &["bytes"]),
    ("toolbox", &["list", "call"]),
    ("runs", &["start", "emit", "finish", "is-cancelled", "cancel"]),
    ("host-info", &["stats"]),
    ("http", &["send"]),
    ("requests", &["begin", "cancel", "leave-open", "resume", "show"]),
    ("seals", &["seal", "open"]),
    ("inputs", &["responses", "state", "client-capabilities", "meta"]),
    ("progress", &["report", "log"]),
    ("catalogue", &["list", "get", "complete"]),
    ("changes", &["watch", "unwatch", "changed"]),
    // Types only: needs no grant, because there is nothing to call.
    ("types", &[]),
];

/// What every plugin has to export.
const REQUIRED: &[(&str, &str)] = &[("plugin", "manifest"), ("handler", "handle")];

const CORE_HEADER: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT_HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// Why bytes cannot be a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValidateFault {
    #[error("the file is empty: copy the component again")]
    Empty,
    #[error("it is WebAssembly text: translate it first, with `wasm-tools parse`")]
    Text,
    #[error("it is not WebAssembly: it begins with {0}; put a component there, as `switchboard plugin build` makes it")]
    NotWasm(String),
    #[error("it is a core module, not a component: `switchboard plugin build FILE` makes one of it")]
    CoreModule,
    #[error(
        "it is WebAssembly of another kind or version ({0}): a component has the header 0061736d0d000100, and `switchboard plugin build` makes one"
    )]
    Header(String),
    #[error("it ends after {bytes} bytes, in the middle: copy it again")]
    Truncated { bytes: usize },
    #[error("it is damaged at byte {offset}: {problem}; build it, or copy it, again")]
    Malformed { offset: usize, problem: String },
    #[error("it imports what does not exist: {}", join(.0))]
    Imports(Vec<ImportFault>),
    #[error("it lacks what every plugin exports: {}; in Rust, `register_plugin!` exports all of it", join(.0))]
    Exports(Vec<ExportFault>),
}

/// An import that no host can satisfy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImportFault {
    #[error(transparent)]
    Wasi(#[from] wasi::Refused),
    #[error("`{0}` is not of `{PACKAGE}@{VERSION}`: leave it out, since a host offers that package and nothing else")]
    Package(String),
    #[error("`{0}` is another version than `{VERSION}`, which this host offers: build it with the matching SDK")]
    Version(String),
    #[error("`{PACKAGE}@{VERSION}` has no interface `{0}`: leave it out; there are {known}", known = interfaces())]
    Interface(String),
    #[error("the interface `{interface}` has no `{item}`: leave it out; there are {known}", known = functions(interface))]
    Item { interface: String, item: String },
}

/// An export that is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExportFault {
    #[error("the interface `{PACKAGE}/{0}@{VERSION}`")]
    Interface(&'static str),
    #[error("the interface `{PACKAGE}/{wanted}@{VERSION}` (it has `{found}`, of another version)")]
    Version { wanted: &'static str, found: String },
    #[error("the function `{function}` in the interface `{PACKAGE}/{interface}@{VERSION}`")]
    Function { interface: &'static str, function: &'static str },
}

/// What a plugin may import instead.
fn interfaces() -> String {
    let names: Vec<&str> =
        OFFERED.iter().filter(|(_, functions)| !functions.is_empty()).map(|(name, _)| *name).collect();
    names.join(", ")
}

fn functions(interface: &str) -> String {
    let offered = OFFERED.iter().find(|(name, _)| *name == interface);
    offered.map(|(_, functions)| functions.join(", ")).unwrap_or_default()
}

fn join(faults: &[impl ToString]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Proves that the bytes are a component whose imports exist and whose exports are complete.
pub(crate) fn validate(captured: Captured) -> Result<Validated, ValidateFault> {
    check_header(&captured.bytes)?;
    // Every proposal is accepted here; those that the engine lacks are refused by the compiler, by name.
    let types = Validator::new_with_features(WasmFeatures::all())
        .validate_all(&captured.bytes)
        .map_err(|fault| malformed(&captured.bytes, &fault))?;
    let names = Names::collect(&captured.bytes).map_err(|fault| malformed(&captured.bytes, &fault))?;
    let imports = check_imports(&types, &names.imports)?;
    check_exports(&types, &names.exports)?;
    Ok(Validated { captured, imports })
}

fn check_header(bytes: &[u8]) -> Result<(), ValidateFault> {
    if bytes.is_empty() {
        return Err(ValidateFault::Empty);
    }
    if bytes.starts_with(COMPONENT_HEADER) {
        return Ok(());
    }
    if COMPONENT_HEADER.starts_with(bytes) || CORE_HEADER.starts_with(bytes) && bytes.len() < CORE_HEADER.len() {
        return Err(ValidateFault::Truncated { bytes: bytes.len() });
    }
    if bytes.starts_with(CORE_HEADER) {
        return Err(ValidateFault::CoreModule);
    }
    let start = &bytes[..bytes.len().min(8)];
    if start.starts_with(b"\0asm") {
        return Err(ValidateFault::Header(super::artifact::hex(start)));
    }
    match bytes.trim_ascii_start() {
        [b'(', ..] | [b';', b';', ..] => Err(ValidateFault::Text),
        _ => Err(ValidateFault::NotWasm(super::artifact::hex(start))),
    }
}

fn malformed(bytes: &[u8], fault: &wasmparser::BinaryReaderError) -> ValidateFault {
    // What the parser says when bytes end early, within a section or between the parts of one.
    if fault.message().contains("unexpected end") || fault.offset() >= bytes.len() {
        return ValidateFault::Truncated { bytes: bytes.len() };
    }
    ValidateFault::Malformed { offset: fault.offset(), problem: fault.message().to_owned() }
}

/// What the outermost component imports and exports.
#[derive(Default)]
struct Names<'a> {
    imports: Vec<&'a str>,
    exports: Vec<(&'a str, ComponentExternalKind)>,
}

impl<'a> Names<'a> {
    fn collect(bytes: &'a [u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut names = Self::default();
        // The parser walks into nested modules and components; only the outermost counts.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        names.imports.push(import?.name.name);
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export?;
                        names.exports.push((export.name.name, export.kind));
                    }
                }
                _ => {}
            }
        }
        Ok(names)
    }
}

fn check_imports(types: &Types, names: &[&str]) -> Result<Vec<&'static str>, ValidateFault> {
    let mut imports = Vec::new();
    let mut faults = Vec::new();
    for name in names {
        // The name of a type is no demand on the host.
        let Some(items) = Items::of(types.component_item_for_import(name).map(|item| item.ty), types) else { continue };
        match check_import(name, &items) {
            Ok(grants) => {
                for grant in grants {
                    if !imports.contains(grant) {
                        imports.push(*grant);
                    }
                }
            }
            Err(fault) => faults.extend(fault),
        }
    }
    if faults.is_empty() { Ok(imports) } else { Err(ValidateFault::Imports(faults)) }
}

/// Which grants an import takes.
fn check_import(name: &str, items: &Items<'_>) -> Result<&'static [&'static str], Vec<ImportFault>> {
    let (path, version) = name.split_once('@').unwrap_or((name, ""));
    if path.starts_with("wasi:") {
        let grants = wasi::grants_for(name).map_err(|refused| vec![refused.into()])?;
        // Files are described with a clock's type of moments; to name a type is to use nothing.
        return Ok(if items.functions.is_empty() && items.others.is_empty() { &[] } else { grants });
    }
    let Some(interface) = path.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/')) else {
        return Err(vec![ImportFault::Package(name.to_owned())]);
    };
    if version != VERSION {
        return Err(vec![ImportFault::Version(name.to_owned())]);
    }
    let Some((interface, functions)) = OFFERED.iter().find(|(offered, _)| *offered == interface) else {
        return Err(vec![ImportFault::Interface(interface.to_owned())]);
    };
    let unknown = items.functions.iter().filter(|function| !functions.contains(function)).chain(&items.others);
    let faults: Vec<ImportFault> = unknown
        .map(|item| ImportFault::Item { interface: (*interface).to_owned(), item: (*item).to_owned() })
        .collect();
    match (faults.is_empty(), items.functions.is_empty()) {
        (false, _) => Err(faults),
        // There is nothing to call.
        (true, true) => Ok(&[]),
        (true, false) => Ok(std::slice::from_ref(interface)),
    }
}

fn check_exports(types: &Types, names: &[(&str, ComponentExternalKind)]) -> Result<(), ValidateFault> {
    let missing: Vec<ExportFault> = REQUIRED
        .iter()
        .filter_map(|&(interface, function)| {
            let path = format!("{PACKAGE}/{interface}");
            let name = format!("{path}@{VERSION}");
            match types.component_item_for_export(&name) {
                Some(item) => {
                    let found =
                        Items::of(Some(item.ty), types).is_some_and(|items| items.functions.contains(&function));
                    (!found).then_some(ExportFault::Function { interface, function })
                }
                None => {
                    let other = names.iter().find(|(name, _)| name.split('@').next() == Some(&path));
                    Some(match other {
                        Some((found, _)) => ExportFault::Version { wanted: interface, found: (*found).to_owned() },
                        None => ExportFault::Interface(interface),
                    })
                }
            }
        })
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(ValidateFault::Exports(missing)) }
}

/// What an instance type demands of whoever provides it; none for the name of a plain type.
#[derive(Default)]
struct Items<'a> {
    functions: Vec<&'a str>,
    /// Resources, modules and whatever else the contract has none of.
    others: Vec<&'a str>,
}

impl<'a> Items<'a> {
    fn of(ty: Option<ComponentEntityType>, types: &'a Types) -> Option<Self> {
        let mut items = Self::default();
        match ty? {
            ComponentEntityType::Type { .. } => return None,
            ComponentEntityType::Instance(id) => {
                for (name, item) in &types.as_ref().get(id)?.exports {
                    match item.ty {
                        ComponentEntityType::Func(_) => items.functions.push(name),
                        ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(_), .. } => {
                            items.others.push(name);
                        }
                        ComponentEntityType::Type { .. } => {}
                        _ => items.others.push(name),
                    }
                }
            }
            _ => items.others.push("(not an interface)"),
        }
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::plugin::test_guest::TestGuest;

    fn check(bytes: &[u8], expected: Result<&[&str], &str>) {
        let captured = Captured::new("test".into(), bytes.to_vec());
        match (validate(captured), expected) {
            (Ok(validated), expected) => assert_eq!(Ok(validated.imports.as_slice()), expected),
            (Err(fault), Err(expected)) => assert!(fault.to_string().contains(expected), "{fault}"),
            (Err(fault), Ok(_)) => panic!("{fault}"),
        }
    }

    fn guest() -> TestGuest {
        TestGuest::handling("1.0.0", &["ping"])
    }

    #[test]
    fn bytes_that_are_no_component_are_told_apart() {
        check(b"", Err("the file is empty"));
        check(b"\0as", Err("it ends after 3 bytes"));
        check(b"\0asm\x0d\0", Err("it ends after 6 bytes"));
        check(b"\0asm\x01\0", Err("it ends after 6 bytes"));
        check(b"\0asm\x01\0\0\0", Err("a core module, not a component"));
        check(b"\0asm\x02\0\0\0", Err("of another kind or version (0061736d02000000)"));
        check(b"\0asm\x0d\0\x02\0", Err("of another kind or version"));
        check(b"  (component)", Err("WebAssembly text"));
        check(b";; a comment\n(module)", Err("WebAssembly text"));
        check(b"\x7fELF\x02\x01\x01\0rest", Err("it begins with 7f454c4602010100"));
    }

    #[test]
    fn an_empty_component_lacks_both_exports() {
        let expected =
            "the interface `switchboard:plugin/plugin@0.1.0`; the interface `switchboard:plugin/handler@0.1.0`";
        check(b"\0asm\x0d\0\x01\0", Err(expected));
        check(&guest().without_handler().build(), Err("exports: the interface `switchboard:plugin/handler@0.1.0`"));
    }

    #[test]
    fn a_component_that_ends_anywhere_is_never_accepted() {
        let whole = guest().with_clock().build();
        for end in 0..whole.len() {
            let captured = Captured::new("test".into(), whole[..end].to_vec());
            // The last sections only hold names and where it was made: without them it is whole.
            if let Ok(validated) = validate(captured) {
                assert!(end > whole.len() / 2 && validated.imports == ["clock"], "{end} of {}", whole.len());
            }
        }
    }

    #[test]
    fn damage_is_located() {
        let mut bytes = guest().build();
        bytes[8] = 0x7f;
        check(&bytes, Err("it is damaged at byte 11: malformed section id: 127"));
    }

    #[test]
    fn what_is_imported_is_listed() {
        check(&guest().build(), Ok(&[]));
        check(&guest().with_clock().build(), Ok(&["clock"]));
        check(
            &guest().with_clock().with_import("runs", "is-cancelled", Some(wasm_encoder::ValType::I32)).build(),
            Ok(&["clock", "runs"]),
        );
    }

    #[test]
    fn imports_that_do_not_exist_are_named_exactly() {
        let stranger = |name: &'static str| move |wit: String| wit.replace("interface clock {", name);
        let function =
            guest().with_contract(stranger("interface clock {\nset-ms: func();")).with_import("clock", "set-ms", None);
        check(&function.build(), Err("the interface `clock` has no `set-ms`"));
        let interface = guest().with_contract(stranger("interface files {\nerase: func();\n}\ninterface clock {"));
        check(
            &interface.with_import("files", "erase", None).build(),
            Err("`switchboard:plugin@0.1.0` has no interface `files`"),
        );
    }

    #[test]
    fn another_version_of_the_contract_is_named() {
        let newer = guest().with_clock().with_contract(|wit| wit.replace("@0.1.0", "@0.2.0"));
        check(&newer.build(), Err("`switchboard:plugin/clock@0.2.0` is another version than `0.1.0`"));
    }

    #[test]
    fn what_is_not_offered_of_wasi_and_other_packages_is_refused_by_name() {
        let check = |name: &str, expected: &str| {
            let faults = check_import(name, &Items::default()).unwrap_err();
            assert!(join(&faults).contains(expected), "{}", join(&faults));
        };
        check("wasi:http/incoming-handler@0.2.3", "`wasi:http/incoming-handler@0.2.3` is not offered");
        check("wasi:keyvalue/store@0.2.0", "`wasi:keyvalue/store@0.2.0` is not offered");
        check("wasi:cli/environment@0.3.0", "`wasi:cli/environment@0.3.0` is another line of WASI than 0.2");
        check("wasi:io/poll@0.2.0-rc-2023-11-10", "another line of WASI than 0.2");
        check("wasi:cli/environment", "another line of WASI than 0.2");
        check("other:package/clock@0.1.0", "`other:package/clock@0.1.0` is not of");
        check("log", "`log` is not of");
    }

    #[test]
    fn wasi_of_any_patch_takes_its_grants() {
        let grants = |name| check_import(name, &Items { functions: vec!["now"], others: Vec::new() });
        assert_eq!(grants("wasi:cli/stdout@0.2.0"), Ok(&["wasi"][..]));
        assert_eq!(grants("wasi:clocks/wall-clock@0.2.12"), Ok(&["wasi", "clock"][..]));
        assert_eq!(grants("wasi:http/outgoing-handler@0.2.3"), Ok(&["wasi", "http"][..]));
        assert_eq!(grants("wasi:random/insecure-seed@0.2.99"), Ok(&["wasi", "random"][..]));
        assert_eq!(check_import("wasi:clocks/wall-clock@0.2.12", &Items::default()), Ok(&[][..]), "types alone");
    }

    #[test]
    fn the_table_of_imports_is_that_of_the_contract() {
        let mut offered: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut interface = "";
        let texts = [
            include_str!("../../../wit/imports.wit"),
            include_str!("../../../wit/requests.wit"),
            include_str!("../../../wit/offers.wit"),
        ];
        for line in texts.iter().flat_map(|text| text.lines()) {
            if let Some(name) = line.strip_prefix("interface ") {
                interface = name.trim_end_matches(" {");
                offered.entry(interface).or_default();
            } else if let Some((name, _)) = line.trim().split_once(": func(") {
                offered.entry(interface).or_default().insert(name.trim_start_matches('%'));
            }
        }
        offered.insert("types", BTreeSet::new());
        for export in ["resources", "prompts", "completions"] {
            offered.remove(export).expect("it stands beside what can be imported");
        }
        let table = OFFERED.iter().map(|(name, functions)| (*name, functions.iter().copied().collect())).collect();
        assert_eq!(offered, table);
    }
}
