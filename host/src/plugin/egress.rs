//! The way of a plugin's requests to other servers: what is not granted does not leave, what leaves is bounded,
//! and the operator's credentials are added on the way, where no plugin sees them.
//!
//! Every request passes the same steps: taken apart (`outgoing`), held against the grants, given a place among those
//! that are under way, its name resolved to addresses that may be reached (`resolver`, `address`), and its
//! answer read up to a bound. Redirects are not followed, since each is a request of its own that the plugin has
//! to ask for; proxies of the environment are not used, since they would resolve names in the host's stead;
//! nothing is decompressed, so that what is counted is what takes memory. There are no cookies.
//!
//! Each version of a plugin has a client of its own: a connection that was made under one version's grants
//! serves no other.

use std::{error::Error, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, redirect};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use self::{
    address::AddressRefused,
    outgoing::Target,
    record::Record,
    resolver::{Lookup, Resolver},
};
use super::{
    guest_text::one_line,
    status::{LoadFailure, Stage},
};
use crate::{
    config::{HostPattern, Network, PluginConfig, PluginLimits, setting::HTTP},
    telemetry::Metrics,
};

mod address;
mod fault;
mod outgoing;
mod record;
mod resolver;
#[cfg(test)]
mod tests;
pub(super) mod wasi;

pub(super) use fault::EgressFault;
pub(super) use outgoing::Outgoing;

/// For one address of a host, so that the next one is tried before the time is over.
const CONNECT: Duration = Duration::from_secs(5);

/// Connections to one host that wait for the next request, and how long: plugins come back soon, or not at all.
const IDLE_CONNECTIONS: usize = 4;
const IDLE: Duration = Duration::from_secs(30);

/// What is kept of a call's time, so that a plugin whose request takes too long can still say so: a tenth,
/// and at most this.
const MOST_KEPT: Duration = Duration::from_millis(250);

/// Of a client's error, for the plugin.
const MAX_PROBLEM_BYTES: usize = 200;

/// What one version of a plugin may send, and how.
pub(crate) struct Egress {
    plugin: Arc<str>,
    hosts: Vec<HostPattern>,
    networks: Arc<[Network]>,
    secrets: Vec<Credential>,
    max_request_bytes: usize,
    max_response_bytes: usize,
    max_wait: Duration,
    places: Arc<Semaphore>,
    client: Client,
    metrics: Arc<Metrics>,
}

/// A secret that was read.
struct Credential {
    host: HostPattern,
    header: HeaderName,
    value: HeaderValue,
}

