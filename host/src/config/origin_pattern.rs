//! Stand-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OriginPattern(String);

impl OriginPattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
    pub fn matches(&self, origin: &str) -> bool {
        self.0 == origin || self.0.strip_suffix('*').is_some_and(|prefix| origin.starts_with(prefix))
    }
}
