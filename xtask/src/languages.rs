//! `cargo xtask plugins --examples`: components in other languages than Rust, made again only when something
//! changed.
//!
//! What makes them comes from package registries into `target/tools`, in pinned versions. They are built by the
//! commands that authors are told, in the folders that authors read.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{
    plugins, process,
    tools::toolchains::{self, Toolchain},
};

/// The examples, and a guest that only tests use.
const FOLDERS: [&str; 4] = ["examples/javascript", "examples/python", "examples/c", "tests/guests-python"];

/// What the C compiler makes before it is wrapped.
const CORE_MODULE: &str = "checksum.core.wasm";

/// Where the suite's servers keep machine code: a component of ten megabytes takes half a minute to compile,
/// which is not a matter of any test.
const COMPILE_CACHE: &str = "debug/test-compile-cache";

/// The host's binary has to be there.
pub fn ensure() -> anyhow::Result<()> {
    let root = process::root();
    let mut sources: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    sources.extend(["wit", "host/src/cli/plugin", "xtask/src/tools"].map(|folder| root.join(folder)));
    let out = process::target().join("examples");
    plugins::once("examples", &sources, "", || build(&out))
}

fn build(out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    eprintln!("building components in JavaScript, Python and C into target/examples");
    let (node, js, py) = (
        toolchains::node(toolchains::NODE_FOR_COMPONENTS),
        toolchains::componentize_js(),
        toolchains::componentize_py(),
    );
    let (zig, bindgen) = (toolchains::zig(), toolchains::wit_bindgen());
    for tool in node.iter().chain([&js, &py, &zig, &bindgen]) {
        tool.ensure(node.as_ref())?;
    }
    let module = compile_c(&zig, &bindgen)?;
    let mut command = Command::new(process::switchboard());
    command.current_dir(process::root()).args(["plugin", "build", "--out"]).arg(out);
    command.args(["examples/javascript", "examples/python", "tests/guests-python"]).arg(module);
    command.env("PATH", toolchains::path_with(node.iter().chain([&js, &py]))?);
    process::run(&mut command)?;
    let made: Vec<PathBuf> = ["template", "describe", "wasi-probe", "checksum"]
        .iter()
        .map(|name| out.join(format!("{name}.wasm")))
        .collect();
    check(&made)?;
    Ok(made)
}

/// As `examples/c/README.md` says.
fn compile_c(zig: &Toolchain, bindgen: &Toolchain) -> anyhow::Result<PathBuf> {
    let build = process::target().join("examples-c");
    fs::create_dir_all(&build).with_context(|| format!("{} cannot be made", build.display()))?;
    let folder = process::root().join("examples/c");
    let mut bindings = Command::new(bindgen.program());
    bindings.current_dir(&folder).args(["c", "wit", "--out-dir"]).arg(&build);
    process::run(&mut bindings)?;
    let module = build.join(CORE_MODULE);
    let mut compiler = Command::new(zig.program());
    compiler.current_dir(&folder).args(["-m", "ziglang", "cc", "--target=wasm32-wasi", "-mexec-model=reactor"]);
    compiler.args(["-Os", "-Wall", "-Wextra", "-I"]).arg(&build).arg("-o").arg(&module).arg("checksum.c");
    compiler.args(["checksum.c", "checksum_component_type.o"].map(|file| build.join(file)));
    // What the compiler remembers stays in the repository's own folder.
    compiler.env("ZIG_GLOBAL_CACHE_DIR", build.join("cache")).env("ZIG_LOCAL_CACHE_DIR", build.join("cache"));
    process::run(&mut compiler)?;
    Ok(module)
}

/// Would the host take them? The machine code that this leaves is what the suite's servers start with.
fn check(components: &[PathBuf]) -> anyhow::Result<()> {
    let cache = process::target().join(COMPILE_CACHE);
    let mut command = Command::new(process::switchboard());
    // Nobody's configuration but the defaults.
    command.current_dir(process::target()).args(["plugin", "check"]).args(components);
    process::run(command.env("SWITCHBOARD_CACHE_DIR", cache))
}
