//! Arithmetic in a text, with signs or in words: `(17 + 4) * 2`, `3 times 4`, `the square root of 2`.
//!
//! It finds where an expression begins and ends and spells it with signs; it does not calculate.

/// How words for operators are spelled. Longer ones first, as the first that fits is taken.
const SPOKEN: [(&str, &str); 20] = [
    ("multiplied by", "*"),
    ("to the power of", "^"),
    ("divided by", "/"),
    ("percent of", "/ 100 *"),
    ("% of", "/ 100 *"),
    ("squared", "^ 2"),
    ("cubed", "^ 3"),
    ("times", "*"),
    ("minus", "-"),
    ("plus", "+"),
    ("over", "/"),
    ("mod", "%"),
    ("**", "^"),
    ("×", "*"),
    ("·", "*"),
    ("÷", "/"),
    ("−", "-"),
    ("x", "*"),
    ("+", "+"),
    ("*", "*"),
];

const FUNCTIONS: [&str; 18] = [
    "sqrt", "abs", "round", "floor", "ceil", "min", "max", "ln", "log10", "log", "exp", "asin", "acos", "atan", "sin",
    "cos", "tan", "cbrt",
];

/// Deeper nesting than anybody writes.
const MAX_DEPTH: usize = 64;

/// An expression at the beginning of a text.
#[derive(Debug, PartialEq)]
pub(super) struct Expression {
    /// With signs only.
    pub text: String,
    /// How many bytes of the text it takes.
    pub length: usize,
    /// Whether there is something to calculate, and it is not just a number.
    pub calculates: bool,
}

/// Reads the longest expression that begins here.
pub(super) fn read(text: &str) -> Option<Expression> {
    let mut reader = Reader { text, at: 0, spelled: String::new(), calculates: false };
    reader.sum(0)?;
    let spelled = reader.spelled.trim().to_owned();
    Some(Expression { text: spelled, length: reader.at, calculates: reader.calculates })
}

