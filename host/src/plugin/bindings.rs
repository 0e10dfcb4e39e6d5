//! The door to the generated bindings: which imports a plugin is linked with, and which exports it has.
//!
//! Only what is granted is linked, so that a component that imports more fails to link, by name,
//! before it can be called. Exports are looked up once per version, not once per call.

use wasmtime::component::{HasSelf, InstancePre, Linker};

use super::{call_state::CallState, engine::Sandbox, instance_state::InstanceState, wasi};
use crate::config::Grants;

pub(super) mod v1;

pub(super) use v1::{
    exports::switchboard::plugin::{handler, handover, health, lifecycle, plugin, tools},
    switchboard::plugin::{clock, host_info, logging, messages, random, runs, settings, state, toolbox, topics, types},
};

/// A linker that offers exactly what is granted. Names in `grants` that are no interfaces of the
/// contract were refused when the configuration was checked, and add nothing here.
pub(crate) fn link(sandbox: &Sandbox, grants: &Grants) -> Result<Linker<InstanceState>, wasmtime::Error> {
    let mut linker = Linker::new(sandbox.engine());
    for interface in &grants.interfaces {
        add(&mut linker, interface)?;
    }
    wasi::link(&mut linker, |name| grants.interfaces.iter().any(|granted| granted == name))?;
    Ok(linker)
}

fn add(linker: &mut Linker<InstanceState>, interface: &str) -> Result<(), wasmtime::Error> {
    type Own = HasSelf<CallState>;
    match interface {
        "messages" => messages::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "topics" => topics::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "state" => state::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "settings" => settings::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "logging" => logging::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "clock" => clock::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "random" => random::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "toolbox" => toolbox::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "runs" => runs::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "host-info" => host_info::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        _ => Ok(()),
    }
}

/// Where a component's exports are.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(super) plugin: plugin::GuestIndices,
    pub(super) handler: handler::GuestIndices,
    pub(super) tools: Option<tools::GuestIndices>,
    pub(super) lifecycle: Option<lifecycle::GuestIndices>,
    pub(super) health: Option<health::GuestIndices>,
    pub(super) handover: Option<handover::GuestIndices>,
}

/// An interface that is not there, or not as the contract has it.
#[derive(Debug, thiserror::Error)]
#[error("the export `switchboard:plugin/{interface}@0.1.0` does not fit: {problem}")]
pub(crate) struct MissingExport {
    pub interface: &'static str,
    pub problem: String,
}

impl Exports {
    /// Looks for every interface that the host can call. One that is optional may be absent, but not
    /// half there.
    pub fn probe<T>(pre: &InstancePre<T>) -> Result<Self, MissingExport> {
        Ok(Self {
            plugin: found("plugin", plugin::GuestIndices::new(pre))?,
            handler: found("handler", handler::GuestIndices::new(pre))?,
            tools: optional("tools", pre, tools::GuestIndices::new)?,
            lifecycle: optional("lifecycle", pre, lifecycle::GuestIndices::new)?,
            health: optional("health", pre, health::GuestIndices::new)?,
            handover: optional("handover", pre, handover::GuestIndices::new)?,
        })
    }

    /// Whether there are tools to ask for.
    pub fn has_tools(&self) -> bool {
        self.tools.is_some()
    }
}

fn found<I>(interface: &'static str, indices: wasmtime::Result<I>) -> Result<I, MissingExport> {
    indices.map_err(|fault| MissingExport { interface, problem: fault.to_string() })
}

fn optional<T, I>(
    interface: &'static str,
    pre: &InstancePre<T>,
    look: impl FnOnce(&InstancePre<T>) -> wasmtime::Result<I>,
) -> Result<Option<I>, MissingExport> {
    let name = format!("switchboard:plugin/{interface}@0.1.0");
    match pre.component().get_export_index(None, &name) {
        None => Ok(None),
        Some(_) => found(interface, look(pre)).map(Some),
    }
}
