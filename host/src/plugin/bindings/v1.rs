//! Generated from `wit/`, version 0.1.0 of the contract. Nobody but `bindings.rs` and the files under
//! `capability` names what is in here.

wasmtime::component::bindgen!({
    world: "everything",
    path: "../wit",
    imports: {
        // It has no way to say no but a trap.
        "switchboard:plugin/random": trappable,
        // These wait, on the call's fiber.
        "switchboard:plugin/toolbox": async,
        "switchboard:plugin/runs.start": async,
        "switchboard:plugin/http": async,
        "switchboard:plugin/state": async,
        "switchboard:plugin/catalogue": async,
        "switchboard:plugin/changes.watch": async,
    },
    exports: { default: async },
});
