//! The reference of all settings, as docs/configuration.md has it.

use std::fmt::Write as _;

use super::{
    environment,
    setting::{Kind, Setting},
    settings::{SECRET, SECTIONS, Section},
    units,
};

const OPENING: &str = r#"# Configuration

<!-- Generated from the table of settings: `switchboard config reference`. -->

Everything has a default, so that `switchboard serve` needs no file. What you want otherwise stands in
one file, `switchboard.toml` in the working directory, or the one that `--config` or
`SWITCHBOARD_CONFIG` names (that one has to be there).

- **Layers.** Defaults, then the file, then environment variables, then flags; later ones win, setting by
  setting.
- **Applied as it is saved.** Only what is marked *restart* waits for the next start. A file with any
  fault is refused whole, the running settings stay, and all faults are logged at once, each with its line.
- **Look before.** `switchboard config check` tells all faults; `switchboard config show` prints what is in
  force, and where each value came from. Both take `--config FILE` and `--json`, and show no secret.
- **In the environment** a list is written with commas (`https://a.example,https://b.example`) or as in
  TOML, a table as a JSON object. `SWITCHBOARD_PLUGINS_AGENT_ENABLED` is `enabled` in `[plugins.agent]`.
- **Durations** are strings of whole numbers with units: `ms`, `s`, `m`, `h`, `d` (`"30s"`, `"1h30m"`).
  **Sizes** are numbers of bytes, or strings with a unit: `B`, `KiB`, `MiB`, `GiB`, `kB`, `MB`, `GB` (`"64KiB"`).
- **Paths** that are relative start from the file's folder if they stand in the file, else from the working
  directory.

```toml
[auth]
keys = ["https://id.example.com/.well-known/jwks.json"]
issuers = ["https://id.example.com/"]
audiences = ["switchboard"]

[origins]
environment = "production"

[origins.production]
allow = ["https://app.example.com", "https://*.preview.example.com"]

[plugins.agent]
required = true
settings = { model = "small" }

[plugins.agent.limits]
deadline = "60s"
```
"#;

const PLUGINS: &str = r#"
## `[plugins.NAME]`

`NAME` is that of the file in the plugin folder, without `.wasm`: 1 to 64 characters of `a-z 0-9 _ -`. What
is left out has the value of `[plugin_defaults]`.

## `[type_owners]`

Two plugins that declare the same message type are refused unless this table names the one that has it. It is
read from the file alone.

```toml
[type_owners]
"chat.message" = "chat"
```
"#;

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = OPENING.to_owned();
    for section in SECTIONS {
        write_section(&mut page, section, true);
    }
    page.push_str(PLUGINS);
    write_section(&mut page, &SECRET, false);
    page
}

fn write_section(page: &mut String, Section { path, sentence, settings }: &Section, with_variables: bool) {
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## `[{path}]`\n\n{sentence}\n\n| setting | default | meaning |\n| --- | --- | --- |\n");
    for setting in *settings {
        let default = match setting.default {
            "" => "not set".to_owned(),
            text => format!("`{text}`"),
        };
        let variable = match with_variables {
            true => format!("<br>`{}`", environment::variable(&format!("{path}.{}", setting.name))),
            false => String::new(),
        };
        let restart = if setting.fixed { " *restart*" } else { "" };
        let _ = writeln!(
            page,
            "| `{}`{restart}{variable} | {default} | {} Allowed: {}. |",
            setting.name,
            setting.sentence,
            allowed(setting),
        );
    }
}

fn allowed(Setting { kind, .. }: &Setting) -> String {
    match kind {
        Kind::Words(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or "),
        // The page says once how these are written.
        Kind::Time { min, max } => format!("{} to {}", units::format_duration(*min), units::format_duration(*max)),
        Kind::Bytes { min, max } => format!("{} to {}", units::format_size(*min), units::format_size(*max)),
        kind => kind.allowed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set to rewrite the pages instead of comparing them.
    const UPDATE: &str = "SWITCHBOARD_UPDATE_DOCS";

    fn is_fresh(file: &str, page: &str) {
        let path = format!("{}/../docs/{file}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "docs/{file} is stale; `{UPDATE}=1 cargo test -p switchboard --lib fresh` rewrites it"
        );
    }

    #[test]
    fn the_page_of_settings_is_fresh() {
        is_fresh("configuration.md", &page());
    }

    #[test]
    fn the_page_of_metrics_is_fresh() {
        is_fresh("metrics.md", &crate::telemetry::metrics_page());
    }

    #[test]
    fn the_example_of_the_page_has_no_faults() {
        let example = page().split("```").nth(1).unwrap().trim_start_matches("toml").to_owned();
        let checked = super::super::check::check(&super::super::raw::Sources::default(), Some(example.as_bytes()));
        let config = checked.unwrap().config;
        assert_eq!(config.plugin("agent").limits.deadline.as_secs(), 60);
        assert_eq!(config.origins.allow.len(), 2);
    }

    #[test]
    fn every_setting_is_on_the_page_under_one_variable_of_its_own() {
        let page = page();
        let mut seen = std::collections::BTreeSet::new();
        for (path, setting) in super::super::place::all() {
            let variable = environment::variable(&path);
            assert!(page.contains(&format!("`{}`", setting.name)), "{path}");
            assert!(page.contains(&variable) && seen.insert(variable), "{path}");
            assert!(setting.sentence.ends_with('.'), "{path}");
        }
    }
}
