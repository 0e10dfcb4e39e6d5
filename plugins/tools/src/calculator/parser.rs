//! A recursive descent over the expression that calculates as it goes.
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = signed { ("*" | "/" | "%") signed }
//! signed  = ("-" | "+") signed | power
//! power   = primary [ ("^" | "**") signed ]        from the right; -2^2 is -(2^2)
//! primary = number | constant | function "(" sum { "," sum } ")" | "(" sum ")"
//! ```
//!
//! Every value on the way is finite: what is not is a fault at the position where it arose.

use std::fmt;

use super::functions;
use crate::number;

/// Nesting deep enough for people, and shallow enough for a stack of 64 KiB.
const MAX_DEPTH: usize = 64;

/// What is wrong, and where.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    /// Counted in characters, from 1.
    position: usize,
    problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at position {}: {}", self.position, self.problem)
    }
}

pub(super) fn evaluate(expression: &str) -> Result<f64, Fault> {
    let mut parser = Parser { characters: expression.chars().collect(), at: 0, depth: 0 };
    let value = parser.sum()?;
    match parser.peek() {
        None => Ok(value),
        Some(')') => Err(parser.fault_here("this `)` closes nothing")),
        Some(_) => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    characters: Vec<char>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn sum(&mut self) -> Result<f64, Fault> {
        let mut value = self.product()?;
        loop {
            let operator = self.after_space();
            if self.take("+") {
                value = finite(operator, value + self.product()?)?;
            } else if self.take("-") {
                value = finite(operator, value - self.product()?)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn product(&mut self) -> Result<f64, Fault> {
        let mut value = self.signed()?;
        loop {
            let operator = self.after_space();
            if self.take("*") {
                value = finite(operator, value * self.signed()?)?;
            } else if self.take("/") {
                value = finite(operator, value / self.divisor(operator)?)?;
            } else if self.take("%") {
                value = finite(operator, value % self.divisor(operator)?)?;
            } else {
                return Ok(value);
            }
        }
    }

    fn divisor(&mut self, operator: usize) -> Result<f64, Fault> {
        match self.signed()? {
            0.0 => Err(fault(operator, "division by zero")),
            divisor => Ok(divisor),
        }
    }

    fn signed(&mut self) -> Result<f64, Fault> {
        self.deeper(|parser| {
            if parser.take("-") {
                Ok(-parser.signed()?)
            } else if parser.take("+") {
                parser.signed()
            } else {
                parser.power()
            }
        })
    }

    fn power(&mut self) -> Result<f64, Fault> {
        let base = self.primary()?;
        let operator = self.after_space();
        if !self.take("**") && !self.take("^") {
            return Ok(base);
        }
        let exponent = self.signed()?;
        let value = base.powf(exponent);
        if value.is_nan() {
            let (base, exponent) = (number::text(base), number::text(exponent));
            return Err(fault(operator, format!("({base})^({exponent}) is not a real number")));
        }
        finite(operator, value)
    }

    fn primary(&mut self) -> Result<f64, Fault> {
        let start = self.after_space();
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let value = self.sum()?;
                self.closing(start)?;
                Ok(value)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(start),
            Some(c) if c.is_alphabetic() => self.name(start),
            _ => Err(self.unexpected("a number, a function, a constant or `(`")),
        }
    }

    fn number(&mut self, start: usize) -> Result<f64, Fault> {
        self.skip(|c| c.is_ascii_digit() || c == '.');
        // `2e` is not a number, but `2e3` and `2e-3` are.
        let mark = self.at;
        if matches!(self.characters.get(self.at), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.characters.get(self.at), Some('+' | '-')) {
                self.at += 1;
            }
            if !self.characters.get(self.at).is_some_and(char::is_ascii_digit) {
                self.at = mark;
            }
            self.skip(|c| c.is_ascii_digit());
        }
        let text = self.text_from(start);
        match text.parse::<f64>() {
            Ok(value) => finite(start, value),
            Err(_) => Err(fault(start, format!("`{text}` is not a number"))),
        }
    }

    fn name(&mut self, start: usize) -> Result<f64, Fault> {
        self.skip(char::is_alphanumeric);
        let name = self.text_from(start).to_lowercase();
        let called = self.peek() == Some('(');
        match functions::constant(&name) {
            Some(value) if !called => return Ok(value),
            Some(_) => return Err(fault(start, format!("`{name}` is a constant; write `{name} * (`"))),
            None if !functions::exists(&name) => {
                let known = functions::known();
                return Err(fault(start, format!("`{name}` is not known; functions and constants are {known}")));
            }
            None if !called => return Err(fault(start, format!("`{name}` is a function; write `{name}(...)`"))),
            None => {}
        }
        let arguments = self.arguments()?;
        let value = functions::apply(&name, &arguments).map_err(|problem| fault(start, problem))?;
        finite(start, value)
    }

    fn arguments(&mut self) -> Result<Vec<f64>, Fault> {
        let start = self.after_space();
        self.at += 1;
        let mut arguments = vec![self.sum()?];
        while self.take(",") {
            arguments.push(self.sum()?);
        }
        self.closing(start)?;
        Ok(arguments)
    }

    fn closing(&mut self, opened: usize) -> Result<(), Fault> {
        if self.take(")") {
            Ok(())
        } else if self.peek().is_none() {
            Err(fault(opened, "this `(` is never closed"))
        } else {
            Err(self.unexpected("an operator or `)`"))
        }
    }

    /// Counts the nesting around `inner`. All recursion passes through here, since every cycle of the grammar
    /// passes through `signed`.
    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Result<f64, Fault>) -> Result<f64, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault_here(&format!("nested deeper than {MAX_DEPTH} levels; split the expression")));
        }
        self.depth += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    /// The position of the next character that is no space.
    fn after_space(&mut self) -> usize {
        self.skip(char::is_whitespace);
        self.at
    }

    fn peek(&mut self) -> Option<char> {
        let at = self.after_space();
        self.characters.get(at).copied()
    }

    fn take(&mut self, symbol: &str) -> bool {
        let at = self.after_space();
        let found = symbol.chars().enumerate().all(|(i, c)| self.characters.get(at + i) == Some(&c));
        if found {
            self.at += symbol.chars().count();
        }
        found
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.characters.get(self.at).is_some_and(|&c| wanted(c)) {
            self.at += 1;
        }
    }

    fn text_from(&self, start: usize) -> String {
        self.characters.get(start..self.at).unwrap_or_default().iter().collect()
    }

    fn unexpected(&mut self, expected: &str) -> Fault {
        let found = self.peek().map_or("the expression ends".to_owned(), |c| format!("found `{c}`"));
        self.fault_here(&format!("expected {expected}, but {found}"))
    }

    fn fault_here(&self, problem: &str) -> Fault {
        fault(self.at, problem)
    }
}

