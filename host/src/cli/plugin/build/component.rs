//! What all components have in common, whatever made them: wrapping, a look at their interfaces, the place where
//! they go.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::Serialize;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, DecodedWasm};

/// What was built.
#[derive(Debug, Clone, Serialize)]
pub(in super::super) struct Built {
    pub name: String,
    pub path: PathBuf,
    bytes: usize,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Built {
    /// Where it is, as short as it can be typed here.
    pub fn place(&self) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        let path = self.path.strip_prefix(&here).unwrap_or(&self.path);
        path.strip_prefix(".").unwrap_or(path).display().to_string()
    }
}

/// Puts a component in place.
pub(super) fn finish(name: &str, component: &[u8], out: &Path) -> anyhow::Result<Built> {
    let (imports, exports) = interfaces(component)?;
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let path = out.join(format!("{name}.wasm"));
    put_in_place(component, &path)?;
    Ok(Built { name: name.to_owned(), path, bytes: component.len(), imports, exports })
}

/// Turns a core module into a component. One that was compiled for WASI preview 1 gets an adapter to 0.2, which is
/// left out where nothing needs it.
pub(super) fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    if module.starts_with(b"\0asm\x0d\0\x01\0") {
        bail!("it is a component already");
    }
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .context("the module does not say which world it was written for; is there a `register_plugin!`, or are the bindings linked in?")?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
        .context("the module does not make a component")
}

/// The names of what a component imports and exports.
fn interfaces(component: &[u8]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("the encoder made something else than a component");
    };
    let world = &resolve.worlds[world];
    // Interfaces of types alone grant nothing.
    let inert: Vec<String> = resolve
        .interfaces
        .iter()
        .filter(|(_, it)| it.functions.is_empty())
        .filter_map(|(id, _)| resolve.id_of(id))
        .collect();
    let imports =
        world.imports.keys().map(|key| resolve.name_world_key(key)).filter(|name| !inert.contains(name)).collect();
    let exports = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
    Ok((imports, exports))
}

/// Writes beside the place and renames: a host that watches the folder sees the whole file or none.
pub(in super::super) fn put_in_place(component: &[u8], path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".building-").suffix(".partial").tempfile_in(folder)?;
        file.write_all(component)?;
        make_readable(file.path())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Temporary files are private; a component is as readable as any file that a compiler leaves.
#[cfg(unix)]
fn make_readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Says what was built.
pub(super) fn print(built: &Built, json: bool) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut stdout, built)?;
        return Ok(writeln!(stdout)?);
    }
    writeln!(stdout, "{}  {} KiB", built.place(), built.bytes.div_ceil(1024))?;
    let mut imports: Vec<&str> = built.imports.iter().map(|name| short(name)).collect();
    imports.sort_unstable();
    imports.dedup();
    match imports.is_empty() {
        true => writeln!(stdout, "  imports nothing")?,
        false => writeln!(stdout, "  imports {}", imports.join(", "))?,
    }
    Ok(())
}

/// `switchboard:plugin/messages@0.1.0` is known as `messages`; of WASI, the package tells enough; other foreign
/// interfaces keep their whole name.
fn short(interface: &str) -> &str {
    if let Some(name) = interface.strip_prefix("switchboard:plugin/") {
        return name.split_once('@').map_or(name, |(name, _)| name);
    }
    match interface.split_once('/') {
        Some((package, _)) if package.starts_with("wasi:") => package,
        _ => interface,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_interfaces_are_called_by_their_short_names() {
        assert_eq!(short("switchboard:plugin/messages@0.1.0"), "messages");
        assert_eq!(short("wasi:http/types@0.2.0"), "wasi:http");
        assert_eq!(short("other:package/x@1.0.0"), "other:package/x@1.0.0");
    }

    #[test]
    fn a_module_of_no_world_is_refused_with_advice() {
        let fault = encode(b"\0asm\x01\0\0\0not wasm").expect_err("not a module");
        assert!(format!("{fault:#}").contains("register_plugin!"), "{fault:#}");
    }

    #[test]
    fn a_component_is_put_in_place_without_leftovers() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.wasm");
        put_in_place(b"one", &path).expect("written");
        put_in_place(b"two", &path).expect("replaced");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
