//! The test host itself: it has to be as strict as the real one where a plugin could go wrong.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Report, TestHost};
use crate::{
    Ask, CatalogueError, ChangeError, Completed, Completing, Completion, Context, Error, Item, ItemRequest, Kind,
    Manifest, Message, Notice, Plugin, Prompt, PromptResult, RequestError, Resource, ResourceResult, ResourceTemplate,
    SealError, Severity, Span, Subject, Tool, ToolResult,
};

/// Does with its request what the message says.
#[derive(Default)]
struct Patient;

impl Plugin for Patient {
    fn manifest() -> Manifest {
        Manifest::new("patient", "1.0.0").handles_prefix("r.", |t| t)
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let requests = ctx.requests();
        let asked: Value = message.payload()?;
        let name = asked["name"].as_str().unwrap_or_default();
        match message.kind.as_str() {
            "r.wait" => {
                requests.begin(name)?;
                ctx.changes().watch(&Subject::Tools, Span::Request, "changed", &json!({ "for": name }))?;
                requests.leave_open(Some(Duration::from_secs(5)), &json!({ "late": name }))?;
                Ok(None)
            }
            "r.nameless" => {
                requests.leave_open(None, &json!({}))?;
                Ok(None)
            }
            "r.resume" => {
                requests.resume(name)?;
                requests.show(404, &["a".to_owned()]);
                Message::answer("done", &json!({ "name": name }))
            }
            "r.cancel" => Message::answer("done", &json!({ "was": requests.cancel(name) })),
            "r.watch" => {
                let payload = json!({ "for": "session" });
                ctx.changes().watch(&Subject::Tools, Span::Session, "changed", &payload)?;
                ctx.changes().watch(&Subject::Resource(name.to_owned()), Span::Session, "changed", &payload)?;
                Ok(None)
            }
            _ => {
                ctx.changes().changed(&Subject::Prompts)?;
                requests.begin(name)?;
                Message::answer("done", &json!({}))
            }
        }
    }
}

fn send(host: &mut TestHost, kind: &str, name: &str) -> super::Outcome {
    host.handle::<Patient>(kind, json!({ "name": name }))
}

#[test]
fn a_name_is_free_again_once_its_request_is_answered() {
    let mut host = TestHost::new();
    for _ in 0..2 {
        let outcome = send(&mut host, "r.answer", "7");
        assert_eq!((outcome.request.as_deref(), outcome.left_open), (Some("7"), false));
        assert_eq!(outcome.changed, [Subject::Prompts]);
    }
    assert!(send(&mut host, "r.wait", "7").left_open);
    assert_eq!(send(&mut host, "r.answer", "7").refusal().code, "REQUEST_UNDER_WAY");
    assert_eq!(send(&mut host, "r.answer", "").refusal().code, "REQUEST_INVALID");
    assert_eq!(send(&mut host, "r.nameless", "").refusal().code, "REQUEST_UNKNOWN");
    let mut host = host.user("bob");
    assert!(send(&mut host, "r.answer", "7").result.is_ok(), "names are those of a session");
}

#[test]
fn a_request_that_was_left_open_is_answered_by_a_later_call_or_by_the_host() {
    let mut host = TestHost::new();
    send(&mut host, "r.wait", "1");
    send(&mut host, "r.wait", "2");
    let outcome = send(&mut host, "r.resume", "1");
    assert_eq!((outcome.request.as_deref(), outcome.answer()["name"].as_str()), (Some("1"), Some("1")));
    let shown = outcome.shown.unwrap();
    assert_eq!((shown.status, shown.missing_scopes), (404, vec!["a".to_owned()]));
    assert_eq!(send(&mut host, "r.resume", "1").refusal().code, "REQUEST_UNKNOWN");
    assert_eq!(host.open_requests(), [("2".to_owned(), Some(Duration::from_secs(5)))]);
    host.advance(Duration::from_secs(5));
    assert_eq!(host.answered_by_host(), [json!({ "late": "2" })]);
    assert!(host.open_requests().is_empty() && host.answered_by_host().is_empty());
}

