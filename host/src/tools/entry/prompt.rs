//! The arguments that a prompt takes, and what is held against them.

use serde_json::value::RawValue;

use crate::plugin::json_object::Members;

/// Arguments of one prompt. People fill them in.
const MAX_ARGUMENTS: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(in crate::tools) struct Argument {
    pub name: String,
    pub required: bool,
}

/// The arguments that an entry lists.
pub(super) fn arguments(entry: &Members<'_>) -> Result<Vec<Argument>, String> {
    let Some(list) = entry.get("arguments") else { return Ok(Vec::new()) };
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|_| "`arguments` is not an array")?;
    if list.len() > MAX_ARGUMENTS {
        return Err(format!("`arguments` has {} entries, and {MAX_ARGUMENTS} are allowed", list.len()));
    }
    let read = |(index, text): (usize, &&RawValue)| {
        argument(text).map_err(|problem| format!("`arguments[{index}]`: {problem}"))
    };
    list.iter().enumerate().map(read).collect()
}

fn argument(text: &RawValue) -> Result<Argument, String> {
    let members = Members::parse(text.get())?;
    let name = members.text("name").ok_or("`name` is missing, or not a string")?;
    for text in ["title", "description"] {
        if members.get(text).is_some_and(|value| !value.get().starts_with('"')) {
            return Err(format!("`{text}` is not a string"));
        }
    }
    let required = match members.get("required").map(RawValue::get) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err("`required` is not true or false".into()),
    };
    Ok(Argument { name, required })
}

/// Whether the required ones are there, and all are strings. `given` is the text of a JSON object.
pub(in crate::tools) fn check(arguments: &[Argument], given: &str) -> Result<(), String> {
    let given = Members::parse(given)?;
    for (name, value) in &given.0 {
        if !value.get().starts_with('"') {
            return Err(format!("/{name}: it is not a string"));
        }
    }
    match arguments.iter().find(|argument| argument.required && given.get(&argument.name).is_none()) {
        Some(missing) => Err(format!("/: {:?} is required", missing.name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_arguments_are_there_and_all_are_strings() {
        let arguments = [Argument { name: "a".into(), required: true }, Argument { name: "b".into(), required: false }];
        assert_eq!(check(&arguments, r#"{"a":"1"}"#), Ok(()));
        assert_eq!(check(&arguments, r#"{"a":"1","b":"2","c":"3"}"#), Ok(()));
        assert_eq!(check(&arguments, r#"{"b":"1"}"#), Err("/: \"a\" is required".into()));
        assert_eq!(check(&arguments, r#"{"a":1}"#), Err("/a: it is not a string".into()));
        assert!(check(&arguments, "[]").is_err());
    }

    #[test]
    fn there_are_only_so_many() {
        let list = |count: usize| format!(r#"{{"arguments":[{}]}}"#, vec![r#"{"name":"a"}"#; count].join(","));
        assert!(arguments(&Members::parse(&list(MAX_ARGUMENTS)).unwrap()).is_ok());
        assert!(arguments(&Members::parse(&list(MAX_ARGUMENTS + 1)).unwrap()).is_err());
    }
}
