//! What wit-bindgen makes of `wit/`. Generated code sits alone here, behind the hand-written doors
//! `crate::host` (imports) and [`crate::exports`] (exports); plugins never name it.
#![allow(missing_docs, reason = "the documentation is in wit/, and generated code does not carry all of it")]
#![allow(unsafe_code, reason = "crossing the component boundary is raw memory work, which wit-bindgen generates")]
#![allow(clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    path: "../wit",
    world: "switchboard:plugin/everything",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "switchboard_sdk::bindings",
    runtime_path: "::switchboard_sdk::wit_bindgen::rt",
    additional_derives: [PartialEq],
});
