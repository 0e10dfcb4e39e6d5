//! What WASI keeps for an instance: made when a guest first calls it, so that plugins that stand on nothing
//! of WASI pay nothing.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::{
    super::{
        call_log::{CallLog, Stream},
        instance_state::InstanceState,
        limits::Limiter,
    },
    console::Console,
    table,
};

/// Random bytes for one call, as for the contract's own `random`.
const MAX_RANDOM_BYTES: u64 = 64 << 10;

/// Of one instance.
#[derive(Default)]
pub(in crate::plugin) struct Wasi(Option<Open>);

struct Open {
    context: WasiCtx,
    console: Console,
}

impl Wasi {
    /// WASI as the guest has it during the call that this log belongs to.
    fn view<'a>(&'a mut self, table: &'a mut ResourceTable, log: &Arc<CallLog>) -> WasiCtxView<'a> {
        let open = self.0.get_or_insert_with(|| {
            let console = Console::new(log.clone());
            Open { context: empty(&console), console }
        });
        open.console.attach(log);
        WasiCtxView { ctx: &mut open.context, table }
    }
}

fn empty(console: &Console) -> WasiCtx {
    WasiCtxBuilder::new()
        // Nothing of this is the builder's to give; said all the same, so that no new default of it gives it.
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .socket_addr_check(|_, _| Box::pin(async { false }))
        .max_random_size(MAX_RANDOM_BYTES)
        .stdin(tokio::io::empty())
        .stdout(console.stream(Stream::Stdout))
        .stderr(console.stream(Stream::Stderr))
        .build()
}

/// Every call of WASI passes here, so that the streams always belong to the call that makes it.
impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.view(&mut self.table, &self.call.log)
    }
}

/// The store of a guest that is asked for its manifest: nobody's call.
pub(in crate::plugin) struct Bare {
    pub limiter: Limiter,
    table: ResourceTable,
    wasi: Wasi,
    log: Arc<CallLog>,
}

impl Bare {
    pub fn new(limiter: Limiter, log: Arc<CallLog>) -> Self {
        Self { limiter, table: table(), wasi: Wasi::default(), log }
    }
}

impl WasiView for Bare {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.view(&mut self.table, &self.log)
    }
}
