//! `mcp`: `tools/call` over a socket whose frames are bare JSON-RPC, in a closed loop: two calls into plugins for each, one
//! for the protocol and one for the tool.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::{
    client::template::NUMBER,
    fleet::{Crowd, Fleet},
    load::{Load, Pace, Speech},
    options::Common,
    process::Meter,
    progress,
    report::{Report, Table, median, short},
    scenario::DRAIN,
    tally::Tally,
};

#[derive(Debug, Args)]
pub struct Mcp {
    #[arg(long, default_value_t = 16)]
    connections: usize,
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    in_flight: Vec<usize>,
    /// The tool that is called
    #[arg(long, default_value = "calculator")]
    tool: String,
    /// Its arguments
    #[arg(long, default_value = r#"{"expression":"6 * 7"}"#)]
    arguments: String,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

impl Mcp {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        progress::stage("starting the host");
        let host = common.setup(&["system", "jsonrpc", "tools"]).start()?;
        let meter = Meter::new(host.id());
        let crowd = Crowd { connections: self.connections, path: "/ws", subprotocol: Some("mcp") };
        let mut fleet = Fleet::connect(host.address, common.threads, false, crowd)?;
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":"{NUMBER}","method":"tools/call","params":{{"name":"{}","arguments":{}}}}}"#,
            self.tool, self.arguments
        );
        let columns = [
            "in flight",
            "calls/s",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "server us/call",
            "client us/call",
            "others' cores",
            "errors",
        ];
        let title = format!(
            "`{}` on {} sockets; medians of {} rounds of {} s",
            self.tool, self.connections, self.rounds, self.seconds
        );
        let (mut table, mut data) = (Table::new(title, &columns), Vec::new());
        for &in_flight in &self.in_flight {
            let mut turns = Vec::new();
            for round in 0..=self.rounds {
                progress::stage(format!("{in_flight} in flight, round {round} of {}", self.rounds));
                let lasts = Duration::from_secs_f64(self.seconds);
                let pace = Pace::Closed { in_flight };
                let mut loads: Vec<Load> =
                    fleet.engines.iter().map(|_| Load::new(Speech::JsonRpc, pace, &text, lasts)).collect();
                let begun = meter.sample()?;
                fleet.run(&mut loads, lasts + DRAIN, |_| Ok(()))?;
                let spent = meter.since(&begun)?;
                let tally = Tally::sum(loads.into_iter().map(|load| load.finish().0));
                turns.extend(Some((spent, tally)).filter(|_| round > 0));
            }
            let all = Tally::sum(turns.iter().map(|(_, tally)| tally.clone()));
            let each = |cpu: Duration, tally: &Tally| cpu.as_secs_f64() * 1e6 / tally.answered.max(1) as f64;
            let rate = median(turns.iter().map(|(spent, tally)| tally.answered as f64 / spent.wall.as_secs_f64()));
            let server = median(turns.iter().map(|(spent, tally)| each(spent.server, tally)));
            let client = median(turns.iter().map(|(spent, tally)| each(spent.clients, tally)));
            let others = median(turns.iter().map(|(spent, _)| spent.cores(spent.others)));
            let us = |percent: f64| short(all.percentile(percent));
            table.row([
                in_flight.to_string(),
                short(rate),
                us(50.0),
                us(99.0),
                us(99.9),
                short(server),
                short(client),
                short(others),
                all.complaints(),
            ]);
            data.push(json!({ "in_flight": in_flight, "calls_per_second": rate, "server_us": server,
                "client_us": client, "tally": all.to_json() }));
        }
        let asked = json!({ "connections": self.connections, "in_flight": self.in_flight, "tool": self.tool,
            "rounds": self.rounds, "seconds": self.seconds });
        Ok(Report { scenario: "mcp", asked, tables: vec![table], data: data.into() })
    }
}
