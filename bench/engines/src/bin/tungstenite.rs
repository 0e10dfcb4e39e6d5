//! The echo server on tungstenite.

fn main() -> anyhow::Result<()> {
    engines::run(engines::tungstenite::serve)
}
