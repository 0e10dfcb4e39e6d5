//! Sends a request as components of other toolchains do, with `wasi:http`: `{authority, path, body}` is answered with
//! the status and body of the answer, or with the error's name.

wit_bindgen::generate!({
    path: ["../../../wit", "wit/io.wit", "wit/http.wit"],
    inline: "
        package test:wasi-fetcher;
        world raw {
            import wasi:http/outgoing-handler@0.2.0;
            export switchboard:plugin/plugin@0.1.0;
            export switchboard:plugin/handler@0.1.0;
        }
    ",
    world: "test:wasi-fetcher/raw",
    generate_all,
});

use exports::switchboard::plugin::{handler, plugin};
use serde_json::{Value, json};
use switchboard::plugin::types::{Context, Message, Refusal};
use wasi::{
    http::{
        outgoing_handler,
        types::{Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme},
    },
    io::streams::StreamError,
};

struct WasiFetcher;

impl plugin::Guest for WasiFetcher {
    fn manifest() -> String {
        r#"{"name":"wasi-fetcher","version":"1.0.0","handles":[{"type":"wasi_fetch"}]}"#.to_owned()
    }
}

impl handler::Guest for WasiFetcher {
    fn handle(_ctx: Context, message: Message) -> Result<Option<Message>, Refusal> {
        let asked: Value = serde_json::from_str(&message.payload).unwrap_or_default();
        let payload = match fetch(&asked) {
            Ok((status, body)) => json!({ "status": status, "body": body }),
            Err(error) => json!({ "error": error }),
        };
        Ok(Some(Message { type_: "wasi_fetch_result".to_owned(), payload: payload.to_string(), ..message }))
    }
}

fn fetch(asked: &Value) -> Result<(u16, String), String> {
    let refused = |()| "a part of the request was refused".to_owned();
    let body = asked["body"].as_str().unwrap_or_default();
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).map_err(refused)?;
    request.set_authority(asked["authority"].as_str()).map_err(refused)?;
    request.set_path_with_query(asked["path"].as_str()).map_err(refused)?;
    request.set_method(&Method::Post).map_err(refused)?;
    let outgoing = request.body().map_err(refused)?;
    let response = outgoing_handler::handle(request, None).map_err(|error| format!("{error:?}"))?;
    let stream = outgoing.write().map_err(refused)?;
    for part in body.as_bytes().chunks(1_000) {
        stream.blocking_write_and_flush(part).map_err(|error| format!("{error:?}"))?;
    }
    drop(stream);
    OutgoingBody::finish(outgoing, None).map_err(|error| format!("{error:?}"))?;
    response.subscribe().block();
    let response = response.get().ok_or("it is not ready")?.map_err(refused)?.map_err(|error| format!("{error:?}"))?;
    Ok((response.status(), read(&response)?))
}

fn read(response: &IncomingResponse) -> Result<String, String> {
    let body = response.consume().map_err(|()| "no body")?;
    let stream = body.stream().map_err(|()| "no stream")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(4_096) {
            Ok(part) => bytes.extend(part),
            Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => return Err(format!("{error:?}")),
        }
    }
}

export!(WasiFetcher);
