//! `switchboard plugin build`: crates in, components out.
//!
//! cargo compiles each crate to a core module, whose custom section tells which world it was written
//! against; wit-component reads that and wraps the module as a component. Whether the host would take
//! the component is `check`'s business.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use wit_component::{ComponentEncoder, DecodedWasm};

use super::{
    BuildArgs,
    crates::{self, PluginCrate},
    toolchain::Toolchain,
};

/// What was built.
#[derive(Debug, Serialize)]
struct Built {
    name: String,
    path: PathBuf,
    bytes: usize,
    imports: Vec<String>,
    exports: Vec<String>,
}

pub(super) fn run(args: BuildArgs) -> anyhow::Result<()> {
    let (crates, target_dir) = gather(&args.dirs)?;
    let first = args.dirs.first().map_or(Path::new("."), PathBuf::as_path);
    let toolchain = Toolchain::find(args.toolchain, first)?;
    let out = args.out.unwrap_or_else(|| target_dir.join("plugins"));
    fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let mut faults = Vec::new();
    for (workspace, members) in by_workspace(&crates) {
        let modules = compile(toolchain, &target_dir, &members)
            .with_context(|| format!("nothing of {} was put in place", workspace.display()))?;
        for (plugin, module) in members.iter().zip(modules) {
            match wrap(plugin, &module, &out) {
                Ok(built) => print(&built, args.json)?,
                Err(fault) => faults.push(format!("{}: {fault:#}", plugin.name)),
            }
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// All crates that are meant, and the one target folder for all of them, so that what they share (the
/// standard library, for one) is built once.
fn gather(dirs: &[PathBuf]) -> anyhow::Result<(Vec<PluginCrate>, PathBuf)> {
    let mut all: Vec<PluginCrate> = Vec::new();
    let mut target_dir = None;
    for dir in dirs {
        let found = crates::find(dir)?;
        target_dir.get_or_insert(found.target_dir);
        for plugin in found.crates {
            match all.iter().find(|other| other.name == plugin.name) {
                None => all.push(plugin),
                Some(same) if same.manifest == plugin.manifest => {}
                Some(other) => bail!(
                    "{} and {} are both named {}, and would overwrite each other",
                    other.manifest.display(),
                    plugin.manifest.display(),
                    plugin.name
                ),
            }
        }
    }
    Ok((all, target_dir.context("no folder was given")?))
}

fn by_workspace(crates: &[PluginCrate]) -> BTreeMap<&Path, Vec<&PluginCrate>> {
    let mut groups: BTreeMap<&Path, Vec<&PluginCrate>> = BTreeMap::new();
    for plugin in crates {
        groups.entry(&plugin.workspace).or_default().push(plugin);
    }
    groups
}

/// The core modules of crates of one workspace, in their order. cargo's own words go to stderr.
fn compile(toolchain: Toolchain, target_dir: &Path, crates: &[&PluginCrate]) -> anyhow::Result<Vec<PathBuf>> {
    let Some(workspace) = crates.first().map(|plugin| &plugin.workspace) else { return Ok(Vec::new()) };
    let mut command = toolchain.cargo_build(target_dir);
    // From within the workspace, so that its own .cargo/config.toml and rust-toolchain.toml count.
    command.current_dir(workspace).args(["--lib", "--message-format", "json-render-diagnostics"]);
    for plugin in crates {
        command.args(["-p", &plugin.name]);
    }
    let answer = command.stderr(Stdio::inherit()).output().context("cargo does not start")?;
    if !answer.status.success() {
        bail!("cargo could not compile it; its output above says why");
    }
    let modules = modules(&String::from_utf8_lossy(&answer.stdout));
    let module_of = |plugin: &&PluginCrate| {
        modules.get(&plugin.manifest).cloned().with_context(|| format!("cargo made no module of {}", plugin.name))
    };
    crates.iter().map(module_of).collect()
}

/// A line of cargo's JSON output.
#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// By manifest, the `.wasm` that cargo reported.
fn modules(output: &str) -> BTreeMap<PathBuf, PathBuf> {
    let is_wasm = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "wasm");
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<CargoMessage>(line).ok())
        .filter(|message| message.reason == "compiler-artifact")
        .filter_map(|message| Some((message.manifest_path?, message.filenames.into_iter().find(is_wasm)?)))
        .collect()
}

/// Turns a core module into a component and puts it in place.
fn wrap(plugin: &PluginCrate, module: &Path, out: &Path) -> anyhow::Result<Built> {
    let module = fs::read(module).with_context(|| format!("{} cannot be read", module.display()))?;
    let component = encode(&module)?;
    let (imports, exports) = interfaces(&component)?;
    let path = out.join(format!("{}.wasm", plugin.name));
    put_in_place(&component, &path)?;
    Ok(Built { name: plugin.name.clone(), path, bytes: component.len(), imports, exports })
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .context("the module does not say which world it was written for; is there a `register_plugin!`?")?
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
fn put_in_place(component: &[u8], path: &Path) -> anyhow::Result<()> {
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

fn print(built: &Built, json: bool) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if json {
        serde_json::to_writer(&mut stdout, built)?;
        return Ok(writeln!(stdout)?);
    }
    writeln!(stdout, "{}  {} KiB", built.path.display(), built.bytes.div_ceil(1024))?;
    let imports: Vec<&str> = built.imports.iter().map(|name| short(name)).collect();
    match imports.is_empty() {
        true => writeln!(stdout, "  imports nothing")?,
        false => writeln!(stdout, "  imports {}", imports.join(", "))?,
    }
    Ok(())
}

/// `switchboard:plugin/messages@0.1.0` is known as `messages`; foreign interfaces keep their whole name.
fn short(interface: &str) -> &str {
    interface
        .strip_prefix("switchboard:plugin/")
        .map_or(interface, |name| name.split_once('@').map_or(name, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_are_found_in_cargos_output() {
        let output = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/d/Cargo.toml","filenames":["/t/libd.rlib"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/libp.rlib","/t/p.wasm"]}"#,
            "\nnot json\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let found = modules(output);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("/p/Cargo.toml".into(), "/t/p.wasm".into())]);
    }

    #[test]
    fn our_own_interfaces_are_called_by_their_short_names() {
        assert_eq!(short("switchboard:plugin/messages@0.1.0"), "messages");
        assert_eq!(short("wasi:http/types@0.2.0"), "wasi:http/types@0.2.0");
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
