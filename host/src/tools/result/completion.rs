//! What could complete an argument, cut to what clients take.

use serde_json::{json, value::RawValue};

use super::content::array;
use crate::plugin::json_object::Members;

/// As MCP has it (revision 2026-07-28, `CompleteResult`).
const MAX_VALUES: usize = 100;

/// Checks what a plugin gave. With more values than may be, the first of them, and the word that there are more.
pub(in crate::tools) fn completed(text: &str) -> Result<String, String> {
    let members = Members::parse(text)?;
    let values = array(&members, "values")?;
    if let Some(index) = values.iter().position(|value| !value.get().starts_with('"')) {
        return Err(format!("`values[{index}]` is not a string"));
    }
    if let Some(total) = members.get("total")
        && total.get().parse::<u64>().is_err()
    {
        return Err("`total` is not a whole number".into());
    }
    if members.get("hasMore").is_some_and(|more| !matches!(more.get(), "true" | "false")) {
        return Err("`hasMore` is not true or false".into());
    }
    if values.len() <= MAX_VALUES {
        return Ok(text.to_owned());
    }
    let first: Vec<&str> = values.iter().take(MAX_VALUES).map(|value| RawValue::get(value)).collect();
    let total = members.get("total").map_or_else(|| values.len().to_string(), |total| total.get().to_owned());
    let total: serde_json::Value = serde_json::from_str(&total).map_err(|fault| fault.to_string())?;
    let rest = Members(members.0.into_iter().filter(|(name, _)| name != "values").collect());
    let shortened = rest.with(&[("hasMore", json!(true)), ("total", total)]);
    // What follows the opening brace has at least the two members.
    Ok(format!("{{\"values\":[{}],{}", first.join(","), shortened.strip_prefix('{').unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_hundred_values_are_enough() {
        let values = |count: usize| (0..count).map(|i| i.to_string()).collect::<Vec<_>>();
        let few = json!({ "values": values(100), "total": 7 }).to_string();
        assert_eq!(completed(&few), Ok(few.clone()));
        let many = json!({ "values": values(250), "hasMore": false, "x": 1.5 }).to_string();
        let cut: Value = serde_json::from_str(&completed(&many).unwrap()).unwrap();
        assert_eq!(cut["values"].as_array().unwrap().len(), 100);
        assert_eq!((&cut["hasMore"], &cut["total"], &cut["x"]), (&json!(true), &json!(250), &json!(1.5)));
    }

    #[test]
    fn what_is_no_completion_is_refused() {
        for wrong in [
            json!([]),
            json!({}),
            json!({ "values": [1] }),
            json!({ "values": [], "total": -1 }),
            json!({ "values": [], "hasMore": 1 }),
        ] {
            assert!(completed(&wrong.to_string()).is_err(), "{wrong}");
        }
    }
}
