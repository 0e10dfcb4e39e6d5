//! Components that no compiler would make, from the texts in `tests/guests/raw`.
//!
//! Each text is the inside of one core module. A line `;; part: NAME` stands for `parts/NAME.wat`, and
//! `;; part: manifest` for one that is made here. What it imports and exports decides its world, so that the
//! component around it is as honest as `wit-component` makes it.

use std::fs;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::harness::repository;

/// The version of the contract that the texts are written for.
const CONTRACT: &str = "@0.1.0";

/// Interfaces that a plugin can export.
const EXPORTED: [&str; 6] = ["plugin", "handler", "tools", "lifecycle", "health", "handover"];

/// An interface of its own, for things to make handles to.
const LEAKS: &str = "test:leaks/handles";

/// A component to be made.
pub struct Raw<'a> {
    /// The text, without `.wat`.
    pub file: &'a str,
    /// Of the plugin, and of the one type that it handles.
    pub name: &'a str,
    /// Instead of an honest one.
    pub manifest: Option<String>,
    /// The version of the contract that it is built for.
    pub contract: &'a str,
}

impl<'a> Raw<'a> {
    pub fn new(file: &'a str, name: &'a str) -> Self {
        Self { file, name, manifest: None, contract: CONTRACT }
    }

    pub fn build(&self) -> Vec<u8> {
        let text = self.text().replace(CONTRACT, self.contract);
        let mut module = wat::parse_str(&text).unwrap_or_else(|fault| panic!("{}: {fault}\n{text}", self.file));
        let mut resolve = Resolve::default();
        resolve.push_str("contract.wit", &contract().replace(CONTRACT, self.contract)).expect("the contract parses");
        if text.contains(LEAKS) {
            resolve
                .push_str("leaks.wit", "package test:leaks; interface handles { resource handle; }")
                .expect("parses");
        }
        let package = resolve.push_str("guest.wit", &self.world(&text)).expect("the world parses");
        let world = resolve.select_world(&[package], Some("guest")).expect("there is one");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("embedded");
        let mut encoder = ComponentEncoder::default().module(&module).expect("a module of this world").validate(true);
        encoder.encode().unwrap_or_else(|fault| panic!("{}: {fault:#}", self.file))
    }

    fn text(&self) -> String {
        let folder = repository().join("tests/guests/raw");
        let read = |name: &str| {
            let path = folder.join(format!("{name}.wat"));
            fs::read_to_string(&path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
        };
        let lines: Vec<String> = read(self.file)
            .lines()
            .map(|line| match line.strip_prefix(";; part: ") {
                Some("manifest") => self.manifest_part(),
                Some(part) => read(&format!("parts/{part}")),
                None => line.to_owned(),
            })
            .collect();
        // Imports come before everything else in a module, as they do in the texts.
        let other = if self.name.ends_with("-left") { "embrace-right" } else { "embrace-left" };
        let tool = |of: &str| format!("{of}_tool");
        let list = format!(r#"[{{"name":"{}","inputSchema":{{"type":"object"}}}}]"#, tool(self.name));
        format!("(module\n{}\n)", lines.join("\n"))
            .replace("{{name}}", self.name)
            .replace("{{other}}", other)
            .replace("{{other-tool-bytes}}", &tool(other).len().to_string())
            .replace("{{list-bytes}}", &list.len().to_string())
    }

    fn manifest_part(&self) -> String {
        let Self { name, .. } = self;
        let manifest = self.manifest.clone().unwrap_or_else(|| {
            format!(r#"{{"name":"{name}","version":"1.0.0","handles":[{{"type":"{name}","ordering":"concurrent"}}]}}"#)
        });
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
        let place: Vec<u8> = [FREE_AT, manifest.len()]
            .iter()
            .flat_map(|word| u32::try_from(*word).expect("it fits").to_le_bytes())
            .collect();
        format!(
            "(func (export \"switchboard:plugin/plugin@0.1.0#manifest\") (result i32) (i32.const 504))\n\
             (data (i32.const 504) \"{}\")\n(data (i32.const {FREE_AT}) \"{}\")",
            hex(&place),
            hex(manifest.as_bytes()),
        )
    }

    fn world(&self, text: &str) -> String {
        let imports = text.split("(import \"switchboard:plugin/").skip(1).filter_map(|rest| rest.split('"').next());
        let mut items: Vec<String> = imports.map(|name| format!("import switchboard:plugin/{name};")).collect();
        items.dedup();
        for interface in EXPORTED {
            let name = format!("switchboard:plugin/{interface}{}", self.contract);
            if text.contains(&format!("\"{name}#")) {
                items.push(format!("export {name};"));
            }
        }
        if text.contains(LEAKS) {
            items.push(format!("export {LEAKS};"));
        }
        format!("package test:guest; world guest {{ {} }}", items.join(" "))
    }
}

/// Where the manifest begins; what lies below is the texts' own, and what lies behind it, too.
const FREE_AT: usize = 1_024;

/// The host's contract as one text.
fn contract() -> String {
    const HEADER: &str = "package switchboard:plugin@0.1.0;";
    let files = ["types", "imports", "exports", "requests", "offers", "world"]
        .map(|name| fs::read_to_string(repository().join(format!("wit/{name}.wit"))).expect("the contract is there"));
    files.iter().fold(HEADER.to_owned(), |text, file| text + &file.replace(HEADER, ""))
}
