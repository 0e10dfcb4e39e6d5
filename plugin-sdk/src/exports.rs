//! The way in: what [`register_plugin!`](crate::register_plugin) turns into the exports of a component.
//!
//! The functions here convert between the contract's types and the SDK's and call the plugin; they hold
//! no state. The one instance of the plugin lives in a thread-local that the macro defines.
#![allow(missing_docs, reason = "only register_plugin! uses this module")]

use serde_json::Value;

use crate::{
    Completing, Context, Error, Level, Plugin,
    bindings::{
        exports::switchboard::plugin::completions,
        switchboard::plugin::types::{self, Refusal},
    },
    host,
    message::from_json,
};

/// Makes a plugin the one that this component exports. Once per crate, at its top level.
///
/// The crate has to be a `cdylib`: `[lib] crate-type = ["cdylib", "rlib"]`, where the `rlib` is what its own
/// tests link. In a native build the macro only checks that the type fits.
#[macro_export]
macro_rules! register_plugin {
    ($plugin:ty) => {
        const _: () = {
            struct Component;

            ::std::thread_local! {
                static PLUGIN: ::std::cell::RefCell<$plugin> = ::std::cell::RefCell::default();
            }

            $crate::__export_plugin!($plugin, Component, PLUGIN);

            #[cfg(target_arch = "wasm32")]
    $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        };
    };
}

/// The export interfaces, each function one line: prepare, borrow the instance, call.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_plugin {
    ($plugin:ty, $component:ident, $instance:ident) => {
        use $crate::bindings::exports::switchboard::plugin as exported;
        use $crate::bindings::switchboard::plugin::types;

        impl exported::plugin::Guest for $component {
            fn manifest() -> ::std::string::String {
                $crate::exports::manifest::<$plugin>()
            }
        }

        impl exported::handler::Guest for $component {
            fn handle(
                ctx: types::Context,
                message: types::Message,
            ) -> ::std::result::Result<::std::option::Option<types::Message>, types::Refusal> {
                $instance.with_borrow_mut(|plugin| $crate::exports::handle(plugin, ctx, message))
            }
        }

        impl exported::tools::Guest for $component {
            fn list_tools(ctx: types::Context) -> ::std::result::Result<::std::string::String, types::Refusal> {
                $instance.with_borrow_mut(|plugin| $crate::exports::list_tools(plugin, ctx))
            }

            fn call_tool(
                ctx: types::Context,
                name: ::std::string::String,
                arguments: ::std::string::String,
            ) -> ::std::result::Result<::std::string::String, types::Refusal> {
                $instance.with_borrow_mut(|plugin| $crate::exports::call_tool(plugin, ctx, &name, &arguments))
            }
        }

        impl exported::lifecycle::Guest for $component {
            fn on_connect(ctx: types::Context) {
                $instance.with_borrow_mut(|plugin| $crate::exports::on_connect(plugin, ctx));
            }

            fn on_disconnect(ctx: types::Context, reason: ::std::string::String) {
                $instance.with_borrow_mut(|plugin| $crate::exports::on_disconnect(plugin, ctx, &reason));
            }

            fn on_event(ctx: types::Context, topic: ::std::string::String, message: types::Message) {
                $instance.with_borrow_mut(|plugin| $crate::exports::on_event(plugin, ctx, &topic, message));
            }
        }

        impl exported::health::Guest for $component {
            fn self_test() -> ::std::result::Result<(), ::std::string::String> {
                $instance.with_borrow_mut($crate::exports::self_test)
            }
        }

        impl exported::handover::Guest for $component {
            fn export_state() -> ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
                $instance.with_borrow_mut($crate::exports::export_state)
            }

            fn import_state(
                from_version: ::std::string::String,
                state: ::std::vec::Vec<u8>,
            ) -> ::std::result::Result<(), ::std::string::String> {
                $instance.with_borrow_mut(|plugin| $crate::exports::import_state(plugin, &from_version, &state))
            }
        }

        impl exported::resources::Guest for $component {
            fn list_resources(ctx: types::Context) -> ::std::result::Result<::std::string::String, types::Refusal> {
                $instance.with_borrow_mut(|plugin| $crate::exports::list_resources(plugin, ctx))
            }

            fn list_resource_templates(
                ctx: types::Context,
            ) -> ::std::result::Result<::std::string::String, types::Refusal> {
                $instance.with_borrow_mut(|plugin| $crate::exports::list_resource_templates(plugin, ctx))
            }

            fn read_resource(
                ctx: types::Context,
                uri: ::std::string::String,
            ) -> ::std::result::Result<::std::string::String, types::Refusal> {
                $instance.with_borrow_mut(|plugin| $crate::exports::read_resource(plugin, ctx, &uri))
            }
        }

        impl exported::prompts::Guest for $component {
            fn list_prompts(ctx: types::Context) -> ::std::result::Result<::std::string::String, types::Refusal> {
                $instance.with_borrow_mut(|plugin| $crate::exports::list_prompts(plugin, ctx))
            }

            fn get_prompt(
                ctx: types::Context,
                name: ::std::string::String,
                arguments: ::std::string::String,
            ) -> ::std::result::Result<::std::string::String, types::Refusal> {
                $instance.with_borrow_mut(|plugin| $crate::exports::get_prompt(plugin, ctx, &name, &arguments))
            }
        }

        impl exported::completions::Guest for $component {
            fn complete(
                ctx: types::Context,
                what: exported::completions::Completed,
                argument: ::std::string::String,
                value: ::std::string::String,
                known: ::std::string::String,
            ) -> ::std::result::Result<::std::string::String, types::Refusal> {
                $instance
                    .with_borrow_mut(|plugin| $crate::exports::complete(plugin, ctx, what, argument, value, &known))
            }
        }
    };
}