/// What came back, whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Egress {
    /// What a plugin's config grants, with its secrets as they are now. None if `http` is not granted.
    pub async fn prepare(
        plugin: &Arc<str>,
        config: &PluginConfig,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Arc<Self>>, LoadFailure> {
        if !config.grants.allows(HTTP) {
            return Ok(None);
        }
        let (plugin, config, metrics) = (plugin.clone(), config.clone(), metrics.clone());
        // Files are read, and the machine's certificates.
        let made = tokio::task::spawn_blocking(move || Self::new(plugin, &config, metrics, resolver::system)).await;
        made.unwrap_or_else(|_| Err(LoadFailure::new(Stage::Secrets, "reading them crashed"))).map(Some)
    }

    fn new(
        plugin: Arc<str>,
        config: &PluginConfig,
        metrics: Arc<Metrics>,
        lookup: Lookup,
    ) -> Result<Arc<Self>, LoadFailure> {
        let secrets = credentials(&plugin, config)?;
        let hosts = config.grants.hosts.clone();
        let networks: Arc<[Network]> = config.grants.networks.as_slice().into();
        let PluginLimits { max_concurrent_outbound_requests: most, max_wait, .. } = config.limits;
        let resolver = Resolver { lookup, networks: networks.clone(), places: Arc::new(Semaphore::new(most)) };
        let client = client(resolver, hosts.iter().any(HostPattern::is_secure))
            .map_err(|fault| LoadFailure::new(Stage::Grants, format!("no requests can be sent: {}", cause(&fault))))?;
        Ok(Arc::new(Self {
            plugin,
            hosts,
            networks,
            secrets,
            max_request_bytes: config.limits.max_outbound_request_bytes,
            max_response_bytes: config.limits.max_outbound_response_bytes,
            max_wait,
            places: Arc::new(Semaphore::new(most)),
            client,
            metrics,
        }))
    }

    /// Sends a request and reads the whole answer, by the deadline of the call at the latest.
    pub async fn send(&self, outgoing: Outgoing, deadline: Instant) -> Result<Answered, EgressFault> {
        let mut record = Record::begin(self.plugin.clone(), self.metrics.clone());
        let result = self.sent(outgoing, deadline, &mut record).await;
        record.end(result.as_ref().map(|answer| answer.status));
        result
    }

    /// For a request that was not even begun, because the call's limit of them is used up.
    pub fn refuse(&self, fault: EgressFault) -> EgressFault {
        Record::begin(self.plugin.clone(), self.metrics.clone()).end(Err(&fault));
        fault
    }

    async fn sent(&self, outgoing: Outgoing, deadline: Instant, record: &mut Record) -> Result<Answered, EgressFault> {
        let target = Target::parse(&outgoing.url)?;
        record.target = target.shown();
        target.check(&self.hosts, &self.networks)?;
        let method = outgoing::method(&outgoing.method)?;
        let mut headers = outgoing::headers(outgoing.headers)?;
        if outgoing.body.len() > self.max_request_bytes {
            let (found, most) = (outgoing.body.len(), self.max_request_bytes);
            let problem = format!("the body has {found} bytes, and `max_outbound_request_bytes` allows {most}");
            return Err(EgressFault::TooLarge(problem));
        }
        self.add_credentials(&target, &mut headers);
        let by = give_up_at(Instant::now(), deadline, outgoing.timeout);
        let _place = self.place(by).await?;
        let shown = target.shown();
        let request = self.client.request(method, target.url).headers(headers).body(outgoing.body);
        let answered = async {
            let response = request.send().await.map_err(|fault| told(&fault, &shown))?;
            self.read(response).await
        };
        timeout_at(by, answered).await.unwrap_or(Err(EgressFault::TimedOut))
    }

    /// Whatever the plugin has put there gives way.
    fn add_credentials(&self, target: &Target, headers: &mut HeaderMap) {
        for Credential { header, value, .. } in self.secrets.iter().filter(|secret| target.is_in(&secret.host)) {
            headers.insert(header.clone(), value.clone());
        }
    }

    async fn place(&self, by: Instant) -> Result<OwnedSemaphorePermit, EgressFault> {
        let by = Instant::now().checked_add(self.max_wait).map_or(by, |end| by.min(end));
        match timeout_at(by, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(EgressFault::LimitExceeded(
                "as many requests are under way as `max_concurrent_outbound_requests` allows".to_owned(),
            )),
        }
    }

    async fn read(&self, mut response: Response) -> Result<Answered, EgressFault> {
        let most = self.max_response_bytes;
        let too_large = || {
            EgressFault::TooLarge(format!(
                "the answer has more bytes than `max_outbound_response_bytes` allows, {most}"
            ))
        };
        let headers = std::mem::take(response.headers_mut());
        let head: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let mut left = most.checked_sub(head).ok_or_else(too_large)?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|fault| broken(&fault))? {
            left = left.checked_sub(part.len()).ok_or_else(too_large)?;
            body.extend_from_slice(&part);
        }
        Ok(Answered { status: response.status().as_u16(), headers, body })
    }
}

fn credentials(plugin: &str, config: &PluginConfig) -> Result<Vec<Credential>, LoadFailure> {
    let (mut credentials, mut faults) = (Vec::new(), Vec::new());
    for (name, secret) in &config.secrets {
        match secret.read() {
            Ok(value) => {
                credentials.push(Credential { host: secret.host.clone(), header: secret.header.clone(), value })
            }
            Err(fault) => faults.push(format!("[plugins.{plugin}.secrets.{name}]: {fault}")),
        }
    }
    if faults.is_empty() { Ok(credentials) } else { Err(LoadFailure::new(Stage::Secrets, faults.join("; "))) }
}

fn client(resolver: Resolver, secure: bool) -> reqwest::Result<Client> {
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .dns_resolver(Arc::new(resolver))
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")));
    if !secure {
        // Nothing is granted that a certificate would be needed for; a machine may have none.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// When a request has to be over, if the call is over at `deadline`.
fn give_up_at(now: Instant, deadline: Instant, timeout: Option<Duration>) -> Instant {
    let left = deadline.saturating_duration_since(now);
    let by = deadline.checked_sub(MOST_KEPT.min(left / 10)).unwrap_or(deadline);
    timeout.and_then(|timeout| now.checked_add(timeout)).map_or(by, |end| end.min(by))
}

/// Why there was no answer. Only the innermost cause is told: those around it name addresses.
fn told(fault: &reqwest::Error, host: &str) -> EgressFault {
    if let Some(refused) = causes(fault).find_map(|cause| cause.downcast_ref::<AddressRefused>()) {
        return EgressFault::AddressNotGranted { host: host.to_owned(), refused: *refused };
    }
    if fault.is_timeout() {
        return EgressFault::TimedOut;
    }
    if fault.is_connect() {
        return EgressFault::Unreachable(format!("{host} cannot be reached: {}", cause(fault)));
    }
    broken(fault)
}

fn broken(fault: &reqwest::Error) -> EgressFault {
    if fault.is_timeout() {
        return EgressFault::TimedOut;
    }
    EgressFault::Other(format!("the answer was cut off, or is none: {}", cause(fault)))
}

fn cause(fault: &reqwest::Error) -> String {
    causes(fault).last().map(|cause| one_line(&cause.to_string(), MAX_PROBLEM_BYTES)).unwrap_or_default()
}

fn causes(fault: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = fault.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}
