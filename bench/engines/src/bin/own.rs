//! The echo server on own.

fn main() -> anyhow::Result<()> {
    engines::run(engines::own::serve)
}
