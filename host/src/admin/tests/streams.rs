//! Logs as they come.

use serde_json::Map;

use super::*;
use crate::telemetry::recent::{LogLevel, LogLine, Writer};

fn line(level: LogLevel, message: &str) -> LogLine {
    LogLine { time: 1.0, level, writer: Writer::Plugin, message: message.to_owned(), fields: Map::new() }
}

/// Reads on until the text is there.
async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the stream ended without {wanted:?}: {text}");
        text += &String::from_utf8_lossy(&buffer[..read]);
    }
    text
}

#[tokio::test]
async fn the_lines_that_are_there_come_by_level_and_number_and_then_the_stream_ends() {
    let listener = Listener::start().await;
    for (level, message) in [(LogLevel::Warn, "first"), (LogLevel::Debug, "second"), (LogLevel::Error, "third")] {
        listener.recent.add_line("echo", line(level, message));
    }
    let answer = listener.get("/plugins/echo/logs").await;
    assert!(answer.head.contains("text/event-stream"), "{}", answer.head);
    assert_eq!(answer.body.matches("event: line").count(), 3, "{}", answer.body);
    let answer = listener.get("/plugins/echo/logs?level=warn&lines=1").await.body;
    assert!(answer.contains("third") && !answer.contains("first"), "{answer}");
    assert_eq!(listener.get("/plugins/absent/logs").await.status, 404);
    assert_eq!(listener.get("/plugins/echo/logs?level=loud").await.status, 400);
}

#[tokio::test]
async fn who_follows_gets_each_line_as_it_comes_until_the_host_stops() {
    let listener = Listener::start().await;
    listener.recent.add_line("echo", line(LogLevel::Info, "before"));
    let bearer = listener.bearer(Scope::Read);
    let headers = [("Authorization", bearer.as_str())];
    let mut stream = listener.open("GET", "/plugins/echo/logs?follow=true&level=info", &headers, b"").await;
    read_until(&mut stream, "before").await;
    listener.recent.add_line("echo", line(LogLevel::Debug, "too little"));
    listener.recent.add_line("slow", line(LogLevel::Info, "of another"));
    listener.recent.add_line("echo", line(LogLevel::Info, "after"));
    let text = read_until(&mut stream, "after").await;
    assert!(!text.contains("too little") && !text.contains("of another"), "{text}");
    listener.draining.cancel();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "the stream ends in good order: {rest:?}");
}
