//! What the suite found, and what of it may stand.

use std::{collections::HashSet, fmt};

use anyhow::{Context, bail};

/// A group of cases.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    pub number: u32,
    pub subject: &'static str,
    /// How many there are in the pinned version of the suite. With fewer, something was left out.
    pub cases: usize,
}

pub const SECTIONS: [Section; 11] = [
    Section { number: 1, subject: "text and binary messages", cases: 16 },
    Section { number: 2, subject: "pings and pongs", cases: 11 },
    Section { number: 3, subject: "reserved bits", cases: 7 },
    Section { number: 4, subject: "reserved opcodes", cases: 10 },
    Section { number: 5, subject: "fragmentation", cases: 20 },
    Section { number: 6, subject: "UTF-8", cases: 145 },
    Section { number: 7, subject: "the closing handshake", cases: 37 },
    Section { number: 9, subject: "large and many messages", cases: 54 },
    Section { number: 10, subject: "a message in fragments of one size", cases: 1 },
    Section { number: 12, subject: "compression, by message", cases: 90 },
    Section { number: 13, subject: "compression, by parameters", cases: 126 },
];

/// The suite's words, for the messages of a case or for its close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behavior {
    Ok,
    /// Allowed by RFC 6455, and there is a better way.
    NonStrict,
    /// RFC 6455 leaves it open.
    Informational,
    /// Anything else: FAILED, UNIMPLEMENTED, UNCLEAN, WRONG CODE, ERROR, and words that we do not know.
    Bad,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `7.1.6`, as numbers.
    pub case: Vec<u32>,
    pub messages: Behavior,
    pub close: Behavior,
    /// The report's line.
    line: String,
}

impl Verdict {
    /// From four columns: case, messages, close, and words.
    pub fn read(line: &str) -> anyhow::Result<Self> {
        let mut columns = line.split('\t');
        let [Some(case), Some(messages), Some(close)] = [columns.next(), columns.next(), columns.next()] else {
            bail!("the report has a line of its own kind: {line:?}");
        };
        let case = case.split('.').map(str::parse).collect::<Result<_, _>>();
        Ok(Self {
            case: case.with_context(|| format!("this is no case: {line:?}"))?,
            messages: Behavior::of(messages),
            close: Behavior::of(close),
            line: line.replace('\t', " | "),
        })
    }

    pub fn section(&self) -> u32 {
        self.case.first().copied().unwrap_or_default()
    }

    /// Whether it is as it should be.
    fn stands(&self) -> bool {
        use Behavior::{Informational, NonStrict, Ok};
        SECTIONS.iter().any(|section| section.number == self.section())
            && matches!(self.messages, Ok | NonStrict | Informational)
            && matches!(self.close, Ok | Informational)
    }
}

impl Behavior {
    fn of(word: &str) -> Self {
        match word {
            "OK" => Self::Ok,
            "NON-STRICT" => Self::NonStrict,
            "INFORMATIONAL" => Self::Informational,
            _ => Self::Bad,
        }
    }
}

/// Everything that is wrong with a run: cases that failed, and, if it was to be `whole`, that are missing.
pub fn faults(verdicts: &[Verdict], whole: bool) -> Vec<String> {
    let fallen = verdicts.iter().filter(|verdict| !verdict.stands());
    let mut faults: Vec<String> = fallen.map(|verdict| verdict.line.clone()).collect();
    if whole {
        for section in &SECTIONS {
            let cases = verdicts.iter().filter(|verdict| verdict.section() == section.number);
            let ran = cases.map(|verdict| &verdict.case).collect::<HashSet<_>>().len();
            if ran != section.cases {
                faults.push(format!("of section {}, {ran} cases ran, and there are {}", section.number, section.cases));
            }
        }
    }
    if verdicts.is_empty() {
        faults.push("no case ran".to_owned());
    }
    faults
}

/// How many cases ended in which way, by their messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub ok: usize,
    pub non_strict: usize,
    pub informational: usize,
}

impl Tally {
    pub fn of<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Self {
        let mut tally = Self::default();
        for verdict in verdicts.into_iter().filter(|verdict| verdict.stands()) {
            match verdict.messages {
                Behavior::Ok => tally.ok += 1,
                Behavior::NonStrict => tally.non_strict += 1,
                Behavior::Informational => tally.informational += 1,
                Behavior::Bad => {}
            }
        }
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ok, non_strict, informational } = self;
        write!(formatter, "{ok} to the letter; {non_strict} non-strict; {informational} informational")
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn verdict(line: &str) -> Verdict {
        Verdict::read(&line.replace(' ', "\t")).expect("read")
    }

    /// Every case there is, each as it should be.
    pub fn all_good() -> Vec<Verdict> {
        let good = |section: &'static Section| {
            (1..=section.cases).map(move |case| verdict(&format!("{}.{case} OK OK", section.number)))
        };
        SECTIONS.iter().flat_map(good).collect()
    }

    #[test]
    fn only_what_the_report_says_passes() {
        for (line, stands) in [
            ("6.4.3 OK OK", true),
            ("6.4.3 NON-STRICT OK", true),
            ("7.1.6 INFORMATIONAL INFORMATIONAL", true),
            ("1.1.1 FAILED OK", false),
            ("1.1.1 ERROR FAILED", false),
            ("1.1.1 UNIMPLEMENTED OK", false),
            ("7.3.1 OK UNCLEAN", false),
            ("7.7.1 OK WRONG-CODE", false),
            ("7.7.1 OK FAILED", false),
            ("1.1.1 splendid OK", false),
            ("12.1.1 UNIMPLEMENTED OK", false),
            ("12.1.1 OK OK", true),
            // A section that we know nothing of.
            ("11.1.1 OK OK", false),
        ] {
            let found = faults(&[verdict(line)], false);
            assert_eq!(found.is_empty(), stands, "{line}: {found:?}");
        }
        assert!(Verdict::read("1.1.1\tOK").is_err() && Verdict::read("one\tOK\tOK\t").is_err());
    }

    #[test]
    fn a_case_that_did_not_run_is_a_failed_one() {
        let mut verdicts = all_good();
        assert_eq!(faults(&verdicts, true), [""; 0]);
        // One in its place twice does not make up for it.
        verdicts[3] = verdicts[2].clone();
        assert_eq!(faults(&verdicts, true).len(), 1);
        assert_eq!(faults(&[], false), ["no case ran"]);
    }
}
