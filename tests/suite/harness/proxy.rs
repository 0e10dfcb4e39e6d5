//! A TCP proxy on the loopback that spoils connections at an exact byte.
//!
//! It takes the plans in the order in which connections come in, and counts the bytes of each connection
//! by direction. A plan that says nothing lets everything pass. The proxy knows nothing of what it
//! forwards. It ends when it is dropped, and everything that goes through it with it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// Large enough for a burst, small enough for thousands of proxies.
const BUFFER: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// What happens to a connection at the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Both sides get a reset, as when a machine on the way forgets the connection.
    Reset,
    /// Nothing is forwarded any more in either direction and nobody is told: a half-open connection.
    Silence,
    /// Nothing more is read in this direction, so that its sender has to wait; the other goes on.
    Stall,
}

/// What one connection has before it: exactly `after` bytes are forwarded in the direction, then its fate.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub direction: Direction,
    pub after: u64,
    pub fate: Fate,
}

impl Plan {
    pub fn reset(direction: Direction, after: u64) -> Self {
        Self { direction, after, fate: Fate::Reset }
    }
}

/// A running proxy.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Ends all tasks when it is dropped.
    _tasks: JoinSet<()>,
}

struct Shared {
    target: SocketAddr,
    plans: Mutex<VecDeque<Option<Plan>>>,
    connections: Mutex<Vec<Arc<Connection>>>,
}

/// One connection: what went through it, and how it is told to end.
struct Connection {
    to_server: AtomicU64,
    to_client: AtomicU64,
    condition: watch::Sender<Condition>,
}

