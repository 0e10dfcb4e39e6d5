//! `switchboard connect`: a socket at the terminal. Lines in become messages, messages in become lines.
//!
//! It speaks the public protocol and nothing else, so what it shows is what any client would see. It
//! does not come back by itself when the connection is lost.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{conversation::Recorder, token};
use crate::auth::keys::key_exists;

mod line;
mod show;
pub(crate) mod socket;

pub(crate) use line::parse_wait;
use socket::Socket;

/// After the end of input, a topic that never falls silent must not keep a script waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Lines that were read and not sent yet. A slow server makes the reading wait.
const LINES_AHEAD: usize = 16;

/// Open a socket: each line of standard input is sent, each message that arrives is printed.
///
/// A line is a whole envelope, `TYPE {payload}`, or just `TYPE`:
///
///   {"type":"ping","payload":{"data":"hi"},"id":"1"}
///   ping {"data":"hi"}
///   ping
///
/// Without a token, one is signed with the key in the data folder, as `switchboard token` does.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ConnectArgs {
    /// The endpoint [default: `$SWITCHBOARD_URL`, else ws://127.0.0.1:8080/ws]
    #[arg(default_value_t = default_url(), hide_default_value = true)]
    url: String,
    /// The token to show. By default $SWITCHBOARD_TOKEN, else one signed with the local key.
    #[arg(long)]
    token: Option<String>,
    /// Whose token to sign when there is none.
    #[arg(long, value_name = "SUB", default_value = "local")]
    sub: String,
    /// Where the local key is [default: `$SWITCHBOARD_DATA_DIR`, else `./.switchboard`]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A WebSocket subprotocol to ask for.
    #[arg(long, value_name = "NAME")]
    subprotocol: Option<String>,
    /// Print frames as they are.
    #[arg(long)]
    json: bool,
    /// At the end of input, leave when nothing has arrived for this long: `500ms`, `1s`, `2m`.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_wait)]
    wait: Duration,
    /// Write the conversation into a new file, which `switchboard plugin test` replays.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

pub(crate) async fn run(args: ConnectArgs) -> anyhow::Result<()> {
    let token = token_of(&args)?;
    let socket = Socket::open(&args.url, &token, args.subprotocol.as_deref()).await?;
    let recorder = args.record.map(|path| recorder(&path)).transpose()?;
    let mut conversation = Conversation { socket, recorder, json: args.json, wait: args.wait };
    let held = conversation.hold().await;
    // What was said until then is worth keeping, however it ended.
    let kept = conversation.recorder.as_mut().map_or(Ok(()), Recorder::finish);
    held?;
    conversation.socket.leave().await;
    kept.context(NOT_RECORDED)
}

const NOT_RECORDED: &str = "the conversation cannot be written down";

fn recorder(path: &std::path::Path) -> anyhow::Result<Recorder> {
    Recorder::create(path).with_context(|| format!("{} cannot be made", path.display()))
}

/// Where a host on its defaults is, unless the environment names another.
fn default_url() -> String {
    const DEFAULT_URL: &str = "ws://127.0.0.1:8080/ws";
    std::env::var("SWITCHBOARD_URL").ok().filter(|url| !url.is_empty()).unwrap_or_else(|| DEFAULT_URL.to_owned())
}

/// From the flag, the environment, or the local key.
fn token_of(args: &ConnectArgs) -> anyhow::Result<String> {
    let given = args.token.clone().or_else(|| std::env::var("SWITCHBOARD_TOKEN").ok());
    match given.filter(|token| !token.is_empty()) {
        Some(token) => Ok(token),
        None => local_token(args),
    }
}

/// Signed with the key of a server that was started here; none is made for one that never was.
fn local_token(args: &ConnectArgs) -> anyhow::Result<String> {
    let data_dir = args.data_dir.clone().unwrap_or_else(token::default_data_dir);
    if !key_exists(&data_dir) {
        let data_dir = data_dir.display();
        bail!(
            "there is no key in {data_dir} to sign a token with: give --token, set SWITCHBOARD_TOKEN, or name the server's --data-dir"
        );
    }
    token::sign_for(&args.sub, &data_dir)
}

/// What woke the conversation.
enum Event {
    Line(Option<std::io::Result<String>>),
    Frame(anyhow::Result<Option<String>>),
    Interrupted,
    Idle,
}

struct Conversation {
    socket: Socket,
    recorder: Option<Recorder>,
    json: bool,
    wait: Duration,
}

impl Conversation {
    /// Until there is nothing more to say.
    async fn hold(&mut self) -> anyhow::Result<()> {
        let mut lines = Some(standard_input());
        let mut leave_at = None;
        let mut latest = None;
        loop {
            match next(&mut self.socket, &mut lines, leave_at).await {
                Event::Line(line) => match line.transpose().context("standard input cannot be read")? {
                    Some(line) => self.send(&line).await?,
                    None => {
                        lines = None;
                        latest = Some(Instant::now() + LONGEST_WAIT);
                        leave_at = Some(Instant::now() + self.wait);
                    }
                },
                Event::Frame(frame) => {
                    let counts = self.receive(frame?)?;
                    // Heartbeats come for ever, and answer nothing.
                    if let (Some(latest), true) = (latest, counts) {
                        leave_at = Some((Instant::now() + self.wait).min(latest));
                    }
                }
                Event::Interrupted | Event::Idle => return Ok(()),
            }
        }
    }

    async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        match line::to_frame(line) {
            Ok(Some(frame)) => {
                if let Some(recorder) = &mut self.recorder {
                    recorder.sent(&frame).context(NOT_RECORDED)?;
                }
                self.socket.send(frame).await
            }
            Ok(None) => Ok(()),
            Err(problem) => {
                eprintln!("not sent: {problem}");
                Ok(())
            }
        }
    }

    /// Prints what arrived. Whether it was more than a sign of life.
    fn receive(&mut self, frame: Option<String>) -> anyhow::Result<bool> {
        let Some(frame) = frame else { return Ok(false) };
        if let Some(recorder) = &mut self.recorder {
            recorder.came(&frame).context(NOT_RECORDED)?;
        }
        Ok(show::frame(&frame, self.json)?)
    }
}

type InputLines = mpsc::Receiver<std::io::Result<String>>;

/// Standard input, read on a thread of its own: such a read cannot be cancelled, and a runtime would
/// wait for it before the program may end.
fn standard_input() -> InputLines {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next thing to happen. Each branch loses nothing when another is first.
async fn next(socket: &mut Socket, lines: &mut Option<InputLines>, leave_at: Option<Instant>) -> Event {
    let line = async {
        match lines {
            Some(lines) => lines.recv().await,
            None => std::future::pending().await,
        }
    };
    let idle = async {
        match leave_at {
            Some(moment) => sleep_until(moment).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        frame = socket.next() => Event::Frame(frame),
        line = line => Event::Line(line),
        _ = tokio::signal::ctrl_c() => Event::Interrupted,
        () = idle => Event::Idle,
    }
}
