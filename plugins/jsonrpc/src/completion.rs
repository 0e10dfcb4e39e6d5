//! `completion/complete`: what could complete an argument of a prompt or resource template.

use serde::Deserialize;
use serde_json::value::RawValue;
use switchboard_sdk::{CatalogueError, Context, Error, Item};

use crate::{
    items::denied,
    rpc::Fault,
    text::{EMPTY, Members, Object, is_object},
};

#[derive(Deserialize)]
pub(crate) struct CompleteParams {
    #[serde(rename = "ref")]
    of: Object<Reference>,
    argument: Object<Argument>,
    context: Option<Object<Known>>,
}

/// By its type, one of the others is there.
#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    uri: Option<String>,
}

#[derive(Deserialize)]
struct Argument {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Known {
    arguments: Option<Box<RawValue>>,
}

pub(crate) fn complete(ctx: &Context, asked: &CompleteParams) -> Result<Members, Fault> {
    let item = match &asked.of.0 {
        Reference { kind, name: Some(name), .. } if kind == "ref/prompt" => Item::Prompt(name.clone()),
        Reference { kind, uri: Some(uri), .. } if kind == "ref/resource" => Item::ResourceTemplate(uri.clone()),
        _ => {
            let forms = "a `ref/prompt` with a `name` or a `ref/resource` with a `uri`";
            return Err(Fault::invalid_params(format!("`params.ref` has to be {forms}")));
        }
    };
    let known = asked.context.as_ref().and_then(|Object(known)| known.arguments.as_deref());
    if known.is_some_and(|known| !is_object(known)) {
        return Err(Fault::invalid_params("`params.context.arguments` has to be an object"));
    }
    let Argument { name, value } = &asked.argument.0;
    let completion = ctx.catalogue().complete(&item, name, value, known.map_or(EMPTY, RawValue::get)).map_err(
        |error| match error {
            CatalogueError::Unknown(of) => Fault::invalid_params(format!("nothing named {of:?} can be completed")),
            CatalogueError::InvalidArguments(text) => Fault::invalid_params(text),
            CatalogueError::Forbidden(forbidden) => denied(forbidden),
            error => Fault::internal(Error::from(error).message),
        },
    )?;
    let mut result = Members::new();
    result.insert("completion".into(), RawValue::from_string(completion).map_err(Fault::internal)?);
    Ok(result)
}
