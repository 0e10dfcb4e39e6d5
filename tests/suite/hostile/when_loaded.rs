//! Puts each file of the table into the folder of one running server, and looks at what comes of it.

use serde_json::{Value, json};

use super::{
    file::{BadFile, FILES},
    seen::{self, Row},
};
use crate::harness::{Client, Server};

/// What each file looked like. Panics if one of them did not meet what the table says.
pub async fn rows() -> Vec<Row> {
    let builder = FILES.iter().fold(Server::builder().system().crowd(), |builder, file| builder.config(file.config));
    let server = builder.start().await;
    let mut bystander = Client::connect(&server, "bob").await;
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    for file in FILES {
        match row(&server, &mut bystander, file).await {
            Ok(row) => rows.push(row),
            Err(fault) => faults.push(format!("{} {}: {fault}", file.plugin, file.is)),
        }
    }
    assert!(faults.is_empty(), "{} files came off otherwise:\n{}", faults.len(), faults.join("\n"));
    rows
}

async fn row(server: &Server, bystander: &mut Client, file: &BadFile) -> Result<Row, String> {
    let outcome = file.stage.unwrap_or("ready");
    let load = async {
        server.install_bytes(file.plugin, &file.bytes());
        server
            .plugin_status_when(file.plugin, |status| {
                !["loading", ""].contains(&status["state"].as_str().unwrap_or(""))
            })
            .await
    };
    let status = seen::while_others_are_served(bystander, load).await;
    let failure = &status["last_error"];
    let reason = failure["reason"].as_str().unwrap_or_default();
    if failure["stage"].as_str() != file.stage || !reason.to_lowercase().contains(&file.reason.to_lowercase()) {
        return Err(format!("wanted {:?} with {:?}, got {status}", file.stage, file.reason));
    }
    let (message_type, expected) = file.asked;
    let mut caller = Client::connect(server, "mallory").await;
    let answer = caller.request(message_type, json!({})).await;
    caller.close().await;
    let found = if answer["type"] == "error" { &answer["payload"]["code"] } else { &answer["type"] };
    if found != expected {
        return Err(format!("its caller wanted {expected}, got {answer}"));
    }
    let series = format!("switchboard_plugin_loads_total{{plugin=\"{}\",outcome=\"{outcome}\"}}", file.plugin);
    if server.metric(&series).await < 1.0 {
        return Err(format!("{series} was not counted"));
    }
    let line = seen::line(server, |line: &Value| {
        line["plugin"] == file.plugin && (file.stage.is_none() || line["stage"] == outcome)
    });
    let operator = line.as_ref().map_or_else(|| "no log line".to_owned(), |line| seen::logged(line, ""));
    if file.stage.is_none() {
        std::fs::remove_file(server.plugin_file(file.plugin)).expect("removed");
    }
    Ok(Row {
        attack: file.is.to_owned(),
        held_by: held_by(file),
        caller: format!("`{message_type}`: {}", seen::frame(&answer)),
        operator: format!("{operator}; `plugin_loads_total{{outcome=\"{outcome}\"}}`"),
    })
}

fn held_by(file: &BadFile) -> String {
    file.stage.map_or_else(|| "it is known by its file's name alone".to_owned(), |stage| format!("the stage `{stage}`"))
}
