//! The space that is left where everything is compiled to: a full disk makes compilers, linkers and installers
//! fail in words of their own, none of which names it.

use crate::process;

/// Below it, what failed has most likely failed for want of space: one link of the host takes as much.
const SCARCE: u64 = 1 << 30;

/// Bytes that are left for users of the disk; `None` where the system does not tell.
pub fn left() -> Option<u64> {
    let space = rustix::fs::statvfs(process::root()).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// What to add to the words of a failure.
pub fn complaint(left: Option<u64>) -> Option<String> {
    let left = left.filter(|left| *left < SCARCE)?;
    Some(format!("the disk is full ({} left): free space, for instance with `cargo clean`, and try again", text(left)))
}

/// Such as `12.3 GiB`.
pub fn text(bytes: u64) -> String {
    let mebibytes = bytes >> 20;
    format!("{}.{} GiB", mebibytes >> 10, ((mebibytes & 1023) * 10) >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_is_complained_of() {
        assert_eq!(complaint(None), None);
        assert_eq!(complaint(Some(SCARCE)), None);
        let told = complaint(Some(300 << 20)).expect("a complaint");
        assert!(told.contains("the disk is full (0.2 GiB left)"), "{told}");
    }

    #[test]
    fn space_is_told_in_gibibytes() {
        assert_eq!(text((12 << 30) + (512 << 20)), "12.5 GiB");
        assert!(left().is_some_and(|left| left > 0));
    }
}
