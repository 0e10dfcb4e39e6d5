//! From a component to machine code, off the threads that serve messages.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::spawn_blocking};
use wasmtime::component::Component;

use super::{aot_cache::AotCache, artifact::Validated, engine::Sandbox};

/// Compilations at one time. One of them already uses every core, so more would only hold more memory.
const CONCURRENT_COMPILATIONS: usize = 2;

/// Turns components into machine code, remembering what it did.
pub(crate) struct Compiler {
    sandbox: Arc<Sandbox>,
    cache: Arc<AotCache>,
    turns: Arc<Semaphore>,
}

/// Why there is no machine code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileFault {
    /// The component needs what the engine has not.
    #[error("{0:#}")]
    Refused(wasmtime::Error),
    #[error("the compiler crashed")]
    Crashed,
    #[error("the host is stopping")]
    Stopping,
}

impl Compiler {
    pub fn new(sandbox: Arc<Sandbox>, cache: AotCache) -> Self {
        Self { sandbox, cache: Arc::new(cache), turns: Arc::new(Semaphore::new(CONCURRENT_COMPILATIONS)) }
    }

    /// Machine code from the cache, or from the compiler.
    pub async fn compile(&self, validated: &Validated) -> Result<Component, CompileFault> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| CompileFault::Stopping)?;
        let (sandbox, cache) = (Arc::clone(&self.sandbox), Arc::clone(&self.cache));
        let (bytes, digest) = (Arc::clone(&validated.captured.bytes), validated.captured.digest.clone());
        let work = spawn_blocking(move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _turn = turn;
            let engine = sandbox.engine();
            if let Some(component) = cache.load(engine, &digest) {
                return Ok(component);
            }
            let component = Component::new(engine, &bytes).map_err(CompileFault::Refused)?;
            cache.store(engine, &digest, &component);
            Ok(component)
        });
        work.await.map_err(|_| CompileFault::Crashed)?
    }
}
