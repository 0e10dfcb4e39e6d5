//! How much work a schema can make of one value, found out before it is used: a schema comes from a plugin, and the
//! value from a client, so that together they could keep a thread of the host busy for years. Two subschemas that
//! refer to the next one twice each are enough, thirty times over.
//!
//! Counted is how many subschemas can look at one place in a value: those of `allOf`, `anyOf`, `oneOf`, `$ref` and
//! the like add up, and what is below a property or an item is counted again for each way that leads there. A schema
//! that refers to itself further down costs no more for it, as long as there is one such way: a tree of nodes is fine,
//! and a choice between twenty kinds of nodes, each with children of any kind, is not.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// Subschemas that may look at one place of a value. Far more than schemas that people write have, and with the
/// largest message still a matter of seconds.
const MAX_STEPS: u64 = 10_000;

/// Subschemas in all.
const MAX_SCHEMAS: usize = 10_000;

/// How deep a value can be: the JSON parser gives up at 128 levels.
const LEVELS: usize = 128;

/// Subschemas that are looked at to know what a schema costs, each of them again for each level of a value: a second
/// or less. A hundred kinds of nodes that hold each other need a tenth of it.
const MAX_EFFORT: u64 = 500_000;

/// Subschemas within or behind each other.
const MAX_NESTING: usize = 256;

/// To know what is left over, siblings are asked again, once for each member.
const UNEVALUATED: u64 = 64;

/// Keywords whose schema, or schemas, look at the same value.
const SAME_VALUE: [&str; 10] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies", "contentSchema"];

/// Keywords of which one alone looks at a member: by name, or because no other one did.
const ONE_MEMBER: [&str; 3] = ["properties", "additionalProperties", "unevaluatedProperties"];
const ONE_ITEM: [&str; 4] = ["prefixItems", "items", "additionalItems", "unevaluatedItems"];

/// Keywords that look at a member or an item in addition.
const EVERY_MEMBER: [&str; 2] = ["patternProperties", "propertyNames"];
const EVERY_ITEM: [&str; 1] = ["contains"];

/// Keywords that hold schemas by name.
const BY_NAME: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "dependencies"];

/// Keywords that refer to another schema. The last two depend on how a schema was come to, but only where one has an
/// `$id` of its own, and such are refused.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// Keywords that give a schema a name to refer to it by.
const ANCHORS: [&str; 2] = ["$anchor", "$dynamicAnchor"];

/// What a schema costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// Subschemas that look at one place of a value, at most.
    pub steps: u64,
    /// How much work it was to find that out.
    pub effort: u64,
}

/// What a schema costs. Refuses a schema that can take too long, or whose cost
/// cannot be told.
pub(super) fn check(document: &Value) -> Result<Cost, String> {
    let mut survey = Survey::new(document);
    survey.collect_anchors(document);
    survey.collect(document)?;
    // From the bottom up, so that what is further down is known already.
    let targets = survey.targets.clone();
    for level in 0..LEVELS {
        for target in &targets {
            survey.steps(target, level, 0)?;
        }
        if survey.is_settled(&targets, level) {
            break;
        }
    }
    let steps = survey.steps(document, LEVELS, 0)?;
    Ok(Cost { steps, effort: survey.effort })
}

