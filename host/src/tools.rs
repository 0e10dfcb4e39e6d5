//! Stand-in.
use crate::plugin::{
    Registry,
    effects::{CallContext, ToolError},
};

pub(crate) struct Toolbox;

impl Toolbox {
    pub fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self)
    }
    pub async fn list(&self, _registry: &Registry, _context: &CallContext) -> Result<String, ToolError> {
        Ok("[]".into())
    }
    pub async fn call(
        &self,
        _registry: &Registry,
        _context: &CallContext,
        name: &str,
        _arguments: String,
    ) -> Result<String, ToolError> {
        Err(ToolError::UnknownTool(name.into()))
    }
}
