//! The echo server on tokio-websockets.

fn main() -> anyhow::Result<()> {
    engines::run(engines::tokio_websockets_::serve)
}
