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

    /// Resets all connections of this moment.
    pub fn reset_all(&self) {
        self.tell_all(Condition::Reset);
    }

    /// Makes all connections of this moment half-open.
    pub fn silence_all(&self) {
        self.tell_all(Condition::Silent);
    }

    fn tell_all(&self, condition: Condition) {
        for connection in self.shared.connections.lock().expect("not poisoned").iter() {
            connection.condition.send_replace(condition);
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
async fn a_proxy_cuts_after_exactly_the_planned_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = listener.local_addr().expect("an address").to_string();
    let echo = tokio::spawn(async move {
        let mut received = Vec::new();
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut all = Vec::new();
            let mut buffer = [0; 64];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                all.extend_from_slice(&buffer[..read]);
                if stream.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            received.push(all.len());
            if received.len() == 3 {
                assert_eq!(received, [7, 20, 20], "bytes that the far side received");
                return;
            }
        }
    });
    let proxy = Proxy::start(&target).await;
    for (plan, comes_back) in [
        (Some(Plan::reset(Direction::ToServer, 7)), 0..=7),
        (Some(Plan::reset(Direction::ToClient, 5)), 5..=5),
        (None, 20..=20),
    ] {
        proxy.plan(plan);
        let mut stream = TcpStream::connect(proxy.address).await.expect("the proxy listens");
        stream.write_all(b"twenty bytes exactly").await.expect("written");
        let mut back = Vec::new();
        let mut buffer = [0; 64];
        while back.len() < 20 {
            match super::within_patience!("the echo", stream.read(&mut buffer)) {
                Ok(read @ 1..) => back.extend_from_slice(&buffer[..read]),
                _ => break,
            }
        }
        assert!(comes_back.contains(&back.len()), "{plan:?}: {} bytes came back", back.len());
        assert_eq!(back, b"twenty bytes exactly"[..back.len()]);
    }
    drop(proxy);
    super::within_patience!("the far side", echo).expect("it received what it should");
}