#[test]
fn what_is_cancelled_watches_no_longer_and_cannot_be_resumed() {
    let mut host = TestHost::new().request_under_way("elsewhere");
    send(&mut host, "r.wait", "1");
    assert_eq!(host.change(&Subject::Tools)[0].payload, json!({ "for": "1" }));
    assert!(host.change(&Subject::Prompts).is_empty());
    for (name, was) in [("1", true), ("1", false), ("elsewhere", true)] {
        assert_eq!(send(&mut host, "r.cancel", name).answer()["was"], was);
    }
    assert!(host.change(&Subject::Tools).is_empty());
    assert_eq!(send(&mut host, "r.resume", "1").refusal().code, "REQUEST_UNKNOWN");
}

#[test]
fn only_what_is_offered_can_be_watched() {
    let template = ResourceTemplate::new("test://files/{name}", "files");
    let mut host = TestHost::new().resource_template(&template, |uri| Ok(ResourceResult::text(uri, "text/plain", "")));
    assert!(send(&mut host, "r.watch", "test://files/a").result.is_ok());
    assert_eq!(send(&mut host, "r.watch", "test://files/a/b").refusal().code, "RESOURCE_NOT_FOUND");
    assert_eq!(host.change(&Subject::Resource("test://files/a".into())).len(), 1);
    assert_eq!(host.change(&Subject::Tools).len(), 1, "a second watch takes the place of the first");
}

/// Offers one of each.
#[derive(Default)]
struct Library;

impl Plugin for Library {
    fn manifest() -> Manifest {
        Manifest::new("library", "1.0.0").tools().resources().prompts().completions()
    }

    fn tools(&mut self, _: &Context) -> Result<Vec<Tool>, Error> {
        Ok(vec![Tool::with_schema("lend", "", json!({ "type": "object", "required": ["title"] }))])
    }

    fn call_tool(&mut self, ctx: &Context, _: &str, arguments: Value) -> Result<ToolResult, Error> {
        ctx.progress().report(1.0, Some(2.0), None)?;
        let heard = ctx.progress().log(Severity::Info, Some("desk"), &json!("searching"))?;
        let inputs = ctx.inputs();
        if inputs.state().is_none() {
            return Ok(Ask::new().roots("roots").state("asked").into());
        }
        let seen = json!({
            "title": arguments["title"], "responses": inputs.responses(), "state": inputs.state(),
            "can": inputs.client_capabilities(), "meta": inputs.meta(), "heard": heard,
        });
        ToolResult::structured("lent", &seen)
    }

    fn resources(&mut self, _: &Context) -> Result<Vec<Resource>, Error> {
        Ok(vec![Resource::new("test://catalogue", "catalogue")])
    }

    fn resource_templates(&mut self, _: &Context) -> Result<Vec<ResourceTemplate>, Error> {
        Ok(vec![ResourceTemplate::new("test://books/{+title}", "books")])
    }

    fn read_resource(&mut self, _: &Context, uri: &str) -> Result<ResourceResult, Error> {
        match uri {
            "test://books/none" => Err(Error::resource_not_found(uri)),
            _ => Ok(ResourceResult::text(uri, "text/plain", "text")),
        }
    }

    fn prompts(&mut self, _: &Context) -> Result<Vec<Prompt>, Error> {
        Ok(vec![Prompt::new("review", "").argument("title", "", true)])
    }

    fn get_prompt(&mut self, _: &Context, _: &str, arguments: Value) -> Result<PromptResult, Error> {
        Ok(PromptResult::user(arguments["title"].as_str().unwrap_or_default()))
    }

    fn complete(&mut self, _: &Context, asked: &Completing) -> Result<Completion, Error> {
        Ok(Completion::of((0..150).map(|number| format!("{}{number}", asked.value))))
    }
}

