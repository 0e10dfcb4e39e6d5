//! `start`: from the start of the process until it listens, and until it is ready, with machine code in its cache.

use clap::Args;
use serde_json::json;

use crate::{
    host::Host,
    options::Common,
    progress,
    report::{Report, Table, median, short},
};

#[derive(Debug, Args)]
pub struct Start {
    /// Components that it finds
    #[arg(long, value_delimiter = ',', default_value = "system,jsonrpc,tools")]
    plugins: Vec<String>,
    #[arg(long, default_value_t = 10)]
    rounds: usize,
}

impl Start {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        let names: Vec<&str> = self.plugins.iter().map(String::as_str).collect();
        let setup = common.setup(&names);
        progress::stage("the first start, which compiles");
        let first = setup.start()?;
        let cold = first.started;
        let mut folder = first.stop()?;
        let mut warm = Vec::new();
        for round in 1..=self.rounds {
            progress::stage(format!("start {round} of {}", self.rounds));
            let host = Host::start_in(&setup, folder)?;
            warm.push(host.started);
            folder = host.stop()?;
        }
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let mut table = Table::new(
            format!("{} plugins; medians of {} starts", names.len(), self.rounds),
            &["cache", "listens after ms", "ready after ms", "slowest ms"],
        );
        let (listens, ready) =
            (median(warm.iter().map(|started| ms(started.0))), median(warm.iter().map(|started| ms(started.1))));
        let slowest = warm.iter().map(|started| ms(started.1)).fold(0.0, f64::max);
        table.row(["warm".to_owned(), short(listens), short(ready), short(slowest)]);
        table.row(["empty".to_owned(), short(ms(cold.0)), short(ms(cold.1)), short(ms(cold.1))]);
        let all: Vec<f64> = warm.iter().map(|started| ms(started.1)).collect();
        Ok(Report {
            scenario: "start",
            asked: json!({ "plugins": self.plugins, "rounds": self.rounds }),
            tables: vec![table],
            data: json!({ "warm_ready_ms": ready, "warm_listens_ms": listens, "cold_ready_ms": ms(cold.1), "all": all }),
        })
    }
}
