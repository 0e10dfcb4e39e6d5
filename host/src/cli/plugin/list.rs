//! `switchboard plugin list`: the plugins of a running host, and how each of them is.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::{AdminClient, HostArgs, short, table};

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    host: HostArgs,
}

/// What is shown of a plugin. A host of another version may say more, or less.
#[derive(Deserialize)]
struct Plugin {
    name: String,
    state: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    types: Vec<String>,
    last_error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    stage: String,
    reason: String,
}

pub(super) async fn run(args: ListArgs) -> anyhow::Result<()> {
    let answer: Value = AdminClient::new(&args.host.admin)?.get(&["plugins"]).await?;
    let plugins = Vec::<Plugin>::deserialize(&answer)?;
    table::print(args.host.json, &answer, || text(&plugins))
}

fn text(plugins: &[Plugin]) -> String {
    if plugins.is_empty() {
        return "no plugins; `switchboard plugin deploy FILE` brings one\n".to_owned();
    }
    let rows: Vec<_> = plugins.iter().map(row).collect();
    let mut text = table::table(["NAME", "STATE", "VERSION", "DIGEST", "TYPES"], &rows);
    for plugin in plugins {
        if let Some(Failure { stage, reason }) = &plugin.last_error {
            text += &format!("\n{}: would not be loaded\n  at {stage}: {}\n", plugin.name, table::plain(reason));
        }
    }
    text
}

fn row(plugin: &Plugin) -> [String; 5] {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    [
        plugin.name.clone(),
        plugin.state.clone(),
        or_dash(&plugin.version),
        or_dash(short(&plugin.digest)),
        or_dash(&plugin.types.join(" ")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_plugin_is_a_row_and_a_failure_is_told_as_the_check_tells_it() {
        let plugins: Vec<Plugin> = serde_json::from_str(
            r#"[{"name":"echo","state":"serving","version":"1.0.0","digest":"0123456789abcdef","types":["a","b.*"]},
                {"name":"odd","state":"failed","last_error":{"stage":"grants","reason":"it imports `topics`"}}]"#,
        )
        .unwrap();
        let expected = "NAME  STATE    VERSION  DIGEST        TYPES\n\
                        echo  serving  1.0.0    0123456789ab  a b.*\n\
                        odd   failed   -        -             -\n\
                        \nodd: would not be loaded\n  at grants: it imports `topics`\n";
        assert_eq!(text(&plugins), expected);
        assert!(text(&[]).contains("plugin deploy"));
    }
}
