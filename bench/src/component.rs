//! As many versions of one component as a scenario needs: the number of its build stands in it as text, and is replaced.

use std::path::Path;

use anyhow::Context as _;

/// Stands before the number, in the data of the component.
const MARK: &[u8] = b"switchboard-bench:";
const DIGITS: usize = 16;

pub struct Versions {
    bytes: Vec<u8>,
    at: usize,
}

impl Versions {
    pub fn of(component: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(component).with_context(|| format!("{} cannot be read", component.display()))?;
        Self::in_bytes(bytes).with_context(|| format!("{} has no build number in it", component.display()))
    }

    fn in_bytes(bytes: Vec<u8>) -> Option<Self> {
        let at = memchr::memmem::find(&bytes, MARK)? + MARK.len();
        let digits = bytes.get(at..at + DIGITS)?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self { bytes, at })
    }

    /// The component with this number in it.
    pub fn build(&mut self, number: u64) -> &[u8] {
        let digits = format!("{number:0DIGITS$x}");
        self.bytes[self.at..self.at + DIGITS].copy_from_slice(digits.as_bytes());
        &self.bytes
    }

    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_is_replaced() {
        let mut versions = Versions::in_bytes(b"..switchboard-bench:0000000000000000..".to_vec()).unwrap();
        assert_eq!(versions.build(0xab), b"..switchboard-bench:00000000000000ab..");
        assert_eq!(versions.build(1), b"..switchboard-bench:0000000000000001..");
        assert!(Versions::in_bytes(b"nothing".to_vec()).is_none());
    }
}
