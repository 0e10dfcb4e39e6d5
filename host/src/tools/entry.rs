//! What a plugin says that it offers, entry by entry: checked, and kept as it was written.
//!
//! One entry that clients cannot read makes the whole list unreadable for many of them. So an entry that is
//! wrong is left out, and it is said why; the others are offered.

use std::{collections::HashSet, sync::Arc};

use serde_json::value::RawValue;

use self::{
    prompt::Argument,
    tool::{Budget, Tool},
};
use super::{naming, template::Template, uri};
use crate::plugin::{json_object::Members, offers::Kind};

pub(super) mod header;
pub(super) mod prompt;
pub(super) mod tool;

/// Tools, prompts or templates of one plugin. More than a model can choose from, few enough to keep and to merge.
const MAX_NAMED: usize = 256;

/// Resources of one plugin. What has more, such as a folder of files, is better found by a template.
const MAX_RESOURCES: usize = 1_000;

/// An entry that has been checked.
#[derive(Debug)]
pub(super) struct Entry {
    /// The plugin's own name for it: of tools and prompts the name, else the URI or the template.
    pub name: String,
    /// As the plugin wrote it: a JSON object.
    pub text: String,
    pub what: What,
}

/// What the host knows about an entry.
#[derive(Debug)]
pub(super) enum What {
    Tool(Box<Tool>),
    Resource,
    Template(Template),
    Prompt(Vec<Argument>),
}

/// The entries that are right, in the plugin's order, and what is wrong with the others.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub right: Vec<Arc<Entry>>,
    pub problems: Vec<String>,
}

/// What a member of an entry has to be, if it is there: as MCP's schema has it (revision 2026-07-28, `Tool`,
/// `Resource`, `ResourceTemplate`, `Prompt`).
const FORMS: [(&str, char, &str); 7] = [
    ("title", '"', "a string"),
    ("description", '"', "a string"),
    ("mimeType", '"', "a string"),
    ("annotations", '{', "an object"),
    ("_meta", '{', "an object"),
    ("execution", '{', "an object"),
    ("icons", '[', "an array"),
];

/// Reads a list as a plugin gave it. Takes its time: schemas are compiled.
pub(super) fn read(kind: Kind, text: &str) -> Result<Entries, String> {
    let all: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|fault| format!("the list is not a JSON array: {fault}"))?;
    let most = if kind == Kind::Resources { MAX_RESOURCES } else { MAX_NAMED };
    let mut entries = Entries::default();
    if all.len() > most {
        entries.problems.push(format!("{} entries are listed, and the first {most} are offered", all.len()));
    }
    let (mut names, mut budget) = (HashSet::new(), Budget::default());
    for (index, text) in all.into_iter().take(most).enumerate() {
        match entry(kind, text, &mut budget) {
            Ok(entry) if names.insert(entry.name.clone()) => entries.right.push(Arc::new(entry)),
            Ok(entry) => entries.problems.push(format!("[{index}]: {:?} is there twice", entry.name)),
            Err(problem) => entries.problems.push(format!("[{index}]: {problem}")),
        }
    }
    Ok(entries)
}

fn entry(kind: Kind, text: &RawValue, budget: &mut Budget) -> Result<Entry, String> {
    let members = Members::parse(text.get())?;
    let label = members.text("name").ok_or("`name` is missing, or not a string")?;
    for (member, first, form) in FORMS {
        if members.get(member).is_some_and(|value| !value.get().starts_with(first)) {
            return Err(format!("{label:?}: `{member}` is not {form}"));
        }
    }
    let wrong = |problem: String| format!("{label:?}: {problem}");
    let (name, what) = match kind {
        Kind::Tools => {
            named(&label)?;
            let tool = Tool::read(&members, budget).map_err(wrong)?;
            (label, What::Tool(Box::new(tool)))
        }
        Kind::Prompts => {
            named(&label)?;
            let arguments = prompt::arguments(&members).map_err(wrong)?;
            (label, What::Prompt(arguments))
        }
        Kind::Resources => {
            let uri = members.text("uri").ok_or("`uri` is missing, or not a string").map_err(str::to_owned)?;
            uri::check(&uri).map_err(|problem| wrong(format!("`uri` {problem}")))?;
            (uri, What::Resource)
        }
        Kind::ResourceTemplates => {
            let text = members.text("uriTemplate").ok_or("`uriTemplate` is missing, or not a string")?;
            let template = Template::parse(&text).map_err(|problem| wrong(format!("`uriTemplate` {problem}")))?;
            (text, What::Template(template))
        }
    };
    Ok(Entry { name, text: text.get().to_owned(), what })
}

