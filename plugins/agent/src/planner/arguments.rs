//! Fills a tool's parameters from what a request holds, by each parameter's type, name and description.

use serde_json::{Map, Value, json};

use super::facts::Facts;

/// What a parameter is worth that was filled with something made for it: an expression, a date, a unit ... Enough
/// to choose a tool even if it shares no word with the request: "2 + 3".
const STRONG: u32 = super::LEAST_SCORE;
/// ... with something that its name asks for ...
const FAIR: u32 = 2;
/// ... with something that happens to have its type.
const WEAK: u32 = 0;

/// Arguments, how much they speak for the tool, and which required ones are missing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Filled {
    pub arguments: Map<String, Value>,
    pub evidence: u32,
    pub missing: Vec<String>,
}

/// Fills what can be filled; each fact is used once.
pub(super) fn fill(schema: &Value, facts: &Facts) -> Filled {
    let mut filler = Filler { facts, numbers: 0, dates: 0, quotations: 0 };
    let mut filled = Filled::default();
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // In the order of `required`, which is that of the author: `from` before `to`.
    for name in &required {
        let property = &schema["properties"][*name];
        match filler.value(name, property, true) {
            Some((value, worth)) => filled.add(name, value, worth),
            None => filled.missing.push(format!("`{name}`")),
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if !required.contains(&name.as_str())
            && let Some((value, worth)) = filler.value(name, property, false)
        {
            filled.add(name, value, worth);
        }
    }
    filled
}

impl Filled {
    fn add(&mut self, name: &str, value: Value, worth: u32) {
        self.arguments.insert(name.to_owned(), value);
        self.evidence += worth;
    }
}

struct Filler<'a> {
    facts: &'a Facts,
    numbers: usize,
    dates: usize,
    quotations: usize,
}

impl Filler<'_> {
    fn value(&mut self, name: &str, property: &Value, required: bool) -> Option<(Value, u32)> {
        if let Some(value) = self.facts.assigned.get(name) {
            return Some((value.clone(), STRONG));
        }
        if let Some(choices) = property["enum"].as_array() {
            return self.chosen(choices);
        }
        match kind_of(property) {
            "number" | "integer" => self.number(name, kind_of(property) == "integer", required),
            "string" => self.string(name, property, required),
            "boolean" => None,
            _ => self.facts.json.clone().map(|value| (value, STRONG)),
        }
    }

    /// The first of the choices that the request names.
    fn chosen(&self, choices: &[Value]) -> Option<(Value, u32)> {
        let text = self.facts.text.to_lowercase();
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        let named =
            |word: &str| choices.iter().find(|choice| choice.as_str().is_some_and(|c| c.to_lowercase() == word));
        words.find_map(named).map(|choice| (choice.clone(), FAIR))
    }

    fn number(&mut self, name: &str, integer: bool, required: bool) -> Option<(Value, u32)> {
        if let Some(count) = self.facts.spans.get(name) {
            return Some((json!(count), FAIR));
        }
        if required && let Some(conversion) = &self.facts.conversion {
            return Some((json!(conversion.value), WEAK));
        }
        if !required {
            return None;
        }
        let number = *self.facts.numbers.get(self.numbers)?;
        self.numbers += 1;
        let whole = number.fract() == 0.0 && number.abs() < 9e15;
        // Safe: it is whole, and within what both types hold exactly.
        let value = if whole { json!(number as i64) } else { json!(number) };
        (whole || !integer).then_some((value, WEAK))
    }

    fn string(&mut self, name: &str, property: &Value, required: bool) -> Option<(Value, u32)> {
        let about = format!("{name} {}", property["description"].as_str().unwrap_or_default()).to_lowercase();
        let is = |words: &[&str]| words.iter().any(|word| about.contains(word));
        let format = property["format"].as_str().unwrap_or_default();
        let facts = self.facts;
        let strong = |text: &String| (Value::from(text.as_str()), STRONG);
        if is(&["offset"]) {
            return facts.offset.as_ref().map(strong);
        }
        if is(&["expression", "formula"]) {
            return facts.expression.as_ref().map(strong);
        }
        if is(&["unit"]) {
            let conversion = facts.conversion.as_ref()?;
            let target = matches!(name, "to" | "target" | "to_unit");
            return Some(strong(if target { &conversion.to } else { &conversion.from }));
        }
        if matches!(format, "date" | "date-time") || is(&["date", "rfc 3339"]) {
            let date = facts.dates.get(self.dates)?;
            self.dates += 1;
            return Some(strong(date));
        }
        if is(&["query", "pointer", "jsonpath"])
            && let Some(query) = &facts.query
        {
            return Some(strong(query));
        }
        if required { self.text() } else { None }
    }

    /// A quotation, or what comes after a colon.
    fn text(&mut self) -> Option<(Value, u32)> {
        if let Some(text) = self.facts.quotations.get(self.quotations) {
            self.quotations += 1;
            return Some((text.as_str().into(), FAIR));
        }
        self.facts.after_colon.as_deref().map(|text| (text.into(), WEAK))
    }
}

/// The type that a property wants, of several the first that is not `null`.
fn kind_of(property: &Value) -> &str {
    match &property["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("any"),
        _ => "any",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::facts::days_around, *};

    fn filled(schema: Value, request: &str) -> Filled {
        fill(&schema, &Facts::of(request, &days_around(0)))
    }

    #[test]
    fn numbers_and_texts_are_taken_in_order() {
        let schema = json!({
            "properties": { "a": { "type": "number" }, "b": { "type": "integer" }, "who": { "type": "string" } },
            "required": ["a", "b", "who"],
        });
        let found = filled(schema.clone(), "take 1.5 and 2 for \"Ada\"");
        assert_eq!(Value::Object(found.arguments), json!({ "a": 1.5, "b": 2, "who": "Ada" }));
        assert_eq!(filled(schema, "take 1.5").missing, ["`b`", "`who`"]);
    }

    #[test]
    fn a_choice_is_made_only_from_what_is_offered() {
        let schema = json!({ "properties": { "mood": { "enum": ["Happy", "sad"] } }, "required": ["mood"] });
        assert_eq!(filled(schema.clone(), "be happy!").arguments["mood"], "Happy");
        assert_eq!(filled(schema, "be angry").missing, ["`mood`"]);
    }

    #[test]
    fn what_is_optional_is_left_out_unless_it_is_meant() {
        let schema = json!({ "properties": { "limit": { "type": "integer" }, "days": { "type": "integer" } } });
        assert_eq!(Value::Object(filled(schema.clone(), "5 apples").arguments), json!({}));
        assert_eq!(Value::Object(filled(schema, "in 5 days limit=3").arguments), json!({ "days": 5, "limit": 3 }));
    }
}