#[test]
fn a_plugins_own_offer_is_called_with_what_the_client_sent() {
    let mut host = TestHost::new();
    let asked = host.call_tool::<Library>("lend", json!({ "title": "Emma" })).unwrap();
    assert_eq!(asked.other["requestState"], "asked");
    assert_eq!(
        host.reports(),
        [
            Report::Progress { progress: 1.0, total: Some(2.0), message: None },
            Report::Log { severity: Severity::Info, logger: Some("desk".into()), data: json!("searching") },
        ]
    );
    let mut host = host
        .request_state("asked")
        .responses(&json!({ "roots": { "roots": [] } }))
        .client_capabilities(&json!({ "roots": {} }))
        .meta(&json!({ "m": 1 }));
    let lent = host.call_tool::<Library>("lend", json!({ "title": "Emma" })).unwrap().structured_content.unwrap();
    assert_eq!(lent["responses"], json!({ "roots": { "roots": [] } }));
    assert_eq!((&lent["can"], &lent["meta"]), (&json!({ "roots": {} }), &json!({ "m": 1 })));

    assert_eq!(host.list_resources::<Library>()[0]["uri"], "test://catalogue");
    assert_eq!(host.list_resource_templates::<Library>()[0]["name"], "books");
    assert_eq!(host.read_resource::<Library>("test://books/a/b").unwrap()["contents"][0]["text"], "text");
    assert_eq!(host.read_resource::<Library>("test://books/none").unwrap_err().code, "RESOURCE_NOT_FOUND");
    let review = host.get_prompt::<Library>("review", &json!({ "title": "Emma" })).unwrap();
    assert_eq!(review["messages"][0]["content"]["text"], "Emma");
    assert_eq!(host.get_prompt::<Library>("review", &json!({})).unwrap_err().code, "ARGUMENTS_INVALID");
    assert_eq!(host.get_prompt::<Library>("review", &json!({ "title": 7 })).unwrap_err().code, "ARGUMENTS_INVALID");
    let asked = Completing {
        what: Completed::Prompt("review".into()),
        argument: "title".into(),
        value: "E".into(),
        known: serde_json::Map::new(),
    };
    let completion = host.complete::<Library>(&asked).unwrap();
    assert_eq!((completion.values.len(), completion.total, completion.has_more), (100, Some(150), true));
}

/// Uses the catalogue and the seals as the message says.
#[derive(Default)]
struct Reader;

impl Plugin for Reader {
    fn manifest() -> Manifest {
        Manifest::new("reader", "1.0.0").handles_prefix("", |t| t)
    }
}

