//! Switchboard from outside: every test starts the real binary, speaks to it over real sockets, and
//! loads real components into it.
//!
//! The binary and the components are built by `cargo xtask test` beforehand; nothing is fetched by a
//! test. No test sleeps to wait for something: it waits for the thing itself, within
//! [`harness::PATIENCE`].

mod harness;

mod admin;
mod admission;
mod agent_plugin;
mod canary;
mod catalogue;
mod changes;
mod codes;
mod cold_starts;
mod command_line;
mod compression;
mod connection;
mod contract;
mod cut_points;
mod durable_state;
mod envelope;
mod flow;
mod guide_tour;
mod health;
mod hostile;
mod hot_reload;
mod idempotency;
mod instances;
mod isolation;
mod isolation_of_users;
mod jsonrpc_plugin;
mod languages;
mod mcp_clients;
mod mcp_conformance;
mod mcp_eras;
mod mcp_faults;
mod mcp_frames;
mod mcp_http;
mod mcp_jsonrpc;
mod mcp_sessions;
mod mcp_streams;
mod open_requests;
mod outbound;
mod protocol_page;
mod readme_tour;
mod restart;
mod resume;
mod resume_corners;
mod resume_refused;
mod revocation;
mod storm;
mod swap_under_load;
mod system_plugin;
mod telemetry;
mod token_carriers;
mod token_checks;
mod topics;