/// What a reference within the document leads to.
fn resolve<'a>(document: &'a Value, anchors: &Anchors<'a>, reference: &str) -> Result<&'a Value, String> {
    let refused = || format!("the reference {reference:?} is none within the schema, such as `#/$defs/name`");
    let pointer = reference.strip_prefix('#').filter(|pointer| !pointer.contains('%')).ok_or_else(refused)?;
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return match anchors.get(pointer).map(Vec::as_slice) {
            Some([one]) => Ok(*one),
            Some(_) => Err(format!("the anchor {pointer:?} is there more than once")),
            None => Err(format!("the reference {reference:?} leads nowhere")),
        };
    }
    let mut part = document;
    for (depth, token) in pointer.split('/').skip(1).enumerate() {
        if depth > 0 && has_own_name(part) {
            return Err(format!("`$id` stands on the way of the reference {reference:?}"));
        }
        let token = token.replace("~1", "/").replace("~0", "~");
        let next = match part {
            Value::Object(members) => members.get(&token),
            Value::Array(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        part = next.ok_or_else(|| format!("the reference {reference:?} leads nowhere"))?;
    }
    Ok(part)
}

/// Whether references below it are relative to itself.
fn has_own_name(part: &Value) -> bool {
    ["$id", "id"].iter().any(|name| part.get(name).is_some_and(Value::is_string))
}

/// The schemas under a keyword: one, or several in an array or by name.
fn schemas<'a>(members: &'a Map<String, Value>, keyword: &str) -> Vec<&'a Value> {
    match members.get(keyword) {
        Some(Value::Object(named)) if BY_NAME.contains(&keyword) => named.values().collect(),
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

/// What has a name, by that.
type Anchors<'a> = HashMap<&'a str, Vec<&'a Value>>;

struct Survey<'a> {
    document: &'a Value,
    anchors: Anchors<'a>,
    /// What is referred to.
    targets: Vec<&'a Value>,
    is_target: HashSet<*const Value>,
    objects: usize,
    effort: u64,
    /// Of each target, by how many levels of a value are below.
    known: HashMap<(*const Value, usize), u64>,
    under_way: HashSet<*const Value>,
}

impl<'a> Survey<'a> {
    fn new(document: &'a Value) -> Self {
        Self {
            document,
            anchors: Anchors::new(),
            targets: Vec::new(),
            is_target: HashSet::new(),
            objects: 0,
            effort: 0,
            known: HashMap::new(),
            under_way: HashSet::new(),
        }
    }

    /// Also where they are part of an example: then two have one name, and a reference to it is refused.
    fn collect_anchors(&mut self, part: &'a Value) {
        match part {
            Value::Object(members) => {
                for name in ANCHORS.iter().filter_map(|keyword| members.get(*keyword)?.as_str()) {
                    self.anchors.entry(name).or_default().push(part);
                }
                members.values().for_each(|member| self.collect_anchors(member));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect_anchors(item)),
            _ => {}
        }
    }

    fn collect(&mut self, part: &'a Value) -> Result<(), String> {
        match part {
            Value::Object(members) => {
                self.objects += 1;
                if self.objects > MAX_SCHEMAS {
                    return Err(format!("it has more than {MAX_SCHEMAS} parts"));
                }
                // One that leads nowhere may be part of an example; where it counts, it is refused later.
                for reference in REFERENCES.iter().filter_map(|keyword| members.get(*keyword)?.as_str()) {
                    if let Ok(target) = resolve(self.document, &self.anchors, reference)
                        && self.is_target.insert(target)
                    {
                        self.targets.push(target);
                    }
                }
                members.values().try_for_each(|member| self.collect(member))
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.collect(item)),
            _ => Ok(()),
        }
    }

