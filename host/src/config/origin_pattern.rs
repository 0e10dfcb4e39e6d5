//! Origins by pattern.

/// One entry of `origins.allow`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OriginPattern(String);

impl OriginPattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }

    pub fn matches(&self, origin: &str) -> bool {
        self.0 == origin
    }
}
