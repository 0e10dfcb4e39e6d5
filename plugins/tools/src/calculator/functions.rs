//! The functions and constants of the calculator, in one table.

use std::f64::consts;

use crate::number;

const CONSTANTS: [(&str, f64); 2] = [("pi", consts::PI), ("e", consts::E)];

/// No f64 has more decimal places that mean anything.
const MAX_ROUND_DIGITS: f64 = 15.0;

enum Function {
    One(fn(f64) -> f64),
    /// `round`, with an optional number of digits.
    Round,
    /// At least one argument, reduced from the left.
    Many(fn(f64, f64) -> f64),
}

const FUNCTIONS: [(&str, Function); 13] = [
    ("sqrt", Function::One(f64::sqrt)),
    ("abs", Function::One(f64::abs)),
    ("round", Function::Round),
    ("floor", Function::One(f64::floor)),
    ("ceil", Function::One(f64::ceil)),
    ("min", Function::Many(f64::min)),
    ("max", Function::Many(f64::max)),
    ("ln", Function::One(f64::ln)),
    ("log10", Function::One(f64::log10)),
    ("exp", Function::One(f64::exp)),
    ("sin", Function::One(f64::sin)),
    ("cos", Function::One(f64::cos)),
    ("tan", Function::One(f64::tan)),
];

pub(super) fn constant(name: &str) -> Option<f64> {
    CONSTANTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

pub(super) fn exists(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, _)| *known == name)
}

/// All names, for somebody who used another.
pub(super) fn known() -> String {
    let functions = FUNCTIONS.iter().map(|(name, _)| *name);
    functions.chain(CONSTANTS.iter().map(|(name, _)| *name)).collect::<Vec<_>>().join(", ")
}

/// The error says what is wrong with the arguments.
pub(super) fn apply(name: &str, arguments: &[f64]) -> Result<f64, String> {
    let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
        return Err(format!("`{name}` is not a function"));
    };
    match (function, arguments) {
        (Function::One(function), &[x]) => real(name, x, function(x)),
        (Function::Round, &[x]) => Ok(x.round()),
        (Function::Round, &[x, digits]) => round(x, digits),
        (Function::Many(function), &[first, ref rest @ ..]) => Ok(rest.iter().copied().fold(first, function)),
        (Function::Round, _) => Err(format!("round takes 1 or 2 arguments, not {}", arguments.len())),
        _ => Err(format!("{name} takes 1 argument, not {}", arguments.len())),
    }
}

/// Refuses what lies outside a function's domain. ln(0) is an infinity, not NaN.
fn real(name: &str, x: f64, value: f64) -> Result<f64, String> {
    if value.is_nan() || value == f64::NEG_INFINITY {
        return Err(format!("{name}({}) is not a real number", number::text(x)));
    }
    Ok(value)
}

fn round(x: f64, digits: f64) -> Result<f64, String> {
    if digits.fract() != 0.0 || !(0.0..=MAX_ROUND_DIGITS).contains(&digits) {
        return Err(format!("the digits of round are a whole number from 0 to {MAX_ROUND_DIGITS}"));
    }
    let scaled = x * 10_f64.powf(digits);
    // Too large to have any decimal places.
    if !scaled.is_finite() {
        return Ok(x);
    }
    // 2.675 is a little less than that in binary; what people mean by rounding it to 2 digits is 2.68.
    Ok(number::tidy(scaled).round() / 10_f64.powf(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_that_of_decimal_numbers() {
        assert_eq!(apply("round", &[2.675, 2.0]), Ok(2.68));
        assert_eq!(apply("round", &[1e300, 15.0]), Ok(1e300));
        assert!(apply("round", &[1.0, 1.5]).unwrap_err().contains("whole number"));
    }

    #[test]
    fn arguments_are_counted_and_domains_respected() {
        assert_eq!(apply("sqrt", &[1.0, 2.0]).unwrap_err(), "sqrt takes 1 argument, not 2");
        assert_eq!(apply("round", &[1.0, 2.0, 3.0]).unwrap_err(), "round takes 1 or 2 arguments, not 3");
        assert_eq!(apply("ln", &[0.0]).unwrap_err(), "ln(0) is not a real number");
    }
}