    /// Whether more levels make no difference any more.
    fn is_settled(&mut self, targets: &[&'a Value], level: usize) -> bool {
        let at = |level: usize, target: &Value| self.known.get(&(std::ptr::from_ref(target), level)).copied();
        let settled = level > 0 && targets.iter().all(|target| at(level, target) == at(level - 1, target));
        if settled {
            let last: Vec<_> = targets.iter().filter_map(|target| Some((*target, at(level, target)?))).collect();
            for (target, steps) in last {
                self.known.extend((level..=LEVELS).map(|level| ((std::ptr::from_ref(target), level), steps)));
            }
        }
        settled
    }

    /// How many subschemas look at one place of a value with so many levels.
    fn steps(&mut self, schema: &'a Value, levels: usize, nesting: usize) -> Result<u64, String> {
        let Value::Object(members) = schema else { return Ok(1) };
        self.effort += 1;
        if self.effort > MAX_EFFORT {
            return Err("its parts refer to each other in so many ways that nobody can tell what it costs".into());
        }
        if nesting > MAX_NESTING {
            return Err(format!("more than {MAX_NESTING} of its parts stand behind each other"));
        }
        if has_own_name(schema) && !std::ptr::eq(schema, self.document) {
            return Err("a part of it has an `$id` of its own".into());
        }
        let key = std::ptr::from_ref(schema);
        if let Some(steps) = self.known.get(&(key, levels)) {
            return Ok(*steps);
        }
        let is_target = self.is_target.contains(&key);
        if is_target && !self.under_way.insert(key) {
            return Err("it refers to itself in a circle, without going down into the value".into());
        }
        let same = self.same_value(members, levels, nesting)?;
        if is_target {
            self.under_way.remove(&key);
        }
        let below = levels.checked_sub(1).map_or(Ok(0), |below| self.below(members, below, nesting))?;
        let steps = same.saturating_add(below);
        if steps > MAX_STEPS {
            return Err(format!(
                "it can take more than {MAX_STEPS} steps for one value, because each choice and each reference multiplies them"
            ));
        }
        if is_target {
            self.known.insert((key, levels), steps);
        }
        Ok(steps)
    }

    fn same_value(&mut self, members: &'a Map<String, Value>, levels: usize, nesting: usize) -> Result<u64, String> {
        let mut steps = 1_u64;
        for keyword in SAME_VALUE {
            steps = steps.saturating_add(self.sum(members, keyword, levels, nesting)?);
        }
        for reference in REFERENCES.iter().filter_map(|keyword| members.get(*keyword)?.as_str()) {
            let target = resolve(self.document, &self.anchors, reference)?;
            steps = steps.saturating_add(self.steps(target, levels, nesting + 1)?);
        }
        let asks_again = members.contains_key("unevaluatedProperties") || members.contains_key("unevaluatedItems");
        Ok(if asks_again && steps > 1 { steps.saturating_mul(UNEVALUATED) } else { steps })
    }

    /// A value is an object or an array, and a member has one name.
    fn below(&mut self, members: &'a Map<String, Value>, levels: usize, nesting: usize) -> Result<u64, String> {
        let of_object = self.of_child(members, &ONE_MEMBER, &EVERY_MEMBER, levels, nesting)?;
        let of_array = self.of_child(members, &ONE_ITEM, &EVERY_ITEM, levels, nesting)?;
        Ok(of_object.max(of_array))
    }

    fn of_child(
        &mut self,
        members: &'a Map<String, Value>,
        one: &[&str],
        every: &[&str],
        levels: usize,
        nesting: usize,
    ) -> Result<u64, String> {
        let mut steps = 0_u64;
        for schema in one.iter().flat_map(|keyword| schemas(members, keyword)) {
            steps = steps.max(self.steps(schema, levels, nesting + 1)?);
        }
        for keyword in every {
            steps = steps.saturating_add(self.sum(members, keyword, levels, nesting)?);
        }
        Ok(steps)
    }

    fn sum(
        &mut self,
        members: &'a Map<String, Value>,
        keyword: &str,
        levels: usize,
        nesting: usize,
    ) -> Result<u64, String> {
        let mut sum = 0_u64;
        for schema in schemas(members, keyword) {
            sum = sum.saturating_add(self.steps(schema, levels, nesting + 1)?);
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(document: Value) -> String {
        check(&document).expect_err(&document.to_string())
    }

    /// A chain of definitions, each made from a reference to the next one.
    fn chain(length: usize, link: impl Fn(Value) -> Value) -> Value {
        let mut definitions = Map::new();
        for number in 0..length {
            definitions.insert(format!("s{number}"), link(json!({ "$ref": format!("#/$defs/s{}", number + 1) })));
        }
        definitions.insert(format!("s{length}"), json!({ "type": "object" }));
        json!({ "$ref": "#/$defs/s0", "$defs": definitions })
    }

    #[test]
    fn schemas_that_people_write_are_cheap() {
        let node = json!({ "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/node" }] });
        for document in [
            json!(true),
            json!({ "type": "object", "properties": { "id": { "type": "string" } }, "additionalProperties": false }),
            json!({ "$defs": { "node": { "properties": { "left": node, "right": node, "all": { "items": node } } } }, "$ref": "#/$defs/node" }),
            json!({ "properties": { "children": { "type": "array", "items": { "$ref": "#" } } } }),
            json!({ "items": { "type": ["string", "array"], "items": { "$ref": "#/items" } } }),
            json!({ "properties": { "a": { "oneOf": [{ "const": 1 }, { "enum": [{ "$ref": "#/nowhere" }] }] } }, "unevaluatedProperties": false }),
            chain(100, |next| json!({ "properties": { "next": next } })),
            chain(100, |next| next),
            json!({ "properties": { "a": { "$ref": "#a" } }, "$defs": { "a": { "$anchor": "a" } } }),
            json!({ "$dynamicAnchor": "node", "properties": { "children": { "items": { "$dynamicRef": "#node" } } } }),
            json!({ "$recursiveAnchor": true, "properties": { "next": { "$recursiveRef": "#" } } }),
        ] {
            assert!(check(&document).is_ok(), "{document}: {:?}", check(&document));
        }
    }

    #[test]
    fn what_doubles_is_refused_whether_it_goes_down_or_not() {
        for document in [
            chain(30, |next| json!({ "allOf": [next, next] })),
            chain(30, |next| json!({ "anyOf": [next, { "not": next }] })),
            chain(30, |next| json!({ "$ref": next["$ref"], "if": next })),
            chain(
                30,
                |next| json!({ "allOf": [{ "properties": { "a": next } }, { "patternProperties": { ".": next } }] }),
            ),
            chain(5, |next| json!({ "allOf": [{ "properties": { "a": next } }], "unevaluatedProperties": false })),
            json!({ "items": { "allOf": [{ "$ref": "#" }, { "$ref": "#" }] } }),
            json!({ "prefixItems": [{ "$ref": "#" }], "contains": { "$ref": "#" } }),
            json!({ "oneOf": [{ "properties": { "a": { "$ref": "#" } } }, { "properties": { "b": { "$ref": "#" } } }] }),
            json!({ "allOf": vec![true; 20_000] }),
        ] {
            assert!(problem(document).contains("10000 steps"));
        }
    }

    #[test]
    fn to_know_what_a_schema_costs_does_not_cost_much_itself() {
        let web = |count: usize| {
            let node = |number: usize| {
                let member =
                    |k: usize| (k.to_string(), json!({ "$ref": format!("#/$defs/{}", (7 * number + k) % count) }));
                json!({ "properties": (0..3).map(member).collect::<Map<_, _>>() })
            };
            let nodes: Map<String, Value> = (0..count).map(|number| (number.to_string(), node(number))).collect();
            json!({ "$ref": "#/$defs/0", "$defs": nodes })
        };
        assert!(check(&web(100)).is_ok_and(|cost| cost.effort < MAX_EFFORT / 5));
        assert!(problem(web(1_500)).contains("so many ways"));
    }

    #[test]
    fn circles_and_references_that_cannot_be_followed_are_refused() {
        assert!(problem(json!({ "$ref": "#" })).contains("circle"));
        let two = json!({ "a": { "anyOf": [{ "$ref": "#/$defs/b" }] }, "b": { "not": { "$ref": "#/$defs/a" } } });
        assert!(problem(json!({ "$ref": "#/$defs/a", "$defs": two })).contains("circle"));
        assert!(problem(json!({ "$ref": "#anchor" })).contains("leads nowhere"));
        let twice = json!({ "a": { "$anchor": "x" }, "b": { "const": { "$dynamicAnchor": "x" } } });
        assert!(problem(json!({ "$ref": "#x", "$defs": twice })).contains("more than once"));
        assert!(problem(json!({ "$anchor": "x", "allOf": [{ "$dynamicRef": "#x" }] })).contains("circle"));
        assert!(problem(json!({ "$ref": "#/%24defs/a", "$defs": { "a": true } })).contains("none within"));
        assert!(problem(json!({ "$ref": "#/$defs/b" })).contains("leads nowhere"));
        assert!(problem(json!({ "$dynamicRef": "#" })).contains("circle"));
        let named = json!({ "a": { "$id": "http://elsewhere/", "$ref": "#/x" } });
        assert!(problem(json!({ "properties": named })).contains("`$id`"));
        let behind = json!({ "a": { "$id": "http://elsewhere/", "b": {} } });
        assert!(problem(json!({ "$ref": "#/$defs/a/b", "$defs": behind })).contains("`$id`"));
        assert!(problem(chain(300, |next| next)).contains("behind each other"));
        assert!(problem(json!({ "enum": vec![json!({}); 20_000] })).contains("parts"));
    }
}
