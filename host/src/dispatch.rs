//! READ FIRST: the life of one message, in [`Dispatcher::handle_frame`].
//!
//! Only this module knows both sessions and plugins. What can be decided at once (is it a message, who
//! handles it, does the payload fit) is decided when the frame arrives, in order of arrival and on one
//! snapshot of the registry; the call into the plugin is handed back as a job, for the session's inbox
//! to run when its turn comes.

use std::{sync::Arc, time::Instant};

use futures_util::FutureExt as _;
use switchboard_protocol::ClientMessage;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

mod changes;
pub(crate) mod context;
pub(crate) mod deliver;
mod discovery;
pub(crate) mod exchanges;
mod handling;
mod host_message;
mod left_open;
mod lifecycle;
mod offers;
mod persistence;
mod publish;
pub(crate) mod reply;
mod revoked;
mod route;
mod sessions;
mod tool_call;
mod work;

pub(crate) use crate::topic::presence::WINDOW as PRESENCE_WINDOW;
use crate::{
    admission::MessageRate,
    auth::{Authenticator, Principal},
    config::LiveConfig,
    plugin::{Plugins, Who},
    session::{self, Attachment, Job, Session, Sessions, inbox::Lane},
    telemetry::Metrics,
    tools::Toolbox,
};
use context::Request;
use deliver::Deliver;
use handling::Handling;
pub(crate) use host_message::ResumeAsked;
use host_message::{ACK, RESUME};
use reply::Reply;

/// What is left to do about a frame.
pub(crate) enum Step {
    /// It was wrong, and the client has been told why.
    Refused,
    /// There were too many before it, and the client has been told.
    TooFast,
    /// It was in order, and no version can serve it at the moment; the client has been told.
    Unserved,
    /// It was in order, and nothing is left to do.
    Done,
    /// The client wants to go on with another session.
    Resume(ResumeAsked),
    /// To be run when its lane is free.
    Run(Lane, Job),
}

/// A reason not to handle a frame, and the message that it is about.
struct Refused {
    /// On the heap, because results that are mostly good should stay small.
    reply: Box<Reply>,
    correlation_id: Option<Arc<str>>,
}

/// What frames are handed to. One per host.
pub(crate) struct Dispatcher {
    config: LiveConfig,
    metrics: Arc<Metrics>,
    auth: Arc<Authenticator>,
    plugins: Arc<Plugins>,
    deliver: Arc<Deliver>,
    connections: TaskTracker,
}

impl Dispatcher {
    /// The whole life of one message:
    /// frame -> envelope -> route (one registry snapshot) -> payload against its schema -> plugin call
    /// -> answer -> session outbox. What the plugin emits meanwhile goes through [`Deliver`].
    pub fn handle_frame(self: &Arc<Self>, attachment: &Attachment, rate: &mut MessageRate, frame: &[u8]) -> Step {
        self.handle_frame_of(attachment.session.principal(), attachment, rate, frame)
    }

    /// The same, for a message that came with a token of its own.
    fn handle_frame_of(
        self: &Arc<Self>,
        principal: Arc<Principal>,
        attachment: &Attachment,
        rate: &mut MessageRate,
        frame: &[u8],
    ) -> Step {
        self.accept(principal, attachment, rate, frame).unwrap_or_else(|Refused { reply, correlation_id }| {
            let step = match () {
                () if reply.is_about_rate() => Step::TooFast,
                () if reply.blames_client() => Step::Refused,
                () => Step::Unserved,
            };
            self.refuse(&attachment.session, *reply, correlation_id.as_deref());
            step
        })
    }

