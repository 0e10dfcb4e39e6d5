//! Reads what the host prints, and tells a newcomer what to try once it listens.

use std::{
    io::{BufRead, Write},
    process::Command,
};

use anyhow::bail;

use crate::process;

pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [data_dir, plugin_dir] = arguments else { bail!("`announce` is for `serve` to start") };
    let mut stdout = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match member(&line, "url") {
            Some(url) if line.contains(r#""event":"listening""#) => {
                let admin = member(&line, "admin_url").unwrap_or_default();
                write!(stdout, "{}", invitation(url, admin, &token(data_dir), data_dir, plugin_dir))?;
            }
            _ => writeln!(stdout, "{line}")?,
        }
        stdout.flush()?;
    }
    Ok(())
}

/// A string member of a flat JSON object. The host writes this line itself: no escapes, no nesting.
pub fn member<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.split_once(&format!("\"{name}\":\""))?.1;
    Some(start.split_once('"')?.0)
}

/// One for alice, or nothing if keys were configured, which sign elsewhere.
fn token(data_dir: &str) -> Option<String> {
    let mut command = Command::new(process::switchboard());
    let output = command.args(["token", "--sub", "alice", "--data-dir", data_dir]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The endpoint of MCP, on the same address.
fn mcp_url(url: &str) -> String {
    let address = url.strip_suffix("/ws").unwrap_or(url);
    format!("{}/mcp", address.replacen("ws", "http", 1))
}

fn invitation(url: &str, admin: &str, token: &Option<String>, data_dir: &str, plugin_dir: &str) -> String {
    let token_line = match token {
        Some(token) => format!("  a token for alice, good for an hour:\n    {token}\n"),
        None => "  no token was made: take one from where your keys sign\n".to_owned(),
    };
    let mcp = mcp_url(url);
    format!(
        "\nSwitchboard listens at {url}\n  MCP clients connect to {mcp} (docs/mcp.md)\n  metrics and health at {admin}\n{token_line}
Try, in another terminal:
  target/debug/switchboard connect {url} --data-dir {data_dir}
    then type `ping`, or `system {{\"action\":\"whoami\"}}`,
    or `user_message {{\"content\":\"what is 6 * 7?\"}}`
  target/debug/switchboard plugin new hello
  target/debug/switchboard plugin build hello --out {plugin_dir}
    and, in the open connection, type `hello {{\"name\":\"you\"}}`

Copying a component into {plugin_dir} replaces a plugin while it serves. Ctrl-C stops.\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_line_is_understood() {
        let line = r#"{"event":"listening","url":"ws://127.0.0.1:1/ws","admin_url":"http://127.0.0.1:2"}"#;
        assert_eq!(member(line, "url"), Some("ws://127.0.0.1:1/ws"));
        assert_eq!(member(line, "admin_url"), Some("http://127.0.0.1:2"));
        assert_eq!(member(line, "absent"), None);
    }

    #[test]
    fn the_invitation_names_the_addresses_and_the_token() {
        let text = invitation("ws://h:1/ws", "http://h:2", &Some("a.b.c".to_owned()), "d", "p");
        for part in ["connect ws://h:1/ws --data-dir d", "http://h:1/mcp", "http://h:2", "a.b.c", "--out p"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
