//! What somebody did in one turn of a comparison, and what all its turns together say.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{process::Spent, report::median, tally::Tally};

#[derive(Debug, Default)]
pub struct Turn {
    pub spent: Spent,
    pub tally: Tally,
}

/// A figure of a turn.
pub type Figure = fn(&Turn) -> f64;

impl Turn {
    /// Answers per second.
    pub fn rate(&self) -> f64 {
        self.tally.answered as f64 / self.spent.wall.as_secs_f64().max(1e-9)
    }

    /// Microseconds of the server's CPU for an answer.
    pub fn server(&self) -> f64 {
        self.each(self.spent.server)
    }

    /// The same of the generator.
    pub fn client(&self) -> f64 {
        self.each(self.spent.clients)
    }

    pub fn server_cores(&self) -> f64 {
        self.spent.cores(self.spent.server)
    }

    /// Cores that somebody else used.
    pub fn others(&self) -> f64 {
        self.spent.cores(self.spent.others)
    }

    pub fn to_json(&self) -> Value {
        json!({ "rate": self.rate(), "server_us": self.server(), "client_us": self.client(), "others": self.others(),
            "p50_us": self.tally.percentile(50.0) })
    }

    fn each(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.tally.answered.max(1) as f64
    }
}

/// The turns of one of those that are compared, a round each.
#[derive(Debug, Default)]
pub struct Turns(pub Vec<Turn>);

impl Turns {
    pub fn median(&self, figure: Figure) -> f64 {
        median(self.0.iter().map(figure))
    }

    /// Of the ratios to the other within the same rounds.
    pub fn ratio(&self, figure: Figure, to: &Self) -> f64 {
        median(self.0.iter().zip(&to.0).map(|(one, other)| figure(one) / figure(other)))
    }

    /// Of the differences to the other within the same rounds.
    pub fn difference(&self, figure: Figure, to: &Self) -> f64 {
        median(self.0.iter().zip(&to.0).map(|(one, other)| figure(one) - figure(other)))
    }

    pub fn tally(&self) -> Tally {
        Tally::sum(self.0.iter().map(|turn| turn.tally.clone()))
    }

    pub fn to_json(&self) -> Value {
        json!({ "rate": self.median(Turn::rate), "server_us": self.median(Turn::server), "client_us": self.median(Turn::client),
            "tally": self.tally().to_json(), "rounds": self.0.iter().map(Turn::to_json).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(micros: &[u64]) -> Turns {
        let turn = |micros: &u64| {
            let mut tally = Tally::default();
            tally.answered = 2;
            let (server, wall) = (Duration::from_micros(*micros), Duration::from_secs(1));
            Turn { spent: Spent { server, wall, ..Spent::default() }, tally }
        };
        Turns(micros.iter().map(turn).collect())
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let (one, other) = (turns(&[10, 200, 30]), turns(&[5, 100, 10]));
        assert!((one.median(Turn::server) - 15.0).abs() < 1e-9);
        assert!((one.ratio(Turn::server, &other) - 2.0).abs() < 1e-9);
        assert!((one.difference(Turn::server, &other) - 10.0).abs() < 1e-9);
    }
}
