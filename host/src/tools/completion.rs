//! What could complete an argument of a prompt or of a resource template.

use super::{Found, Toolbox, call::refuse_circle, entry::What, failure, result};
use crate::plugin::{
    Completed, Registry,
    effects::CallContext,
    offers::{CatalogueError, Item},
};

/// The answer of a plugin that completes nothing.
const NOTHING: &str = r#"{"values":[],"total":0,"hasMore":false}"#;

impl Toolbox {
    /// Asks the plugin whose item it is. `known` is the text of a JSON object.
    pub async fn complete(
        &self,
        registry: &Registry,
        context: &CallContext,
        what: &Item,
        argument: &str,
        value: &str,
        known: String,
    ) -> Result<String, CatalogueError> {
        if matches!(what, Item::Tool(_) | Item::Resource(_)) {
            let reason = "only arguments of prompts and of resource templates can be completed";
            return Err(CatalogueError::InvalidArguments(reason.into()));
        }
        let found = self.find(registry, context, what).await?;
        self.check_rights(&found, context, what)?;
        refuse_circle(&context.chain, &found.version.name)?;
        check_argument(&found, what, argument)?;
        if !found.version.exports.has_completions() || !found.version.manifest.completions {
            return Ok(NOTHING.to_owned());
        }
        let completed = match what {
            Item::Prompt(_) => Completed::Prompt(&found.offered.entry.name),
            _ => Completed::ResourceTemplate(&found.offered.entry.name),
        };
        let text = found.version.complete(context.clone(), completed, argument, value, known).await;
        let text = text.map_err(|fault| failure::in_words(what, &fault))?;
        result::completed(&text).map_err(|problem| {
            CatalogueError::Failed(format!("{} gave what is no completion: {problem}", failure::named(what)))
        })
    }
}

fn check_argument(found: &Found, what: &Item, argument: &str) -> Result<(), CatalogueError> {
    let is_known = match &found.offered.entry.what {
        What::Prompt(arguments) => arguments.iter().any(|known| known.name == argument),
        What::Template(template) => template.has_variable(argument),
        What::Tool(_) | What::Resource => false,
    };
    if is_known {
        return Ok(());
    }
    Err(CatalogueError::InvalidArguments(format!("{} has no argument {argument:?}", failure::named(what))))
}
