//! `calculator`: arithmetic, exactly as precise as f64.

mod functions;
mod parser;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchboard_sdk::Context;

use crate::{number, offline::OfflineTool};

pub(crate) struct Calculator;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The arithmetic expression, for example `2 * (3 + 4)` or `sqrt(2) * 10^3`. Decimal point `.`, no thousands
    /// separators, `*` between all factors, angles in radians.
    #[schemars(length(min = 1, max = 1000), example = &"12.5 * (3 + 4)")]
    expression: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The value of the expression, to 15 significant digits.
    #[schemars(schema_with = "number_schema")]
    result: Value,
}

fn number_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "number" })
}

impl OfflineTool for Calculator {
    const NAME: &'static str = "calculator";
    const TITLE: &'static str = "Calculator";
    const DESCRIPTION: &'static str = "Calculate the value of an arithmetic expression: add, subtract, multiply, divide, \
        powers, roots, logarithms, trigonometry. Use it for any math instead of calculating in your head. Operators: \
        + - * / % (remainder) ^ (power) and parentheses. Functions: sqrt, abs, round(x) or round(x, digits), floor, \
        ceil, min, max, ln, log10, exp, sin, cos, tan. Constants: pi, e. Returns the number.";

    type Arguments = Arguments;
    type Answer = Answer;

    fn call(_ctx: &Context, Arguments { expression }: Arguments) -> Result<(String, Answer), String> {
        calculate(&expression)
    }
}

fn calculate(expression: &str) -> Result<(String, Answer), String> {
    let value = parser::evaluate(expression).map_err(|fault| fault.to_string())?;
    Ok((number::text(value), Answer { result: number::json(value) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_and_the_number_say_the_same() {
        let (text, answer) = calculate("0.1 + 0.2").unwrap();
        assert_eq!((text.as_str(), answer.result.to_string().as_str()), ("0.3", "0.3"));
        let (text, answer) = calculate("2^10").unwrap();
        assert_eq!((text.as_str(), answer.result.to_string().as_str()), ("1024", "1024"));
    }
}
