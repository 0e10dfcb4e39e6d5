//! Why a JSON text does not become a type, in the words of JSON: whoever sent it knows neither Rust nor serde.
//!
//! serde tells it as one sentence with Rust's names in it. The sentence is taken apart here; one of another form,
//! which is that of a type with words of its own, is left as it is.

/// What serde_json says, in words for the sender.
pub(crate) fn in_words(fault: &serde_json::Error) -> String {
    let text = fault.to_string();
    // The path says where it is, and says it better.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if fault.is_syntax() || fault.is_eof() {
        return format!("it is not JSON: {text}");
    }
    for (beginning, words) in BEGINNINGS {
        if let Some(rest) = text.strip_prefix(beginning) {
            return words(rest);
        }
    }
    text.to_owned()
}

type Words = fn(&str) -> String;

const BEGINNINGS: [(&str, Words); 8] = [
    ("invalid type: ", misfit),
    ("invalid value: ", misfit),
    ("invalid length ", |rest| match rest.split_once(", expected ") {
        Some((length, expected)) => match wanted(expected) {
            // Members with a default are counted as if they were there.
            object if object == "an object" => format!("it is an array, and has to be {object}"),
            array => format!("it has {length} items, and has to be {array}"),
        },
        None => format!("it has {rest} items, which does not fit"),
    }),
    ("missing field ", |field| format!("{field} is missing")),
    ("duplicate field ", |field| format!("{field} is there twice")),
    ("unknown field ", |rest| match rest.split_once(", expected ") {
        Some((field, known)) => format!("{field} is not known here; what is known: {}", names(known)),
        None => format!("{} is not known here", rest.split(',').next().unwrap_or(rest)),
    }),
    ("unknown variant ", |rest| match rest.split_once(", expected ") {
        Some((variant, known)) => format!("{} is not among {}", quoted(variant), names(known)),
        None => format!("{} is not known", quoted(rest)),
    }),
    ("data did not match any variant", |_| "it has none of the forms that are accepted".to_owned()),
];

/// `integer `-1`, expected u8`.
fn misfit(rest: &str) -> String {
    let Some((found, expected)) = rest.rsplit_once(", expected ") else { return rest.to_owned() };
    let (found, expected) = (came(found), wanted(expected));
    // Some writers put a fraction behind every number; the value is not what is wrong.
    match found.strip_suffix(".0") {
        Some(whole) if expected.starts_with("a whole number") => {
            format!("{found} has to be written as a whole number: {whole}")
        }
        _ => format!("it is {found}, and has to be {expected}"),
    }
}

/// A value, as serde calls it.
fn came(found: &str) -> String {
    let inner = found.split_once('`').and_then(|(_, rest)| rest.rsplit_once('`')).map(|(inner, _)| inner);
    match (found.split([' ', ',']).next().unwrap_or_default(), inner) {
        ("integer" | "floating" | "boolean" | "number", Some(value)) => value.to_owned(),
        ("string", _) => found.strip_prefix("string ").unwrap_or(found).to_owned(),
        ("character", Some(value)) => format!("{value:?}"),
        ("unit" | "null" | "Option", _) => "null".to_owned(),
        ("sequence" | "tuple", _) => "an array".to_owned(),
        ("map" | "struct", _) => "an object".to_owned(),
        _ => found.to_owned(),
    }
}

/// A type, as serde calls it.
fn wanted(expected: &str) -> String {
    let word = expected.split([' ', '<']).next().unwrap_or_default();
    match word {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => {
            whole_number(word)
        }
        "f32" | "f64" => "a number".to_owned(),
        "struct" | "map" => "an object".to_owned(),
        "sequence" | "tuple" => "an array".to_owned(),
        "enum" | "variant" => "one of the values that are accepted".to_owned(),
        "unit" => "null".to_owned(),
        "option" => "null, or another value".to_owned(),
        "internally" | "adjacently" => "an object that names its kind".to_owned(),
        "char" | "character" => "a text of one character".to_owned(),
        _ => match expected {
            "a map" => "an object".to_owned(),
            "a sequence" => "an array".to_owned(),
            "a borrowed string" | "a string" | "string" => "a string".to_owned(),
            "a boolean" | "bool" => "true or false".to_owned(),
            other => match other.strip_prefix("a tuple of size ") {
                Some(size) => format!("an array of {size} items"),
                None => other.to_owned(),
            },
        },
    }
}