/// No panic hook here: the manifest is read in a sandbox that offers no imports.
pub fn manifest<P: Plugin>() -> String {
    P::manifest().to_value().to_string()
}

pub fn handle<P: Plugin>(
    plugin: &mut P,
    ctx: types::Context,
    message: types::Message,
) -> Result<Option<types::Message>, Refusal> {
    report_panics();
    let answer = plugin.handle(&Context::new(ctx), message.into())?;
    Ok(answer.map(Into::into))
}

pub fn list_tools<P: Plugin>(plugin: &mut P, ctx: types::Context) -> Result<String, Refusal> {
    report_panics();
    let tools = plugin.tools(&Context::new(ctx))?;
    Ok(Value::Array(tools.iter().map(crate::Tool::to_value).collect()).to_string())
}

pub fn call_tool<P: Plugin>(
    plugin: &mut P,
    ctx: types::Context,
    name: &str,
    arguments: &str,
) -> Result<String, Refusal> {
    report_panics();
    to_text(&plugin.call_tool(&Context::new(ctx), name, from_json(arguments)?)?)
}

pub fn list_resources<P: Plugin>(plugin: &mut P, ctx: types::Context) -> Result<String, Refusal> {
    report_panics();
    let resources = plugin.resources(&Context::new(ctx))?;
    Ok(Value::Array(resources.iter().map(crate::Resource::to_value).collect()).to_string())
}

pub fn list_resource_templates<P: Plugin>(plugin: &mut P, ctx: types::Context) -> Result<String, Refusal> {
    report_panics();
    let templates = plugin.resource_templates(&Context::new(ctx))?;
    Ok(Value::Array(templates.iter().map(crate::ResourceTemplate::to_value).collect()).to_string())
}

pub fn read_resource<P: Plugin>(plugin: &mut P, ctx: types::Context, uri: &str) -> Result<String, Refusal> {
    report_panics();
    to_text(&plugin.read_resource(&Context::new(ctx), uri)?)
}

pub fn list_prompts<P: Plugin>(plugin: &mut P, ctx: types::Context) -> Result<String, Refusal> {
    report_panics();
    let prompts = plugin.prompts(&Context::new(ctx))?;
    Ok(Value::Array(prompts.iter().map(crate::Prompt::to_value).collect()).to_string())
}

pub fn get_prompt<P: Plugin>(
    plugin: &mut P,
    ctx: types::Context,
    name: &str,
    arguments: &str,
) -> Result<String, Refusal> {
    report_panics();
    to_text(&plugin.get_prompt(&Context::new(ctx), name, from_json(arguments)?)?)
}

pub fn complete<P: Plugin>(
    plugin: &mut P,
    ctx: types::Context,
    what: completions::Completed,
    argument: String,
    value: String,
    known: &str,
) -> Result<String, Refusal> {
    report_panics();
    let asked = Completing { what, argument, value, known: from_json(known)? };
    to_text(&plugin.complete(&Context::new(ctx), &asked)?)
}

fn to_text<T: serde::Serialize>(value: &T) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|fault| Error::internal(fault).into())
}

pub fn on_connect<P: Plugin>(plugin: &mut P, ctx: types::Context) {
    report_panics();
    plugin.on_connect(&Context::new(ctx));
}

pub fn on_disconnect<P: Plugin>(plugin: &mut P, ctx: types::Context, reason: &str) {
    report_panics();
    plugin.on_disconnect(&Context::new(ctx), reason);
}

pub fn on_event<P: Plugin>(plugin: &mut P, ctx: types::Context, topic: &str, message: types::Message) {
    report_panics();
    plugin.on_event(&Context::new(ctx), topic, message.into());
}

pub fn self_test<P: Plugin>(plugin: &mut P) -> Result<(), String> {
    report_panics();
    plugin.self_test()
}

pub fn export_state<P: Plugin>(plugin: &mut P) -> Result<Vec<u8>, String> {
    report_panics();
    plugin.export_state()
}

pub fn import_state<P: Plugin>(plugin: &mut P, from_version: &str, state: &[u8]) -> Result<(), String> {
    report_panics();
    plugin.import_state(from_version, state)
}

/// Sends the message of a panic to the host's log, because all that the host itself sees of one is
/// `unreachable`. Natively the test harness reports it already.
fn report_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if cfg!(target_arch = "wasm32") {
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| host::logging::log(Level::Error, &panic.to_string(), "")));
        });
    }
}
