//! How often something may happen, as people write it: `5/s burst 20`, `10/min`, `100/h`.
//!
//! The sustained rate is a number within a unit of time. The burst is how many may come at once after a
//! time of silence; where it is left out, it is as many as come within the unit.

use std::{fmt, num::NonZeroU32, time::Duration};

use switchboard_protocol::MessageType;

/// A rate and a burst, neither of them zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    count: NonZeroU32,
    unit: Unit,
    burst: NonZeroU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// Their names, and their seconds.
const UNITS: [(Unit, &str, u64); 3] = [(Unit::Second, "s", 1), (Unit::Minute, "min", 60), (Unit::Hour, "h", 3_600)];

/// Of a rate and of a burst: a million in a second is more than one client can send, and means "off".
pub(crate) const MAX_RATE: u32 = 1_000_000;

/// What a rate of a type looks like.
const FORM: &str = "write it as \"user_message = 5/s burst 20\"";

impl Rate {
    /// Zero counts as one, so that whatever was configured lets something through.
    pub fn per_second(count: u32, burst: u32) -> Self {
        let at_least_one = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Self { count: at_least_one(count), unit: Unit::Second, burst: at_least_one(burst) }
    }

    /// Between two of a steady stream.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.unit.row().2) / self.count.get()
    }

    /// How many may come at once.
    pub fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    /// Reads `N/UNIT` or `N/UNIT burst N`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a clause that follows the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let rate = words.next().ok_or("has no rate behind the `=`")?;
        let (count, unit) = rate.split_once('/').ok_or_else(|| format!("has the rate {rate:?} without a unit"))?;
        let unit = Unit::parse(unit)?;
        let count = number(count)?;
        let burst = match (words.next(), words.next()) {
            (None, _) => count,
            (Some("burst"), Some(burst)) => number(burst)?,
            (Some("burst"), None) => return Err("has no number behind `burst`".to_owned()),
            (Some(other), _) => return Err(format!("has {other:?} behind the rate, where only `burst` can stand")),
        };
        match words.next() {
            None => Ok(Self { count, unit, burst }),
            Some(extra) => Err(format!("goes on with {extra:?} behind the burst")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} burst {}", self.count, self.unit.row().1, self.burst)
    }
}

impl Unit {
    fn row(self) -> (Self, &'static str, u64) {
        match self {
            Self::Second => UNITS[0],
            Self::Minute => UNITS[1],
            Self::Hour => UNITS[2],
        }
    }

    fn parse(name: &str) -> Result<Self, String> {
        let found = UNITS.iter().find(|(_, known, _)| *known == name).map(|(unit, ..)| *unit);
        found.ok_or_else(|| format!("has the unit {name:?}, and a rate is per `s`, `min` or `h`"))
    }
}

fn number(text: &str) -> Result<NonZeroU32, String> {
    // `+5` parses as a number, but nobody means anything by it.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = text.parse().ok().filter(|number: &NonZeroU32| digits && number.get() <= MAX_RATE);
    parsed.ok_or_else(|| format!("has the number {text:?}, and 1 to {MAX_RATE} are allowed"))
}

/// Reads `TYPE = RATE`.
///
/// # Errors
///
/// What is wrong with it, as a clause that follows the text, and what to do.
pub(crate) fn parse_type_rate(text: &str) -> Result<(MessageType, Rate), (String, String)> {
    let told = |problem: String| (problem, FORM.to_owned());
    let (name, rate) =
        text.split_once('=').ok_or_else(|| told("has no `=` between the type and its rate".to_owned()))?;
    let name = MessageType::parse(name.trim())
        .map_err(|problem| told(format!("does not begin with a message type: {problem}")))?;
    if name.is_reserved() {
        let help = "limit what the host itself serves with limits.connection_messages_per_second";
        return Err((format!("names {name:?}, which belongs to the host"), help.to_owned()));
    }
    Ok((name, Rate::parse(rate).map_err(told)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_in_every_unit_and_written_out_in_full() {
        for (text, written, interval_ms, burst) in [
            ("ping = 5/s burst 20", "5/s burst 20", 200, 20),
            ("ping=10/min", "10/min burst 10", 6_000, 10),
            ("  ping  =  100/h   burst  1 ", "100/h burst 1", 36_000, 1),
        ] {
            let (name, rate) = parse_type_rate(text).unwrap();
            assert_eq!((name.as_str(), rate.to_string().as_str()), ("ping", written));
            assert_eq!((rate.interval(), rate.burst().get()), (Duration::from_millis(interval_ms), burst));
            assert_eq!(parse_type_rate(&format!("ping = {rate}")), Ok((name, rate)), "reads back the same");
        }
        assert_eq!(Rate::per_second(MAX_RATE, MAX_RATE).interval(), Duration::from_micros(1));
        assert_eq!(Rate::per_second(0, 0), Rate::per_second(1, 1));
    }

    #[test]
    fn each_way_to_get_it_wrong_is_told_apart_and_met_by_the_right_form() {
        for (text, problem) in [
            ("ping 5/s", "has no `=`"),
            ("", "has no `=`"),
            ("Ping = 5/s", "does not begin with a message type: it holds 'P'"),
            (" = 5/s", "does not begin with a message type: it is empty"),
            ("chat.* = 5/s", "it holds '*'"),
            ("ping =", "has no rate behind the `=`"),
            ("ping = 5", "has the rate \"5\" without a unit"),
            ("ping = 5/m", "has the unit \"m\", and a rate is per `s`, `min` or `h`"),
            ("ping = 5/", "has the unit \"\""),
            ("ping = 5 / s", "has the rate \"5\" without a unit"),
            ("ping = 0/s", "has the number \"0\", and 1 to 1000000 are allowed"),
            ("ping = 1000001/s", "has the number \"1000001\""),
            ("ping = 99999999999/s", "has the number"),
            ("ping = 1.5/s", "has the number \"1.5\""),
            ("ping = +5/s", "has the number \"+5\""),
            ("ping = -5/s", "has the number \"-5\""),
            ("ping = /s", "has the number \"\""),
            ("ping = 5/s burst", "has no number behind `burst`"),
            ("ping = 5/s burst 0", "has the number \"0\""),
            ("ping = 5/s 20", "has \"20\" behind the rate, where only `burst` can stand"),
            ("ping = 5/s burst 20 30", "goes on with \"30\""),
        ] {
            let (told, help) = parse_type_rate(text).unwrap_err();
            assert!(told.contains(problem), "{text:?}: {told}");
            assert!(help.contains("user_message = 5/s burst 20"), "{text:?}: {help}");
        }
        let (told, help) = parse_type_rate("ack = 5/s").unwrap_err();
        assert!(
            told.contains("belongs to the host") && help.contains("connection_messages_per_second"),
            "{told} {help}"
        );
    }
}
