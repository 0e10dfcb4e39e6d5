//! What a client can find out before it connects, from the snapshot of this moment.

use switchboard_protocol::{Discovery, Endpoints, HandledType, Limits, PROTOCOL_VERSION, SUBPROTOCOL, SUBPROTOCOL_MCP};

use super::Dispatcher;
use crate::{config::Config, plugin::Handler};

impl Dispatcher {
    pub fn discovery(&self) -> Discovery {
        let config = self.config.load();
        let registry = self.plugins.registry();
        Discovery {
            service: "switchboard".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            protocol_version: PROTOCOL_VERSION.into(),
            subprotocols: vec![SUBPROTOCOL.into(), SUBPROTOCOL_MCP.into()],
            endpoints: Endpoints { websocket: "/ws".into(), ticket: "/ws/ticket".into(), mcp: "/mcp".into() },
            limits: limits(&config),
            heartbeat_interval_ms: millis(config.heartbeat.interval),
            message_types: registry.handlers().into_iter().map(handled_type).collect(),
        }
    }
}

pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        max_message_bytes: config.limits.max_message_bytes as u64,
        max_json_depth: config.limits.max_json_depth,
        max_in_flight: u32::try_from(config.limits.max_in_flight).unwrap_or(u32::MAX),
    }
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn handled_type(handler: &Handler) -> HandledType {
    let handled = &handler.handled;
    HandledType {
        name: handled.pattern.to_string(),
        plugin: handler.version.name.to_string(),
        plugin_version: handler.version.version.to_string(),
        description: handled.description.clone(),
        schema: handled.schema.as_ref().map(|schema| schema.document().clone()),
        emits: handled.emits.iter().map(ToString::to_string).collect(),
    }
}
