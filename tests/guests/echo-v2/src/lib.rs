//! Version 2.0.0 of `echo`.

#[path = "../../echo.rs"]
mod echo;

impl echo::Release for echo::Echo {
    const VERSION: &str = "2.0.0";
    const MARKER: &str = "second";
}

switchboard_sdk::register_plugin!(echo::Echo);
