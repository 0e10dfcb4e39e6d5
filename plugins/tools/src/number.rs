//! Numbers as people want to read them: 0.3 rather than 0.30000000000000004, 4 rather than 4.0.

use serde_json::Value;

/// Up to here every whole number has an f64 of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Beyond these a number is easier to read as 1.5e20 than with all its zeros.
const PLAIN: std::ops::Range<f64> = 1e-6..1e16;

/// The nearest number of 15 significant digits, as many as an f64 keeps of every decimal number: what lies behind
/// them is the error of binary arithmetic.
pub(crate) fn tidy(number: f64) -> f64 {
    if is_exact_integer(number) {
        return number;
    }
    format!("{number:.14e}").parse().unwrap_or(number)
}

/// Tidy, as text.
pub(crate) fn text(number: f64) -> String {
    let number = tidy(number);
    // An f64 has a zero below zero, which nobody means.
    if number == 0.0 {
        "0".to_owned()
    } else if PLAIN.contains(&number.abs()) {
        number.to_string()
    } else {
        format!("{number:e}")
    }
}

/// Tidy, as JSON, whole numbers without a decimal point. `null` if it is not finite.
pub(crate) fn json(number: f64) -> Value {
    let number = tidy(number);
    if is_exact_integer(number) { (number as i64).into() } else { number.into() }
}

fn is_exact_integer(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() <= EXACT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_noise_goes_and_digits_that_count_stay() {
        assert_eq!(text(0.1 + 0.2), "0.3");
        assert_eq!(text(1.0 / 3.0), "0.333333333333333");
        assert_eq!(text(EXACT), "9007199254740992");
        assert_eq!(text(-0.0), "0");
    }

    #[test]
    fn very_large_and_very_small_numbers_have_an_exponent() {
        assert_eq!(text(1.5e20), "1.5e20");
        assert_eq!(text(-2e-9), "-2e-9");
    }

    #[test]
    fn whole_numbers_are_whole_in_json() {
        assert_eq!(json(4.0).to_string(), "4");
        assert_eq!(json(-0.0).to_string(), "0");
        assert_eq!(json(0.1 + 0.2).to_string(), "0.3");
    }
}
