//! The echo server on yawc.

fn main() -> anyhow::Result<()> {
    engines::run(engines::yawc_::serve)
}
