//! The echo server on fastwebsockets.

fn main() -> anyhow::Result<()> {
    engines::run(engines::fast::serve)
}