impl Connection {
    /// Orders the reset, and forwards nothing until it is done.
    async fn end(&self) {
        self.condition.send_replace(Condition::Reset);
        std::future::pending().await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Passing,
    Silent,
    Reset,
}

impl Proxy {
    /// Listens on a free port, and forwards to `target`, `127.0.0.1:PORT`.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            target: target.parse().expect("an address"),
            plans: Mutex::default(),
            connections: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _tasks: tasks }
    }

    /// `ws://127.0.0.1:PORT/ws`
    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// The plan of the next connection that has none yet; `None` lets it pass.
    pub fn plan(&self, plan: Option<Plan>) {
        self.shared.plans.lock().expect("not poisoned").push_back(plan);
    }

    /// Bytes that were forwarded on a connection, numbered from 0: to the server, and to the client.
    pub fn forwarded(&self, connection: usize) -> (u64, u64) {
        let connections = self.shared.connections.lock().expect("not poisoned");
        let connection = connections.get(connection).expect("there were as many connections");
        (connection.to_server.load(Ordering::SeqCst), connection.to_client.load(Ordering::SeqCst))
    }

    /// How many connections came in.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().expect("not poisoned").len()
    }

    /// Makes all connections of this moment half-open.
    pub fn silence_all(&self) {
        for connection in self.shared.connections.lock().expect("not poisoned").iter() {
            connection.condition.send_replace(Condition::Silent);
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let plan = shared.plans.lock().expect("not poisoned").pop_front().flatten();
                let connection = Arc::new(Connection {
                    to_server: AtomicU64::new(0),
                    to_client: AtomicU64::new(0),
                    condition: watch::Sender::new(Condition::Passing),
                });
                shared.connections.lock().expect("not poisoned").push(Arc::clone(&connection));
                connections.spawn(serve(client, shared.target, plan, connection));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Forwards both ways until both have ended or the connection is to be reset.
async fn serve(client: TcpStream, target: SocketAddr, plan: Option<Plan>, connection: Arc<Connection>) {
    let server = match TcpSocket::new_v4() {
        Ok(socket) => socket.connect(target).await,
        Err(fault) => Err(fault),
    };
    let Ok(server) = server else {
        reset(client);
        return;
    };
    for stream in [&client, &server] {
        // What was read is passed on at once, so that the cut is where the count says.
        let _ = stream.set_nodelay(true);
    }
    let mut condition = connection.condition.subscribe();
    let (mut from_client, mut into_client) = client.into_split();
    let (mut from_server, mut into_server) = server.into_split();
    let of = |direction| plan.filter(|plan| plan.direction == direction);
    let both = async {
        tokio::join!(
            forward(&mut from_client, &mut into_server, &connection.to_server, of(Direction::ToServer), &connection),
            forward(&mut from_server, &mut into_client, &connection.to_client, of(Direction::ToClient), &connection),
        );
    };
    tokio::select! {
        biased;
        // Ends only by a reset or when the proxy itself has gone.
        _ = condition.wait_for(|condition| *condition == Condition::Reset) => {}
        () = both => return,
    }
    for (read, write) in [(from_client, into_client), (from_server, into_server)] {
        reset(read.reunite(write).expect("halves of one stream"));
    }
}

/// Closes so that the other side gets a reset. What was written before is still delivered by the loopback.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// Forwards one direction up to the planned byte.
async fn forward(
    from: &mut OwnedReadHalf,
    into: &mut OwnedWriteHalf,
    count: &AtomicU64,
    plan: Option<Plan>,
    connection: &Connection,
) {
    let mut buffer = vec![0; BUFFER];
    let mut condition = connection.condition.subscribe();
    loop {
        let passed = count.load(Ordering::SeqCst);
        let allowed = match plan {
            Some(plan) if passed >= plan.after => {
                match plan.fate {
                    Fate::Reset => return connection.end().await,
                    // What comes from here on is read and thrown away.
                    Fate::Silence => drop(connection.condition.send_replace(Condition::Silent)),
                    Fate::Stall => std::future::pending().await,
                }
                buffer.len()
            }
            Some(plan) => usize::try_from(plan.after - passed).map_or(buffer.len(), |left| left.min(buffer.len())),
            None => buffer.len(),
        };
        let read = from.read(&mut buffer[..allowed]).await;
        let silent = *condition.borrow_and_update() == Condition::Silent;
        match read {
            // Neither bytes nor their end get to the other side.
            Ok(1..) if silent => continue,
            Ok(0) | Err(_) if silent => std::future::pending().await,
            Ok(0) => break,
            Ok(read) if into.write_all(&buffer[..read]).await.is_ok() => count.fetch_add(read as u64, Ordering::SeqCst),
            // What one side does to the connection is done to the other.
            Ok(_) | Err(_) => return connection.end().await,
        };
    }
    let _ = into.shutdown().await;
}

#[tokio::test]
async fn a_proxy_spoils_a_connection_at_exactly_the_planned_byte() {
    const SENT: &[u8] = b"twenty bytes exactly";
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address").to_string();
    let proxy = Proxy::start(&target).await;
    let of = |direction, after, fate| Some(Plan { direction, after, fate });
    // What arrives at the far side, and how much of its echo comes back before the connection ends or is
    // only silent.
    for (plan, arrives, returns, ends) in [
        (None, 20, 20, true),
        (of(Direction::ToServer, 7, Fate::Reset), 7, 0, true),
        (of(Direction::ToClient, 5, Fate::Reset), 20, 5, true),
        (of(Direction::ToClient, 0, Fate::Reset), 0, 0, true),
        (of(Direction::ToServer, 9, Fate::Silence), 9, 0, false),
        (of(Direction::ToClient, 8, Fate::Stall), 20, 8, false),
    ] {
        proxy.plan(plan);
        let mut near = TcpStream::connect(proxy.address).await.expect("the proxy listens");
        let (mut far, _) = super::within_patience!("the proxy", listener.accept()).expect("a connection");
        let _ = near.write_all(SENT).await;
        assert_eq!(read_up_to(&mut far, arrives).await, SENT[..arrives], "{plan:?}: what arrives");
        if arrives == SENT.len() {
            let _ = far.write_all(SENT).await;
        }
        assert_eq!(read_up_to(&mut near, returns).await, SENT[..returns], "{plan:?}: what comes back");
        if plan.is_none() {
            drop(far);
        }
        // Nothing follows: either the end, or for as long as anybody listens, nothing at all.
        let more = tokio::time::timeout(std::time::Duration::from_millis(100), near.read(&mut [0; 1])).await;
        assert!(!matches!(more, Ok(Ok(1..))), "{plan:?}: a byte too much");
        assert_eq!(more.is_ok(), ends, "{plan:?}: whether it ends");
    }
}

/// Reads until there are so many bytes, or no more come.
async fn read_up_to(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match super::within_patience!("a byte", stream.read(&mut bytes[filled..])) {
            Ok(read @ 1..) => filled += read,
            Ok(0) | Err(_) => break,
        }
    }
    bytes.truncate(filled);
    bytes
}
