//! The door to the generated bindings: which imports a plugin is linked with, and which exports it has.
//!
//! Only what is granted is linked, so that a component that imports more fails to link, by name,
//! before it can be called. Exports are looked up once per version, not once per call.

use wasmtime::component::{HasSelf, InstancePre, Linker};

use super::{call_state::CallState, engine::Sandbox, instance_state::InstanceState, wasi};
use crate::config::{Grants, setting::INTERFACES};

pub(super) mod v1;

pub(super) use v1::{
    exports::switchboard::plugin::{
        completions, handler, handover, health, lifecycle, plugin, prompts, resources, tools,
    },
    switchboard::plugin::{
        catalogue, changes, clock, host_info, http, inputs, logging, messages, progress, random, requests, runs, seals,
        settings, state, toolbox, topics, types,
    },
};

/// A linker that offers exactly what is granted.
pub(crate) fn link(sandbox: &Sandbox, grants: &Grants) -> Result<Linker<InstanceState>, wasmtime::Error> {
    let mut linker = Linker::new(sandbox.engine());
    for interface in INTERFACES.iter().filter(|interface| grants.allows(interface)) {
        add(&mut linker, interface)?;
    }
    wasi::link(&mut linker, |name| grants.allows(name))?;
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
        "http" => http::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "host-info" => host_info::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "requests" => requests::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "seals" => seals::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "inputs" => inputs::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "progress" => progress::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "catalogue" => catalogue::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
        "changes" => changes::add_to_linker::<_, Own>(linker, |instance| &mut instance.call),
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
    pub(super) resources: Option<resources::GuestIndices>,
    pub(super) prompts: Option<prompts::GuestIndices>,
    pub(super) completions: Option<completions::GuestIndices>,
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
            resources: optional("resources", pre, resources::GuestIndices::new)?,
            prompts: optional("prompts", pre, prompts::GuestIndices::new)?,
            completions: optional("completions", pre, completions::GuestIndices::new)?,
        })
    }

    /// Whether there are tools to ask for.
    pub fn has_tools(&self) -> bool {
        self.tools.is_some()
    }

    /// Whether there are resources to ask for.
    pub fn has_resources(&self) -> bool {
        self.resources.is_some()
    }

    /// Whether there are prompts to ask for.
    pub fn has_prompts(&self) -> bool {
        self.prompts.is_some()
    }

    /// Whether arguments can be completed.
    pub fn has_completions(&self) -> bool {
        self.completions.is_some()
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
