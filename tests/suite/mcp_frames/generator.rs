//! Frames: good requests of both eras, spoiled at the level of JSON or of characters, notifications, and answers that
//! nobody asked for.

use serde_json::{Map, Value, json};

use crate::harness::doors::{LEGACY, MODERN, modern_meta};

/// One frame, and what is known of it.
pub struct Frame {
    pub text: String,
    /// If it is a request that has to be answered: its id as JSON.
    pub good_id: Option<String>,
    /// If it is none, an id that an error may have nevertheless.
    pub other_id: Option<String>,
    /// Whether it was made from a request of the modern era.
    pub modern: bool,
}

/// Headers beside a frame.
pub struct Headers {
    pub headers: Vec<(String, String)>,
    /// Whether they are not what they should be.
    pub spoiled: bool,
}

/// A generator of pseudo-random numbers (SplitMix64), so that a seed says all.
pub struct Generator {
    state: u64,
    count: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, count: 0 }
    }

    /// One of any kind.
    pub fn frame(&mut self) -> Frame {
        match self.below(10) {
            0 | 1 => self.good(),
            2..=5 => self.spoiled_json(),
            6 | 7 => self.spoiled_text(),
            _ => self.one_way(),
        }
    }

    /// A request that nothing is wrong with.
    pub fn good(&mut self) -> Frame {
        let (request, modern) = self.request();
        frame(request.to_string(), modern)
    }

    /// The headers that belong to a frame, or others.
    pub fn headers(&mut self, frame: &Frame) -> Headers {
        let message: Value = serde_json::from_str(&frame.text).unwrap_or_default();
        let mut headers = Vec::new();
        if let Some(method) = message["method"].as_str().filter(|method| frame.modern && is_plain(method)) {
            headers.push(("mcp-method".to_owned(), method.to_owned()));
        }
        let named = ["name", "uri"].iter().find_map(|member| message["params"][member].as_str());
        if let Some(name) = named.filter(|name| frame.modern && is_plain(name)) {
            headers.push(("mcp-name".to_owned(), name.to_owned()));
        }
        let spoiled = self.below(4) == 0;
        if spoiled {
            let name = self.one_of(&["accept", "content-type", "mcp-protocol-version", "mcp-method", "mcp-name"]);
            let value = self.one_of(&["", "nonsense", "application/json", "2024-01-01", LEGACY, MODERN, "tools/list"]);
            headers.retain(|(known, _)| known != name);
            headers.push((name.to_owned(), value.to_owned()));
        }
        // A header that could not be written as it is, is not what it should be either.
        let all_written =
            !frame.modern || message["method"].as_str().is_some_and(is_plain) && named.is_none_or(is_plain);
        Headers { headers, spoiled: spoiled || !all_written }
    }

    fn request(&mut self) -> (Value, bool) {
        self.count += 1;
        let id = match self.below(3) {
            0 => json!(self.count),
            1 => json!(format!("id-{}", self.count)),
            _ => json!(-i64::try_from(self.count).unwrap_or_default()),
        };
        let templates = [
            ("ping", json!({})),
            ("tools/list", json!({})),
            ("resources/list", json!({})),
            ("resources/templates/list", json!({})),
            ("prompts/list", json!({})),
            ("logging/setLevel", json!({ "level": "info" })),
            ("tools/call", json!({ "name": "test_simple_text", "arguments": {} })),
            ("tools/call", json!({ "name": "test_error_handling", "arguments": {} })),
            ("tools/call", json!({ "name": "test_custom_header", "arguments": { "region": "north" } })),
            ("tools/call", json!({ "name": "test_input_required_result_elicitation", "arguments": {} })),
            ("resources/read", json!({ "uri": "test://static-text" })),
            ("resources/read", json!({ "uri": "test://template/7/data" })),
            ("prompts/get", json!({ "name": "test_prompt_with_arguments", "arguments": { "arg1": "a", "arg2": "b" } })),
            (
                "completion/complete",
                json!({ "ref": { "type": "ref/prompt", "name": "test_prompt_with_arguments" },
                    "argument": { "name": "arg1", "value": "te" } }),
            ),
            ("server/discover", json!({})),
        ];
        let (method, mut params) = templates[self.below(templates.len())].clone();
        let modern = method == "server/discover" || self.below(2) == 0;
        if modern {
            params["_meta"] = modern_meta();
        }
        (json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }), modern)
    }

    fn spoiled_json(&mut self) -> Frame {
        let (mut request, modern) = self.request();
        let times = 1 + self.below(3);
        for _ in 0..times {
            self.spoil(&mut request);
        }
        frame(request.to_string(), modern)
    }

    /// Goes down a random way, and changes what is there.
    fn spoil(&mut self, value: &mut Value) {
        let junk = self.junk();
        let deeper = self.below(3) > 0;
        match value {
            Value::Object(members) if !members.is_empty() => {
                let names: Vec<String> = members.keys().cloned().collect();
                let name = &names[self.below(names.len())];
                match self.below(5) {
                    0 => drop(members.remove(name)),
                    1 => drop(members.insert(format!("{name}x"), junk)),
                    _ if deeper => self.spoil(&mut members[name]),
                    _ => drop(members.insert(name.clone(), junk)),
                }
            }
            Value::Array(items) if !items.is_empty() => {
                let index = self.below(items.len());
                items[index] = junk;
            }
            other => *other = junk,
        }
    }

    fn junk(&mut self) -> Value {
        let texts = ["", "\u{0}", "é\u{301}", "🙂", "../..", "tools/list", "notifications/x", "__proto__", "%s%n"];
        match self.below(12) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(1.5),
            3 => json!(u64::MAX),
            4 => json!(-1),
            5 => json!([]),
            6 => json!({}),
            7 => json!([{ "a": [[]] }]),
            8 => json!("x".repeat(10_000)),
            9 => self.nested(),
            _ => json!(self.one_of(&texts)),
        }
    }

    fn nested(&mut self) -> Value {
        let depth = 1 + self.below(60);
        (0..depth).fold(json!(1), |inner, _| Value::Object(Map::from_iter([("a".to_owned(), inner)])))
    }

    /// Characters are left out, doubled or replaced, or the end is missing.
    fn spoiled_text(&mut self) -> Frame {
        let (request, modern) = self.request();
        let mut letters: Vec<char> = request.to_string().chars().collect();
        let times = 1 + self.below(4);
        for _ in 0..times {
            let at = self.below(letters.len().max(1));
            let letter = self.one_of(&['"', '{', '}', '[', ',', ':', '\\', '0', '-', 'e', '\u{0}', '\u{feff}', '🙂']);
            match self.below(5) {
                0 => drop(letters.drain(at..)),
                1 if at < letters.len() => drop(letters.remove(at)),
                2 if at < letters.len() => letters[at] = letter,
                _ => letters.insert(at.min(letters.len()), letter),
            }
        }
        frame(letters.into_iter().collect(), modern)
    }

    /// Notifications, and answers to nothing. None of them names a request that is under way.
    fn one_way(&mut self) -> Frame {
        let junk = self.junk();
        let method = self.one_of(&[
            "notifications/cancelled",
            "notifications/progress",
            "notifications/initialized",
            "notifications/roots/list_changed",
            "no/such/notification",
            "tools/list",
        ]);
        let message = match self.below(5) {
            0 => json!({ "jsonrpc": "2.0", "id": "unasked", "result": junk }),
            1 => json!({ "jsonrpc": "2.0", "id": "unasked", "error": junk }),
            2 => json!({ "jsonrpc": "2.0", "method": method, "params": { "requestId": "unheard", "reason": junk } }),
            _ => json!({ "jsonrpc": "2.0", "method": method, "params": junk }),
        };
        let modern = self.below(2) == 0;
        frame(message.to_string(), modern)
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % bound as u64).expect("it is below a usize")
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() < 200 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A good id is a string or a whole number; with anything else a request is not one. Parameters that are null are none.
fn frame(text: String, modern: bool) -> Frame {
    let message: Value = serde_json::from_str(&text).unwrap_or_default();
    let id = message.get("id").filter(|id| id.is_string() || id.is_i64() || id.is_u64()).map(Value::to_string);
    let is_request = message["jsonrpc"] == "2.0"
        && message["method"].is_string()
        && message.get("params").is_none_or(|params| params.is_object() || params.is_array() || params.is_null());
    let (good_id, other_id) = if is_request { (id, None) } else { (None, id) };
    Frame { text, good_id, other_id, modern }
}

#[test]
fn a_seed_says_all_and_half_of_its_frames_are_requests() {
    let frames = |seed| {
        let mut generator = Generator::new(seed);
        (0..400).map(|_| generator.frame()).collect::<Vec<_>>()
    };
    let (once, again, other) = (frames(1), frames(1), frames(2));
    let texts = |frames: &[Frame]| frames.iter().map(|frame| frame.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&once), texts(&again));
    assert_ne!(texts(&once), texts(&other));
    let good = once.iter().filter(|frame| frame.good_id.is_some()).count();
    assert!((100..300).contains(&good), "{good}");
}
