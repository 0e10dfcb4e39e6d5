//! `mcp`: `tools/call` in a closed loop. Over Streamable HTTP, the host takes turns with servers that have the same tool
//! and no sandbox: one on the official Rust library, one on the official Python library. Over a socket of JSON-RPC, the
//! host has it alone.
//!
//! The host calls two plugins for each of them, one for the protocol and one for the tool. The others check no token.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use serde_json::json;

use crate::{
    client::{
        mcp::{Call, Era},
        template::{NUMBER, Template},
    },
    fleet::{Crowd, Door, Fleet, user},
    load::{Load, Pace, Speech},
    options::Common,
    peer::Kind,
    process::Meter,
    progress,
    report::{Report, Table, short},
    scenario::DRAIN,
    tally::Tally,
    turn::{Turn, Turns},
};

/// Before the first round counts.
const WARM_UP: Duration = Duration::from_millis(500);

const CALL: Call<'_> = Call { tool: "add", arguments: r#"{"a":2,"b":3}"# };

#[derive(Debug, Args)]
pub struct Mcp {
    /// Connections to each of the servers, with one call at a time over HTTP
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How requests over HTTP look
    #[arg(long, value_enum, default_value_t = Era::Modern)]
    era: Era,
    /// Calls that wait on each socket; `0` leaves sockets out
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    in_flight: Vec<usize>,
    /// Measure the host alone
    #[arg(long)]
    alone: bool,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Who is asked, over what.
struct Contestant {
    name: String,
    meter: Meter,
    address: SocketAddr,
    crowd: Crowd,
    pace: Pace,
    /// For each connection of a thread.
    templates: Vec<Vec<Template>>,
    turns: Turns,
}

impl Mcp {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        progress::stage("starting the servers");
        let host = common.setup(&["system", "jsonrpc", "add"]).start()?;
        let mut all = vec![self.over_http("Switchboard", host.address, host.id(), common.threads)?];
        let (mut peers, mut missing) = (Vec::new(), Vec::new());
        for kind in [Kind::Rmcp, Kind::FastMcp].into_iter().filter(|_| !self.alone) {
            let Some(peer) = common.peers.start(kind)? else {
                missing.push(kind.name());
                continue;
            };
            all.push(self.over_http(kind.name(), peer.address, peer.id(), common.threads)?);
            peers.push(peer);
        }
        for &in_flight in self.in_flight.iter().filter(|count| **count > 0) {
            all.push(self.over_sockets(in_flight, host.address, host.id(), common.threads));
        }
        for round in 0..=self.rounds {
            for step in 0..all.len() {
                let index = (round + step) % all.len();
                progress::stage(format!("{}, round {round} of {}", all[index].name, self.rounds));
                let lasts = if round == 0 { WARM_UP } else { Duration::from_secs_f64(self.seconds) };
                let turn = all[index].turn(lasts)?;
                all[index].turns.0.extend(Some(turn).filter(|_| round > 0));
            }
        }
        Ok(self.report(&all, &missing))
    }

    fn over_http(&self, name: &str, address: SocketAddr, process: u32, threads: usize) -> anyhow::Result<Contestant> {
        let requests = |thread: usize| {
            let users = (thread..self.connections).step_by(threads);
            users.map(|number| self.era.request(address, &user(number), CALL)).collect::<anyhow::Result<Vec<_>>>()
        };
        Ok(Contestant {
            name: format!("{name}, HTTP"),
            meter: Meter::new(process),
            address,
            crowd: Crowd { connections: self.connections, door: Door::Requests },
            pace: Pace::Closed { in_flight: 1 },
            templates: (0..threads).map(requests).collect::<anyhow::Result<Vec<_>>>()?,
            turns: Turns::default(),
        })
    }

    fn over_sockets(&self, in_flight: usize, address: SocketAddr, process: u32, threads: usize) -> Contestant {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":"{NUMBER}","method":"tools/call","params":{{"name":"{}","arguments":{}}}}}"#,
            CALL.tool, CALL.arguments
        );
        Contestant {
            name: format!("Switchboard, WebSocket x {in_flight}"),
            meter: Meter::new(process),
            address,
            crowd: Crowd { connections: self.connections, door: Door::Silent("/ws", "mcp") },
            pace: Pace::Closed { in_flight },
            templates: vec![vec![Template::new(&text)]; threads],
            turns: Turns::default(),
        }
    }

    fn report(&self, all: &[Contestant], missing: &[&str]) -> Report {
        let mut title = format!(
            "`{}` on {} connections, HTTP in the {:?} era with one call each; medians of {} rounds of {} s; the others have \
             no sandbox and check no token; `Switchboard does` is its rate over HTTP as a multiple of theirs, in the same round",
            CALL.tool, self.connections, self.era, self.rounds, self.seconds
        );
        if !missing.is_empty() {
            title.push_str(&format!("; not installed, and left out: {}", missing.join(", ")));
        }
        let columns = [
            "server",
            "calls/s",
            "Switchboard does",
            "by CPU",
            "server us/call",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "client us/call",
            "others' cores",
            "errors",
        ];
        let (mut table, mut data) = (Table::new(title, &columns), Vec::new());
        for one in all {
            let (turns, tally) = (&one.turns, one.turns.tally());
            let rate = all[0].turns.ratio(Turn::rate, turns);
            let by_cpu = turns.ratio(Turn::server, &all[0].turns);
            let us = |percent: f64| short(tally.percentile(percent));
            table.row([
                one.name.clone(),
                short(turns.median(Turn::rate)),
                short(rate),
                short(by_cpu),
                short(turns.median(Turn::server)),
                us(50.0),
                us(99.0),
                us(99.9),
                short(turns.median(Turn::client)),
                short(turns.median(Turn::others)),
                tally.complaints(),
            ]);
            data.push(json!({ "server": one.name, "ratio": rate, "ratio_by_cpu": by_cpu, "turns": turns.to_json() }));
        }
        let asked = json!({ "connections": self.connections, "era": format!("{:?}", self.era),
            "in_flight": self.in_flight, "rounds": self.rounds, "seconds": self.seconds, "missing": missing });
        Report { scenario: "mcp", asked, tables: vec![table], data: data.into() }
    }
}

impl Contestant {
    /// On connections of its own: a server that has not been asked for a while may have closed the last ones, as uvicorn
    /// does after five seconds.
    fn turn(&self, lasts: Duration) -> anyhow::Result<Turn> {
        let mut fleet = Fleet::connect(self.address, self.templates.len(), false, self.crowd)?;
        let load = |templates: &Vec<Template>| Load::of(Speech::JsonRpc, self.pace, templates.clone(), lasts);
        let mut loads: Vec<Load> = self.templates.iter().map(load).collect();
        let begun = self.meter.sample()?;
        fleet.run(&mut loads, lasts + DRAIN, |_| Ok(()))?;
        let spent = self.meter.since(&begun)?;
        Ok(Turn { spent, tally: Tally::sum(loads.into_iter().map(|load| load.finish().0)) })
    }
}
