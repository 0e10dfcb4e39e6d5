//! `storm`: everybody is cut off at one moment, and comes back at once with `resume`. Timed from that moment until each has
//! its session again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;

use crate::{
    client::{
        connection::{Closed, Connection},
        engine::{Driver, Engine},
        template::{Template, text_after},
        ticket::Ticket,
        token,
    },
    fleet::user,
    options::Common,
    process::Meter,
    progress,
    report::{Report, Table, short},
    tally::Tally,
};

/// For all to come, or to come back.
const LIMIT: Duration = Duration::from_secs(120);

/// Before the first connections: as gentle as a day.
const GENTLE: usize = 64;

#[derive(Debug, Args)]
pub struct Storm {
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    /// Handshakes that are under way at a time; as many as there are clients, if left out
    #[arg(long)]
    at_once: Option<usize>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

impl Storm {
    pub fn run(&self, common: &Common) -> anyhow::Result<Report> {
        progress::stage("starting the host");
        let mut setup = common.setup(&["system"]);
        // Room for everybody who is away: what is measured is the return, not who is given up.
        setup.settings.push("sessions.max_detached_bytes = \"4GiB\"".to_owned());
        let host = setup.start()?;
        let meter = Meter::new(host.id());
        let mut engine = Engine::new(host.address, false)?;
        let columns = [
            "round",
            "clients",
            "resumed",
            "all back s",
            "p50 ms",
            "p99 ms",
            "server us/return",
            "client us/return",
            "others' cores",
            "errors",
        ];
        let title = format!("{} clients, cut and back at once with `resume`", self.connections);
        let (mut table, mut data) = (Table::new(title, &columns), Vec::new());
        progress::stage("everybody comes");
        let mut clients = Clients::new(self.connections);
        clients.at_once = GENTLE;
        engine.run(&mut clients, Instant::now() + LIMIT)?;
        anyhow::ensure!(clients.back == self.connections, "only {} could connect", clients.back);
        for round in 1..=self.rounds {
            progress::stage(format!("storm {round} of {}", self.rounds));
            clients.scatter(self.at_once.unwrap_or(self.connections));
            let begun = meter.sample()?;
            let start = Instant::now();
            engine.cut_all();
            clients.since = start;
            engine.run(&mut clients, start + LIMIT)?;
            let took = start.elapsed();
            let spent = meter.since(&begun)?;
            let tally = &clients.tally;
            let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / tally.answered.max(1) as f64;
            let ms = |percent: f64| short(tally.percentile(percent) / 1e3);
            table.row([
                round.to_string(),
                self.connections.to_string(),
                tally.answered.to_string(),
                short(took.as_secs_f64()),
                ms(50.0),
                ms(99.0),
                short(each(spent.server)),
                short(each(spent.clients)),
                short(spent.cores(spent.others)),
                tally.complaints(),
            ]);
            data.push(json!({ "round": round, "seconds": took.as_secs_f64(), "server_us": each(spent.server),
                "tally": tally.to_json() }));
        }
        let asked = json!({ "connections": self.connections, "at_once": self.at_once, "rounds": self.rounds });
        Ok(Report { scenario: "storm", asked, tables: vec![table], data: data.into() })
    }
}

struct Clients {
    tokens: Vec<String>,
    /// By client; `None` before the first greeting.
    tickets: Vec<Option<Ticket>>,
    /// Clients that have not set out yet.
    left: Vec<usize>,
    /// Clients by the place of their connection.
    clients: HashMap<usize, usize>,
    under_way: usize,
    at_once: usize,
    since: Instant,
    back: usize,
    tally: Tally,
}

impl Clients {
    fn new(count: usize) -> Self {
        Self {
            tokens: (0..count).map(|number| token::of(&user(number))).collect(),
            tickets: vec![None; count],
            left: (0..count).collect(),
            clients: HashMap::new(),
            under_way: 0,
            at_once: count,
            since: Instant::now(),
            back: 0,
            tally: Tally::default(),
        }
    }

    /// Nobody has a connection any more.
    fn scatter(&mut self, at_once: usize) {
        self.left = (0..self.tokens.len()).collect();
        self.clients.clear();
        (self.under_way, self.back, self.at_once, self.tally) = (0, 0, at_once, Tally::default());
    }

    /// A client's return has come to an end, good or bad.
    fn arrived(&mut self, now: Instant, fault: Option<&str>) {
        self.under_way -= usize::from(self.under_way > 0);
        self.back += 1;
        progress::count(1);
        match fault {
            None => self.tally.took(now - self.since),
            Some(fault) => self.tally.error(fault),
        }
    }

    fn greeted(&mut self, connection: &mut Connection, client: usize, text: &[u8], now: Instant) {
        match &self.tickets[client] {
            Some(ticket) => connection.send(Template::new(&ticket.message()).with(0)),
            None => {
                self.tickets[client] = Ticket::in_greeting(text);
                self.arrived(now, None);
            }
        }
    }
}

impl Driver for Clients {
    fn message(&mut self, connection: &mut Connection, text: &[u8], now: Instant) {
        let Some(client) = self.clients.get(&connection.id).copied() else { return };
        match text_after(text, r#"{"type":""#) {
            Some("connection_established") => self.greeted(connection, client, text, now),
            Some("resumed") => {
                if let Some(ticket) = &mut self.tickets[client] {
                    ticket.renew(text);
                }
            }
            Some("replay_complete") => self.arrived(now, None),
            Some("resume_failed") => {
                let reason = text_after(text, r#""reason":""#).unwrap_or("resume_failed").to_owned();
                self.arrived(now, Some(&reason));
            }
            _ => {}
        }
    }

    fn closed(&mut self, id: usize, how: Closed, _now: Instant) {
        // Whoever was turned away tries again, as a client would, and is counted each time.
        if let Some(client) = self.clients.remove(&id) {
            self.tally.error(&how.word());
            self.under_way -= usize::from(self.under_way > 0);
            self.left.push(client);
        }
    }

    fn due(&mut self, engine: &mut Engine, _now: Instant) -> Option<Instant> {
        while self.under_way < self.at_once
            && let Some(client) = self.left.pop()
        {
            match engine.open("/ws", &self.tokens[client], None) {
                Ok(id) => {
                    self.clients.insert(id, client);
                    self.under_way += 1;
                    self.tally.sent += 1;
                }
                Err(fault) => {
                    self.tally.error(&fault.kind().to_string());
                    self.left.push(client);
                    return None;
                }
            }
        }
        None
    }

    fn is_done(&self) -> bool {
        self.back >= self.tokens.len()
    }
}