    fn accept(
        self: &Arc<Self>,
        principal: Arc<Principal>,
        attachment: &Attachment,
        rate: &mut MessageRate,
        frame: &[u8],
    ) -> Result<Step, Refused> {
        let (session, received) = (&attachment.session, Instant::now());
        let config = self.config.load();
        if frame.len() > config.limits.max_message_bytes {
            let refused = Refused::unmarked(reply::too_large(frame.len(), config.limits.max_message_bytes));
            return Err(refused.unless_over(rate));
        }
        let message = ClientMessage::parse(frame, config.limits.max_json_depth)
            .map_err(|fault| Refused::from(fault).unless_over(rate))?;
        // Acknowledgements make room, and are asked for. Who comes back has one chance to say so, and is counted
        // by the reader when that is over.
        if !matches!(message.message_type.as_str(), ACK | RESUME) {
            rate.check(Some(&message.message_type))
                .map_err(|rate| Refused::to(&message, reply::rate_limited(&rate)))?;
        }
        if message.message_type.is_reserved() {
            return self.host_message(attachment, &message);
        }
        let registry = self.plugins.registry();
        let handler = route::find(&registry, &message, &Who::new(&principal, &session.id))?;
        let request = Request::new(&message, handler.version.clone(), principal, received);
        let Some(handling) = self.take_in(session, &message, &request) else { return Ok(Step::Done) };
        let lane = route::lane(&handler, &message);
        let span = request.span();
        let job = self.clone().answer(handling, request).instrument(span);
        Ok(Step::Run(lane, job.boxed()))
    }

    /// The part that waits: the call, and what becomes of its outcome.
    async fn answer(self: Arc<Self>, mut handling: Handling, mut request: Request) {
        let work = handling.start();
        let context = context::of_message(&self.config.load(), &handling.session, &request, work.0.clone());
        let message = request.take_message();
        let open = handling.request.clone();
        let outcome = if open.is_ended() {
            None
        } else {
            tokio::select! {
                // First, so that nothing is asked to wake a call that has nothing to wait for. If its request ended
                // meanwhile, nobody hears of its outcome.
                biased;
                outcome = request.version.handle(context, message) => Some(outcome),
                () = open.ended().cancelled() => None,
            }
        };
        let word = handling.end(&work, &request, outcome);
        request.count(&self.metrics, word);
    }
}

/// What a dispatcher is made of.
pub(crate) struct Parts {
    pub config: LiveConfig,
    pub metrics: Arc<Metrics>,
    pub auth: Arc<Authenticator>,
    pub plugins: Arc<Plugins>,
    pub sessions: Arc<Sessions>,
    pub toolbox: Arc<Toolbox>,
    /// For what sessions cause: it is waited for when the host leaves.
    pub connections: TaskTracker,
    pub tasks: TaskTracker,
}

impl Dispatcher {
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { config, metrics, auth, plugins, .. } = &parts;
        sessions::show_counters(metrics);
        Arc::new(Self {
            config: config.clone(),
            metrics: metrics.clone(),
            auth: auth.clone(),
            plugins: plugins.clone(),
            connections: parts.connections.clone(),
            deliver: Deliver::new(parts),
        })
    }

    /// Tells a client that its message was not taken in, because too many of its messages are.
    pub fn refuse_overflow(&self, session: &Session, frame: &[u8]) {
        let limits = &self.config.load().limits;
        let message = ClientMessage::parse(frame, limits.max_json_depth).ok();
        let correlation_id = message.as_ref().and_then(ClientMessage::answer_correlation);
        self.refuse(session, reply::too_many_in_flight(limits.max_in_flight), correlation_id);
    }

    /// An error for a message that does not come to its handler.
    fn refuse(&self, session: &Session, reply: Reply, correlation_id: Option<&str>) {
        self.deliver.error(session, reply, correlation_id);
        session.end_exchange(correlation_id);
    }

    /// Forgets what is no longer used. To be called now and then.
    pub fn reap(&self) {
        self.deliver.tidy_topics();
        let bounds = session::answers::Bounds::from(&self.config.load().sessions);
        self.deliver.answers.expire(&bounds, Instant::now());
    }
}

impl Refused {
    /// A frame that cannot be read counts, too, and there may have been too many before it.
    fn unless_over(self, rate: &mut MessageRate) -> Self {
        match rate.check(None) {
            Ok(()) => self,
            Err(exceeded) => Self { reply: Box::new(reply::rate_limited(&exceeded)), ..self },
        }
    }

    fn unmarked(reply: Reply) -> Self {
        Self { reply: Box::new(reply), correlation_id: None }
    }

    fn to(message: &ClientMessage<'_>, reply: Reply) -> Self {
        Self { reply: Box::new(reply), correlation_id: message.answer_correlation().map(Into::into) }
    }
}

impl From<switchboard_protocol::EnvelopeFault> for Refused {
    fn from(fault: switchboard_protocol::EnvelopeFault) -> Self {
        Self { correlation_id: fault.correlation_id().map(Into::into), reply: Box::new(reply::envelope(&fault)) }
    }
}

#[cfg(test)]
mod tests;