fn named(name: &str) -> Result<(), String> {
    if naming::is_valid(name) { Ok(()) } else { Err("`name` is not 1 to 64 characters of A-Z a-z 0-9 _ . -".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(kind: Kind, entries: &[&str]) -> Entries {
        read(kind, &format!("[{}]", entries.join(","))).unwrap()
    }

    fn check(kind: Kind, entries: &[&str], right: &[&str], problems: &[&str]) {
        let found = list(kind, entries);
        assert_eq!(found.right.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), right);
        assert_eq!(found.problems.len(), problems.len(), "{:?}", found.problems);
        for (found, expected) in found.problems.iter().zip(problems) {
            assert!(found.contains(expected), "{found:?} does not say {expected:?}");
        }
    }

    #[test]
    fn tools_that_are_right_are_offered_and_the_others_are_named() {
        let entries = [
            r#"{"name":"add","inputSchema":{"type":"object"},"x":1.0}"#,
            r#"{"name":"add","inputSchema":{"type":"object"}}"#,
            r#"{"name":"no schema"}"#,
            r#"{"name":"b"}"#,
            r#"{"name":"c","inputSchema":{"type":"nonsense"}}"#,
            r#"{"name":"d","inputSchema":{"type":"object"},"title":null}"#,
            "3",
        ];
        let problems =
            ["\"add\" is there twice", "`name`", "`inputSchema` is missing", "inputSchema", "`title`", "object"];
        check(Kind::Tools, &entries, &["add"], &problems);
        assert!(list(Kind::Tools, &entries).right[0].text.contains("\"x\":1.0"));
    }

    #[test]
    fn resources_have_a_unique_absolute_uri_and_a_name() {
        let entries = [
            r#"{"uri":"file:///a","name":"A"}"#,
            r#"{"uri":"file:///a","name":"B"}"#,
            r#"{"uri":"/a","name":"C"}"#,
            r#"{"uri":"file:///d"}"#,
            r#"{"name":"E"}"#,
        ];
        check(Kind::Resources, &entries, &["file:///a"], &["twice", "\"C\": `uri`", "`name`", "`uri` is missing"]);
    }

    #[test]
    fn templates_are_ones_that_can_be_matched() {
        let entries = [r#"{"uriTemplate":"db://{t}/{id}","name":"row"}"#, r#"{"uriTemplate":"db://{?q}","name":"q"}"#];
        check(Kind::ResourceTemplates, &entries, &["db://{t}/{id}"], &["\"q\": `uriTemplate`"]);
    }

    #[test]
    fn prompts_have_arguments_with_names() {
        let entries = [
            r#"{"name":"p","arguments":[{"name":"a","required":true},{"name":"b"}]}"#,
            r#"{"name":"q","arguments":[{"required":true}]}"#,
            r#"{"name":"r","arguments":{}}"#,
        ];
        check(Kind::Prompts, &entries, &["p"], &["\"q\": `arguments[0]`", "\"r\": `arguments`"]);
    }

    #[test]
    fn a_list_is_an_array_of_bounded_length() {
        assert!(read(Kind::Tools, "{}").is_err());
        let prompts: Vec<String> = (0..10_000).map(|i| format!(r#"{{"name":"t{i}"}}"#)).collect();
        let found = read(Kind::Prompts, &format!("[{}]", prompts.join(","))).unwrap();
        assert_eq!((found.right.len(), found.problems.len()), (MAX_NAMED, 1));
        let resources: Vec<String> = (0..10_000).map(|i| format!(r#"{{"name":"t","uri":"a:{i}"}}"#)).collect();
        let found = read(Kind::Resources, &format!("[{}]", resources.join(","))).unwrap();
        assert_eq!((found.right.len(), found.problems.len()), (MAX_RESOURCES, 1));
    }
}