fn request(arguments: &Value) -> ItemRequest {
    let notice =
        |kind: &str| Notice { type_: kind.into(), payload: r#"{"into":{"token":7}}"#.into(), into: "/into".into() };
    ItemRequest {
        arguments: arguments.to_string(),
        responses: r#"{"r":1}"#.into(),
        state: Some("s".into()),
        client_capabilities: "{}".into(),
        meta: "{}".into(),
        on_progress: Some(notice("progress")),
        on_log: Some((Severity::Warning, notice("log"))),
    }
}

/// Runs a piece of a plugin within a call.
fn within<R>(host: &TestHost, body: impl FnOnce(&Context) -> R) -> (R, super::Outcome) {
    let context = super::call::context_of(&host.caller);
    super::call::begin::<Reader>(&host.world, &host.caller, context.clone());
    let result = super::imports::within(&host.world, || body(&Context::new(context)));
    (result, super::call::finish(&host.world, Ok(None)))
}

#[test]
fn the_catalogue_passes_on_what_is_sent_and_told() {
    let host = TestHost::new().offers_of::<Library>();
    let (result, outcome) =
        within(&host, |ctx| ctx.catalogue().get(&Item::Tool("lend".into()), &request(&json!({ "title": "Emma" }))));
    let result: Value = serde_json::from_str(&result.unwrap()).unwrap();
    let seen = &result["structuredContent"];
    assert_eq!((&seen["responses"], &seen["state"], &seen["heard"]), (&json!({ "r": 1 }), &json!("s"), &json!(false)));
    let told: Vec<_> = outcome.sent.iter().map(|sent| (sent.kind.as_str(), &sent.payload)).collect();
    assert_eq!(told, [("progress", &json!({ "into": { "token": 7, "progress": 1.0, "total": 2.0 } }))]);
}

#[test]
fn the_catalogue_says_what_is_wrong() {
    let refused = CatalogueError::Timeout;
    let host = TestHost::new().offers_of::<Library>().fails(Item::Tool("slow".into()), refused.clone());
    let get = |item: Item, arguments: Value| {
        within(&host, |ctx| ctx.catalogue().get(&item, &request(&arguments))).0.unwrap_err()
    };
    assert_eq!(get(Item::Tool("slow".into()), json!({})), refused);
    assert!(matches!(get(Item::Tool("lend".into()), json!({})), CatalogueError::InvalidArguments(_)));
    assert!(matches!(get(Item::Prompt("review".into()), json!({})), CatalogueError::InvalidArguments(_)));
    assert_eq!(get(Item::Tool("none".into()), json!({})), CatalogueError::Unknown("none".into()));
    let none = "test://books/none";
    assert_eq!(get(Item::Resource(none.into()), json!({})), CatalogueError::Unknown(none.into()));
    assert_eq!(get(Item::Resource("test://x".into()), json!({})), CatalogueError::Unknown("test://x".into()));
    let nowhere = ItemRequest {
        on_progress: Some(Notice { type_: "x".into(), payload: "{}".into(), into: "/a".into() }),
        ..request(&json!({ "title": "" }))
    };
    let (result, _) = within(&host, |ctx| ctx.catalogue().get(&Item::Tool("lend".into()), &nowhere));
    assert!(matches!(result, Err(CatalogueError::InvalidArguments(_))));
}

#[test]
fn lists_are_in_order_and_have_a_generation() {
    let host = TestHost::new().tool("b", |_| Ok(ToolResult::text(""))).tool("a", |_| Ok(ToolResult::text("")));
    let (before, _) = within(&host, |ctx| ctx.catalogue().list(Kind::Tools).unwrap());
    let names: Vec<Value> = serde_json::from_str(&before.items).unwrap();
    assert_eq!((&names[0]["name"], &names[1]["name"]), (&json!("a"), &json!("b")));
    let host = host.tool("c", |_| Ok(ToolResult::text(""))).private_lists();
    let (after, _) = within(&host, |ctx| ctx.catalogue().list(Kind::Tools).unwrap());
    assert!(before.generation != after.generation && !before.private && after.private);
}

#[test]
fn completions_are_those_of_what_is_offered() {
    let host = TestHost::new().offers_of::<Library>();
    let complete = |item: Item| within(&host, |ctx| ctx.catalogue().complete(&item, "title", "x", "{}")).0;
    let completed: Value = serde_json::from_str(&complete(Item::Prompt("review".into())).unwrap()).unwrap();
    assert_eq!(completed["values"][1], "x1");
    assert!(complete(Item::ResourceTemplate("test://books/{+title}".into())).is_ok());
    assert_eq!(complete(Item::Prompt("none".into())), Err(CatalogueError::Unknown("none".into())));
}

#[test]
fn a_seal_opens_only_for_whom_what_and_when_it_was_made() {
    let mut host = TestHost::new();
    let seal = |ctx: &Context| ctx.seals().seal("p", b"content", Duration::from_secs(1)).unwrap();
    let (sealed, _) = within(&host, seal);
    let open = |host: &TestHost, purpose: &str, sealed: &str| within(host, |ctx| ctx.seals().open(purpose, sealed)).0;
    assert_eq!(open(&host, "p", &sealed), Ok(b"content".to_vec()));
    assert_eq!(open(&host, "q", &sealed), Err(SealError::NotGenuine));
    assert_eq!(open(&host, "p", &format!("{sealed}AAAA")), Err(SealError::NotGenuine));
    assert_eq!(open(&host, "p", "x"), Err(SealError::NotGenuine));
    host = host.user("mallory");
    assert_eq!(open(&host, "p", &sealed), Err(SealError::NotGenuine));
    host = host.user("tester");
    host.advance(Duration::from_secs(2));
    assert_eq!(open(&host, "p", &sealed), Err(SealError::Expired));
    let (fault, _) = within(&host, |ctx| ctx.seals().seal("p", &vec![0; (64 << 10) + 1], Duration::from_secs(1)));
    assert!(matches!(fault, Err(SealError::LimitExceeded(_))));
}

#[test]
fn a_call_without_a_request_has_none_to_name_or_watch_for() {
    let host = TestHost::new();
    let (begun, _) = within(&host, |ctx| ctx.requests().begin("1"));
    assert_eq!(begun, Err(RequestError::Unknown));
    let (watched, _) = within(&host, |ctx| ctx.changes().watch(&Subject::Tools, Span::Request, "x", &json!({})));
    assert!(matches!(watched, Err(ChangeError::Other(_))));
}

#[test]
fn progress_has_to_increase() {
    let host = TestHost::new();
    let (again, _) = within(&host, |ctx| {
        ctx.progress().report(1.0, None, None).unwrap();
        ctx.progress().report(1.0, None, None)
    });
    assert!(again.is_err());
}
