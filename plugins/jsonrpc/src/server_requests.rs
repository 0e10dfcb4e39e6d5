//! Requests of the server, as the legacy revisions have them: what a tool, resource or prompt asks for is sent to the
//! client on the stream of its own request, which waits; when all answers are here, the plugin is asked again.
//!
//! A round of questions is remembered with the session under a number, which the ids of its requests carry. Answers can
//! come at the same time and in any order; whoever brings the last one goes on with the request. Everything that a
//! client could get wrong here is ignored: answers are never answered.

use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use switchboard_sdk::{Context, Error, Message};

use self::round::{Round, Waiting};
use crate::{
    Answer, Settings, TYPE,
    era::{self, Caller, Era},
    input_required::{Asked, Given, Question},
    items::{self, Gotten, Wanted},
    legacy, respond,
    rpc::{Fault, Reply, Request, Response, id},
    text::{Members, is_object, members, to_raw},
};

mod round;

/// How often one request can ask: enough for a conversation, and an end for a plugin that always asks again.
const MAX_ROUNDS: u32 = 32;

/// Gets the item, and asks the client as often as that takes.
pub(crate) fn get(
    ctx: &Context,
    settings: &Settings,
    request: &Request<'_>,
    wanted: &Wanted<'_>,
    caller: &Caller<'_>,
    mut given: Given,
    first_round: u32,
) -> Answer {
    for round in first_round..MAX_ROUNDS {
        let gotten = items::get(ctx, wanted, caller, given).map_err(|fault| legacy::in_own_words(fault, wanted))?;
        let asked = match gotten {
            Gotten::Complete(result) => return legacy::complete(result).map(Some),
            Gotten::InputRequired(asked) => asked,
        };
        let missing = asked.missing(&caller.capabilities);
        if !missing.is_empty() {
            // These revisions have no error for it.
            let missing: Vec<&str> = missing.keys().map(String::as_str).collect();
            let problem = format!("it needs what the client cannot do: {}", missing.join(", "));
            return failure(wanted, &problem, "Do without it, or use another client.");
        }
        if !asked.requests.is_empty() {
            return ask(ctx, settings, request, wanted, asked, round);
        }
        // It only wants to be asked again.
        given = Given { responses: "{}".to_owned(), state: asked.state };
    }
    failure(wanted, &format!("it asked the client {MAX_ROUNDS} times without an end"), "Do without it.")
}

fn failure(wanted: &Wanted<'_>, problem: &str, advice: &str) -> Answer {
    legacy::complete(wanted.failure(problem, advice)?).map(Some)
}

/// Sends the questions, and leaves the request open for the answers.
fn ask(
    ctx: &Context,
    settings: &Settings,
    request: &Request<'_>,
    wanted: &Wanted<'_>,
    asked: Asked,
    round: u32,
) -> Answer {
    let late = wanted.failure("the client did not answer in time", "Try again when the user is there.");
    let late = Response::new(request.id, late.and_then(legacy::complete));
    let waiting = asked.requests.iter().map(|(key, question)| Waiting::new(key, question)).collect();
    let round = Round::new(request, asked.state, round, waiting, settings.input_wait())?;
    let sent = || -> Result<(), Error> {
        let number = round.store(ctx)?;
        ctx.requests().leave_open(Some(settings.input_wait()), &late)?;
        for (index, question) in asked.requests.values().enumerate() {
            let id = round::id_of(number, index);
            let question = in_legacy_words(question, &id).map_err(|fault| Error::internal(fault.message))?;
            let params = question.params.as_deref();
            ctx.messages().reply(TYPE, &ServerRequest { jsonrpc: "2.0", id, method: &question.method, params })?;
        }
        Ok(())
    };
    match sent() {
        Ok(()) => Ok(None),
        Err(error) => failure(wanted, &format!("the client could not be asked: {}", error.message), "Try again later."),
    }
}

#[derive(Serialize)]
struct ServerRequest<'a> {
    jsonrpc: &'static str,
    id: String,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
}

/// What these revisions have otherwise: revision 2025-06-18 knows no modes, where the form needs none in either; and a
/// URL comes with an id of the elicitation in 2025-11-25 (client/elicitation).
fn in_legacy_words(question: &Question, id: &str) -> Result<Question, Fault> {
    let mut question = question.clone();
    let Some(params) = question.params.take_if(|params| question.method == "elicitation/create" && is_object(params))
    else {
        return Ok(question);
    };
    let mut params: Members = members(params.get())?;
    match params.get("mode").map(|mode| mode.get()) {
        Some(r#""form""#) => drop(params.remove("mode")),
        Some(r#""url""#) if !params.contains_key("elicitationId") => {
            params.insert("elicitationId".into(), to_raw(id)?);
        }
        _ => {}
    }
    question.params = Some(to_raw(&params)?);
    Ok(question)
}

/// A client answered: the last answer of a round goes on with the request.
pub(crate) fn replied(ctx: &Context, reply: &Reply<'_>) -> Result<Option<Message>, Error> {
    let Some((number, index)) = reply.id.and_then(round::number_of) else { return Ok(None) };
    let Some(round) = Round::answered(ctx, number, index, |waiting| seen_by_plugin(waiting, reply))? else {
        return Ok(None);
    };
    // Cancelled, or answered by the host because it took too long.
    if ctx.requests().resume(&id::name_of(&round.id)).is_err() {
        return Ok(None);
    }
    respond(ctx, &round.id, go_on(ctx, &round))
}

fn go_on(ctx: &Context, round: &Round) -> Answer {
    let settings: Settings = ctx.settings().map_err(Fault::internal)?;
    let request = Request { id: &round.id, method: round.method.clone(), params: Some(&round.params) };
    let Era::Legacy(meta) = era::of(&request)? else {
        return Err(Fault::internal("a request of another era was left open"));
    };
    let wanted = Wanted::of(&request)?;
    let caller = legacy::caller(ctx, meta)?;
    let given = Given { responses: to_raw(&round.responses)?.get().to_owned(), state: round.state.clone() };
    get(ctx, &settings, &request, &wanted, &caller, given, round.number + 1)
}

/// The client's result; or that there is none, in a form that the plugin can tell from one.
fn seen_by_plugin(waiting: &Waiting, reply: &Reply<'_>) -> Box<RawValue> {
    #[derive(Deserialize, Serialize)]
    struct ClientError {
        code: i64,
        message: String,
    }
    let error = match reply.outcome {
        Ok(result) if is_object(result) => return result.to_owned(),
        // Whoever asks a user has to expect that there is no answer.
        _ if waiting.method == "elicitation/create" => json!({ "action": "cancel" }),
        Ok(_) => json!({ "error": { "code": -32603, "message": "the client's result was not an object" } }),
        Err(error) => {
            let error = error.and_then(|error| serde_json::from_str::<ClientError>(error.get()).ok());
            let unknown = || ClientError { code: -32603, message: "the client refused".to_owned() };
            json!({ "error": error.unwrap_or_else(unknown) })
        }
    };
    to_raw(&error).unwrap_or_default()
}