fn finite(position: usize, value: f64) -> Result<f64, Fault> {
    if value.is_finite() { Ok(value) } else { Err(fault(position, "the result is too large")) }
}

fn fault(at: usize, problem: impl Into<String>) -> Fault {
    Fault { position: at + 1, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn gives(expression: &str, expected: f64) {
        let value = evaluate(expression).unwrap();
        assert!((value - expected).abs() < 1e-12, "{expression} = {value}, not {expected}");
    }

    #[track_caller]
    fn fails(expression: &str, expected: &str) {
        assert_eq!(evaluate(expression).unwrap_err().to_string(), expected, "{expression}");
    }

    #[test]
    fn operators_bind_as_at_school() {
        gives("2 + 3 * 4", 14.0);
        gives("(2 + 3) * 4", 20.0);
        gives("10 - 4 - 3", 3.0);
        gives("100 / 10 / 5", 2.0);
        gives("-2^2", -4.0);
        gives("2^3^2", 512.0);
        gives("2**-1", 0.5);
        gives("7 % 4 * 2", 6.0);
        gives("--3", 3.0);
        gives(" 1\t+ 1 ", 2.0);
    }

    #[test]
    fn numbers_have_points_and_exponents() {
        gives(".5 + 1.", 1.5);
        gives("2e3 + 1E-1", 2000.1);
        fails("1.2.3", "at position 1: `1.2.3` is not a number");
        fails("2e", "at position 2: expected an operator or the end, but found `e`");
        fails("1e999", "at position 1: the result is too large");
    }

    #[test]
    fn functions_and_constants_are_known_by_name() {
        gives("sqrt(16) + abs(-2)", 6.0);
        gives("max(1, 2 * 3, 4) - min(5)", 1.0);
        gives("ROUND(2.345, 2)", 2.35);
        gives("log10(1000) + ln(e)", 4.0);
        gives("sin(pi / 2) + cos(0) + tan(0)", 2.0);
        gives("floor(-1.5) + ceil(1.2) + round(2.5) + exp(0)", 4.0);
    }

    #[test]
    fn faults_name_their_position() {
        fails("2 +", "at position 4: expected a number, a function, a constant or `(`, but the expression ends");
        fails("2 * * 3", "at position 5: expected a number, a function, a constant or `(`, but found `*`");
        fails("2 (3)", "at position 3: expected an operator or the end, but found `(`");
        fails("1 + (2 * 3", "at position 5: this `(` is never closed");
        fails("1)", "at position 2: this `)` closes nothing");
        fails("5 / (2 - 2)", "at position 3: division by zero");
        fails("5 % 0", "at position 3: division by zero");
        fails("(-8)^0.5", "at position 5: (-8)^(0.5) is not a real number");
        fails("1 + sqrt(-4)", "at position 5: sqrt(-4) is not a real number");
        fails("sqrt 4", "at position 1: `sqrt` is a function; write `sqrt(...)`");
        fails("pi(2)", "at position 1: `pi` is a constant; write `pi * (`");
        fails("10^400", "at position 3: the result is too large");
        assert!(evaluate("1 + foo(2)").unwrap_err().to_string().starts_with("at position 5: `foo` is not known; "));
    }

    #[test]
    fn no_nesting_exhausts_the_stack() {
        gives(&format!("{}1{}", "(".repeat(60), ")".repeat(60)), 1.0);
        let expected = "nested deeper than 64 levels; split the expression";
        for opening in ["(", "-", "2^", "abs("] {
            let problem = evaluate(&opening.repeat(10_000)).unwrap_err().problem;
            assert_eq!(problem, expected, "{opening}");
        }
    }
}