/// An operator at the beginning of a text, with its spelling and length: how a follow-up begins.
pub(super) fn operator(text: &str) -> Option<(&'static str, usize)> {
    for (word, sign) in SPOKEN {
        let Some(start) = text.get(..word.len()) else { continue };
        let is_word = word.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
        let ends = !is_word || text[word.len()..].chars().next().is_none_or(|c| !c.is_alphanumeric());
        if start.eq_ignore_ascii_case(word) && ends {
            return Some((sign, word.len()));
        }
    }
    let signs: [&'static str; 4] = ["-", "/", "%", "^"];
    signs.into_iter().find(|sign| text.starts_with(*sign)).map(|sign| (sign, sign.len()))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    spelled: String,
    calculates: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches(' ').len();
    }

    /// Operands with operators between them. An operator without a second operand is not part of it.
    fn sum(&mut self, depth: usize) -> Option<()> {
        self.operand(depth)?;
        loop {
            let mark = (self.at, self.spelled.len(), self.calculates);
            if self.tail(depth).is_none() {
                self.at = mark.0;
                self.spelled.truncate(mark.1);
                self.calculates = mark.2;
                return Some(());
            }
        }
    }

    fn tail(&mut self, depth: usize) -> Option<()> {
        self.skip_spaces();
        let (sign, length) = operator(self.rest())?;
        self.at += length;
        self.spelled.push_str(&format!(" {sign} "));
        self.calculates = true;
        // `squared` brings its operand along.
        if sign.ends_with(|c: char| c.is_ascii_digit()) { Some(()) } else { self.operand(depth) }
    }

    fn operand(&mut self, depth: usize) -> Option<()> {
        self.skip_spaces();
        if depth > MAX_DEPTH {
            return None;
        }
        if self.take("-") || self.take("−") {
            self.spelled.push('-');
            return self.operand(depth + 1);
        }
        if self.take("(") {
            self.spelled.push('(');
            return self.closed(depth);
        }
        if self.take("the square root of ") || self.take("square root of ") {
            self.calculates = true;
            self.spelled.push_str("sqrt(");
            self.operand(depth + 1)?;
            self.spelled.push(')');
            return Some(());
        }
        self.number(depth).or_else(|| self.named(depth))
    }

    fn take(&mut self, wanted: &str) -> bool {
        let fits = self.rest().get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted));
        self.at += if fits { wanted.len() } else { 0 };
        fits
    }

    /// What stands in parentheses, of which the first is read.
    fn closed(&mut self, depth: usize) -> Option<()> {
        self.sum(depth + 1)?;
        self.skip_spaces();
        while depth > 0 && self.take(",") {
            self.spelled.push_str(", ");
            self.sum(depth + 1)?;
            self.skip_spaces();
        }
        if !self.take(")") {
            return None;
        }
        self.spelled.push(')');
        Some(())
    }

    /// A number; commas are left out where they separate thousands, which they never do within a function.
    fn number(&mut self, depth: usize) -> Option<()> {
        let rest = self.rest();
        let mut end = 0;
        let bytes = rest.as_bytes();
        while let Some(byte) = bytes.get(end) {
            let next_is_digit = bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
            let thousands = *byte == b','
                && depth == 0
                && is_thousands(&rest[end + 1..])
                && end > 0
                && end <= 3 + rest[..end].matches(',').count() * 4;
            if !(byte.is_ascii_digit() || *byte == b'.' && next_is_digit || thousands) {
                break;
            }
            end += 1;
        }
        if end == 0 {
            return None;
        }
        end += exponent(&rest[end..]);
        self.spelled.push_str(&rest[..end].replace(',', ""));
        self.at += end;
        Some(())
    }

    /// A function with its arguments, or a constant.
    fn named(&mut self, depth: usize) -> Option<()> {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let name = rest[..length].to_ascii_lowercase();
        if matches!(name.as_str(), "pi" | "e") {
            self.at += length;
            self.spelled.push_str(&name);
            return Some(());
        }
        if !FUNCTIONS.contains(&name.as_str()) || !rest[length..].starts_with('(') {
            return None;
        }
        self.at += length + 1;
        self.calculates = true;
        self.spelled.push_str(&format!("{name}("));
        self.closed(depth + 1)
    }
}

/// Three digits and no fourth.
fn is_thousands(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits == 3
}

/// The bytes of an exponent such as `e-3`.
fn exponent(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(['e', 'E']) else { return 0 };
    let digits = rest.trim_start_matches(['+', '-']);
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 { 0 } else { 1 + rest.len() - digits.len() + count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, spelled: &str, rest: &str) {
        let found = read(text).unwrap();
        assert_eq!((found.text.as_str(), &text[found.length..]), (spelled, rest));
    }

    #[test]
    fn signs_and_words_are_read_to_the_end_of_the_expression() {
        check("(17 + 4) * 2", "(17 + 4) * 2", "");
        check("3 times 4, please", "3 * 4", ", please");
        check("15% of 80?", "15 / 100 * 80", "?");
        check("2 to the power of 8 is", "2 ^ 8", " is");
        check("square root of 16 plus 3 squared", "sqrt(16) + 3 ^ 2", "");
        check("max(1,234, 5) x 2", "max(1, 234, 5) * 2", "");
        check("1,234.5 - -1e3 .", "1234.5 - -1e3", " .");
        check("5 km", "5", " km");
        check("5 - that", "5", " - that");
    }

    #[test]
    fn what_is_no_expression_is_not_read() {
        for text in ["", "km", "(", "(1", "sqrt", "sqrt 2", "()", &"(".repeat(100_000), &"-".repeat(100_000)] {
            assert_eq!(read(text), None, "{}", &text[..text.len().min(20)]);
        }
        assert!(!read("42").unwrap().calculates);
        assert!(!read("-42").unwrap().calculates);
    }
}
