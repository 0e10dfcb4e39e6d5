//! Components that were changed at random, all the way from bytes to readiness: whatever comes of them, it is a
//! version or a reason, in bounded time, and no version has what it was not granted.

use std::sync::Arc;

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wasmtime::component::{Component, types::ComponentItem};

use super::super::{
    aot_cache::AotCache,
    artifact::Captured,
    capability::SharedCapabilities,
    compile::Compiler,
    engine::Sandbox,
    loader::Loader,
    seals::Seals,
    status::LoadFailure,
    test_guest::{Handle, TestGuest},
    validate::validate,
    version::PluginVersion,
};
use crate::{
    config::{Config, LiveConfig, PluginConfig},
    fuzz::{
        mutator::Mutator,
        tests::{HANG, MORE},
    },
    telemetry::Metrics,
};

/// Most end while they are validated; one in ten is compiled.
const CASES: u64 = 1_500;

/// Larger ones take longer to compile than a case may take.
const MAX_SEED_BYTES: u64 = 96 << 10;

fn seeds() -> Vec<Vec<u8>> {
    let guest = || TestGuest::handling("1.0.0", &["ping"]);
    let mut seeds: Vec<Vec<u8>> = [
        guest(),
        guest().with_clock(),
        guest().with_self_test(Ok(())),
        guest().with_self_test(Err("unfit")),
        guest().with_handle(Handle::Spin),
        guest().with_clock().with_import("runs", "is-cancelled", Some(wasm_encoder::ValType::I32)),
        guest().with_contract(|wit| wit.replace("@0.1.0", "@0.2.0")),
        TestGuest::new(
            r#"{"name":"a","version":"1.0.0","handles":[{"prefix":"a.","schema":{"type":"object"}}],"settings":{}}"#,
        ),
    ]
    .iter()
    .map(TestGuest::build)
    .collect();
    // What compilers make, where a longer run was asked for and they have been built.
    if std::env::var_os(MORE).is_some() {
        let built = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests"));
        let files = built.into_iter().flatten().flatten();
        let small = files.filter(|file| file.metadata().is_ok_and(|metadata| metadata.len() <= MAX_SEED_BYTES));
        seeds.extend(small.filter_map(|file| std::fs::read(file.path()).ok()));
    }
    seeds
}

/// How many of the cases came how far.
#[derive(Debug, Default)]
struct Reached {
    validated: usize,
    compiled: usize,
    ready: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_component_breaks_the_way_to_readiness_or_gets_what_it_was_not_granted() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::for_tests(folder.path());
    config.limits.max_plugin_calls = 4;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let sandbox = Sandbox::new(&config).unwrap();
    let loader = Loader {
        compiler: Compiler::new(sandbox.clone(), AotCache::open(folder.path())),
        shared: SharedCapabilities::start(
            LiveConfig::new(config.clone()),
            None,
            Seals::random(),
            Metrics::new(),
            &tasks,
            stop.clone(),
        )
        .unwrap(),
        sandbox,
    };
    let mut granted_nothing = config.plugin_defaults.clone();
    granted_nothing.grants.interfaces.clear();
    granted_nothing.limits.cpu_time = std::time::Duration::from_millis(50);
    let (seeds, mut reached) = (seeds(), Reached::default());
    let cases = std::env::var(MORE).map_or(CASES, |text| text.parse().unwrap());
    for seed in 0..cases {
        let case = Mutator::new(seed).case(
            &seeds,
            &["switchboard:plugin/", "@0.1.0", "cabi_realloc", "\u{1}\u{0}", "#handle"],
            2,
        );
        let version = timeout(HANG, load(&loader, case, &granted_nothing, &mut reached)).await;
        let Ok(version) = version else { panic!("case {seed} takes too long") };
        if let Ok((version, component)) = version {
            assert_needs_nothing(&component, &loader.sandbox, seed);
            assert!(version.grants.interfaces.is_empty());
        }
    }
    println!("{cases} cases from {} seeds: {reached:?}", seeds.len());
    assert!(reached.ready > 0 && reached.compiled > reached.ready, "the cases are no use: {reached:?}");
    stop.cancel();
}

async fn load(
    loader: &Loader,
    bytes: Vec<u8>,
    config: &PluginConfig,
    reached: &mut Reached,
) -> Result<(Arc<PluginVersion>, Component), LoadFailure> {
    let validated = validate(Captured::new(Arc::from("fuzz"), bytes))
        .map_err(|fault| LoadFailure::new(super::super::status::Stage::Validate, fault))?;
    reached.validated += 1;
    let compiled = loader.compile(validated).await?;
    reached.compiled += 1;
    let (version, _first) = loader.ready(&compiled, config, None).await?;
    reached.ready += 1;
    Ok((version, compiled.component))
}

/// Asked of the engine, and not of our own code, which may be what is wrong.
fn assert_needs_nothing(component: &Component, sandbox: &Sandbox, seed: u64) {
    let is_type = |item: &ComponentItem| matches!(item, ComponentItem::Type(_));
    for (name, item) in component.component_type().imports(sandbox.engine()) {
        let harmless = match &item.ty {
            ComponentItem::ComponentInstance(instance) => {
                instance.exports(sandbox.engine()).all(|(_, item)| is_type(&item.ty))
            }
            other => is_type(other),
        };
        assert!(harmless, "case {seed} is ready, and imports {name}");
    }
}