/// With its bounds, where they are ones that a person meets.
fn whole_number(name: &str) -> String {
    let bounds = match name {
        "u8" => " from 0 to 255".to_owned(),
        "u16" => format!(" from 0 to {}", u16::MAX),
        "u32" => format!(" from 0 to {}", u32::MAX),
        "i8" => " from -128 to 127".to_owned(),
        "i16" => format!(" from {} to {}", i16::MIN, i16::MAX),
        "i32" => format!(" from {} to {}", i32::MIN, i32::MAX),
        unsigned if unsigned.starts_with('u') => " that is not negative".to_owned(),
        _ => String::new(),
    };
    format!("a whole number{bounds}")
}

/// ``one of `a`, `b` ``.
fn names(known: &str) -> String {
    known.strip_prefix("one of ").unwrap_or(known).replace(" or ", ", ")
}

/// A name that is a value: as JSON writes it.
fn quoted(name: &str) -> String {
    name.replace('`', "\"")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether it is read matters")]
    struct All {
        #[serde(default)]
        byte: u8,
        #[serde(default)]
        count: u32,
        #[serde(default)]
        big: u64,
        #[serde(default)]
        signed: i64,
        #[serde(default)]
        ratio: f64,
        #[serde(default)]
        text: String,
        #[serde(default)]
        on: bool,
        #[serde(default)]
        list: Vec<u8>,
        #[serde(default)]
        pair: (u8, u8),
        inner: Option<Inner>,
        colour: Option<Colour>,
        shape: Option<Shape>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only whether it is read matters")]
    struct Inner {
        name: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
        DarkBlue,
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code, reason = "only whether it is read matters")]
    enum Shape {
        Round { radius: u8 },
        Square { side: u8 },
    }

    #[test]
    fn no_word_of_rust_reaches_the_sender() {
        for (text, expected) in [
            (r#"{"count": 1.0}"#, "1.0 has to be written as a whole number: 1"),
            (r#"{"count": 1.5}"#, "it is 1.5, and has to be a whole number from 0 to 4294967295"),
            (r#"{"count": -1}"#, "it is -1, and has to be a whole number from 0 to 4294967295"),
            (r#"{"byte": 256}"#, "it is 256, and has to be a whole number from 0 to 255"),
            (r#"{"big": "7"}"#, "it is \"7\", and has to be a whole number that is not negative"),
            (r#"{"signed": true}"#, "it is true, and has to be a whole number"),
            (r#"{"ratio": null}"#, "it is null, and has to be a number"),
            (r#"{"text": 7}"#, "it is 7, and has to be a string"),
            (r#"{"text": {}}"#, "it is an object, and has to be a string"),
            (r#"{"on": "yes, expected"}"#, "it is \"yes, expected\", and has to be true or false"),
            (r#"{"list": {}}"#, "it is an object, and has to be an array"),
            (r#"{"pair": [1]}"#, "it has 1 items, and has to be an array of 2 items"),
            (r#"{"inner": []}"#, "it is an array, and has to be an object"),
            (r#"{"inner": 3}"#, "it is 3, and has to be an object"),
            (r#"{"inner": {}}"#, "`name` is missing"),
            (r#"{"cuont": 1}"#, "`cuont` is not known here; what is known: `byte`, `count`"),
            (r#"{"on": true, "on": true}"#, "`on` is there twice"),
            (r#"{"colour": "green"}"#, "\"green\" is not among `red`, `dark_blue`"),
            (r#"{"shape": {"sides": 3}}"#, "it has none of the forms that are accepted"),
            (r#"{"count": 1"#, "it is not JSON: EOF while parsing an object"),
            ("[]", "it is an array, and has to be an object"),
        ] {
            let fault = serde_json::from_str::<All>(text).expect_err(text);
            let words = in_words(&fault);
            assert!(words.starts_with(expected), "{text}: {words} ({fault})");
        }
    }
}
