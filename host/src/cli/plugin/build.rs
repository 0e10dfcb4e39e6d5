//! `switchboard plugin build`: sources in, components out.
//!
//! A folder tells by its files what it is written in, and which tool makes a component of it. cargo compiles each
//! crate to a core module, which is then wrapped, as is a core module of any other compiler; the tools of other
//! languages make whole components. Whether the host would take one is `check`'s business.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{
    BuildArgs,
    crates::{self, PluginCrate},
    toolchain::{self, Toolchain},
};

mod component;
mod script;

use component::{encode, finish};
pub(super) use script::{COMPONENTIZE_JS, COMPONENTIZE_PY};

/// What an argument stands for.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Crates,
    Script(script::Language),
    /// A core module that some compiler made.
    Module,
}

impl Source {
    fn of(path: &Path) -> anyhow::Result<Self> {
        if path.is_file() {
            return Ok(Self::Module);
        }
        if path.join("Cargo.toml").is_file() {
            return Ok(Self::Crates);
        }
        let Some(language) = script::Language::of(path) else {
            bail!(
                "{} has no Cargo.toml, package.json, pyproject.toml or app.py; `switchboard plugin new` makes a plugin",
                path.display()
            );
        };
        Ok(Self::Script(language))
    }
}

pub(super) use component::{Built, put_in_place};

/// What is done with a component as soon as it is there.
type Report<'a> = &'a mut dyn FnMut(&Built) -> anyhow::Result<()>;

pub(super) fn run(args: BuildArgs) -> anyhow::Result<()> {
    let json = args.json;
    build(&args, &mut |built| component::print(built, json))
}

/// Builds the one plugin of a folder.
pub(super) fn build_one(dir: &Path, toolchain: toolchain::Choice) -> anyhow::Result<Built> {
    let args = BuildArgs { dirs: vec![dir.to_owned()], out: None, toolchain, json: false };
    let mut all = Vec::new();
    build(&args, &mut |built| {
        all.push(built.clone());
        Ok(())
    })?;
    match <[Built; 1]>::try_from(all) {
        Ok([built]) => Ok(built),
        Err(all) => bail!("{} holds {} plugins: name the folder of one", dir.display(), all.len()),
    }
}

fn build(args: &BuildArgs, report: Report<'_>) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    let mut crate_dirs = Vec::new();
    for path in &args.dirs {
        let built = match Source::of(path)? {
            Source::Crates => {
                crate_dirs.push(path.clone());
                continue;
            }
            Source::Script(language) => build_script(language, path, args.out.as_deref(), report),
            Source::Module => build_module(path, args.out.as_deref(), report),
        };
        faults.extend(built.err().map(|fault| format!("{}: {fault:#}", path.display())));
    }
    if !crate_dirs.is_empty() {
        build_crates(&crate_dirs, args, &mut faults, report)?;
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn build_crates(
    dirs: &[PathBuf],
    args: &BuildArgs,
    faults: &mut Vec<String>,
    report: Report<'_>,
) -> anyhow::Result<()> {
    let (crates, target_dir) = gather(dirs)?;
    let first = dirs.first().map_or(Path::new("."), PathBuf::as_path);
    let toolchain = Toolchain::find(args.toolchain, first)?;
    let out = args.out.clone().unwrap_or_else(|| target_dir.join("plugins"));
    for (workspace, members) in by_workspace(&crates) {
        let modules = compile(toolchain, &target_dir, &members)
            .with_context(|| format!("nothing of {} was put in place", workspace.display()))?;
        for (plugin, module) in members.iter().zip(modules) {
            let built = wrap(&module).and_then(|component| report(&finish(&plugin.name, &component, &out)?));
            faults.extend(built.err().map(|fault| format!("{}: {fault:#}", plugin.name)));
        }
    }
    Ok(())
}

fn build_script(language: script::Language, dir: &Path, out: Option<&Path>, report: Report<'_>) -> anyhow::Result<()> {
    let name = language.name_of(dir)?;
    let component = language.build(dir)?;
    report(&finish(&name, &component, &out.map_or_else(|| dir.join("target/plugins"), Path::to_owned))?)
}

/// `NAME.wasm` becomes `NAME.wasm` elsewhere, and so does `NAME.core.wasm`.
fn build_module(file: &Path, out: Option<&Path>, report: Report<'_>) -> anyhow::Result<()> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).context("the file's name is not UTF-8")?;
    let name = stem.strip_suffix(".core").unwrap_or(stem);
    let folder = file.parent().unwrap_or(Path::new("."));
    report(&finish(name, &wrap(file)?, &out.map_or_else(|| folder.join("target/plugins"), Path::to_owned))?)
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

fn wrap(module: &Path) -> anyhow::Result<Vec<u8>> {
    encode(&fs::read(module).with_context(|| format!("{} cannot be read", module.display()))?)
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
    fn a_folder_tells_by_its_files_what_it_is_written_in() {
        let dir = tempfile::tempdir().expect("a folder");
        let fault = Source::of(dir.path()).expect_err("nothing there");
        assert!(fault.to_string().contains("has no Cargo.toml, package.json"), "{fault}");
        for (file, expected) in [
            ("app.py", Source::Script(script::Language::Python)),
            ("package.json", Source::Script(script::Language::JavaScript)),
            ("Cargo.toml", Source::Crates),
        ] {
            fs::write(dir.path().join(file), "").expect("written");
            assert_eq!(Source::of(dir.path()).expect("known"), expected);
        }
        assert_eq!(Source::of(&dir.path().join("app.py")).expect("a file"), Source::Module);
    }
}
