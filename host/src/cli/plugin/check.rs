//! `switchboard plugin check`: would the host take these files?
//!
//! The verdict comes from the host's own way from a file to traffic, without the traffic; this file
//! only asks for it and words it.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::bail;
use serde::Serialize;

use super::CheckArgs;

/// What a component is that would be loaded.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Fit {
    name: String,
    version: String,
    /// Message types, prefixes with a `*`.
    types: Vec<String>,
    imports: Vec<String>,
}

/// Why one would not be.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Misfit {
    /// How far it came: `capture`, `validate`, `compile`, `manifest` ...
    stage: String,
    reason: String,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Verdict<'a> {
    file: &'a Path,
    fits: bool,
    #[serde(flatten)]
    fit: Option<&'a Fit>,
    #[serde(flatten)]
    misfit: Option<&'a Misfit>,
}

pub(super) fn run(args: CheckArgs) -> anyhow::Result<()> {
    let mut refused = 0_usize;
    for file in &args.files {
        let outcome = check_file(file, args.config.as_ref())?;
        refused += usize::from(outcome.is_err());
        println(&if args.json { as_json(file, &outcome)? } else { as_text(file, &outcome) })?;
    }
    match refused {
        0 => Ok(()),
        _ => bail!("{refused} of {} would not be loaded", args.files.len()),
    }
}

fn println(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

fn as_json(file: &Path, outcome: &Result<Fit, Misfit>) -> anyhow::Result<String> {
    let verdict = Verdict { file, fits: outcome.is_ok(), fit: outcome.as_ref().ok(), misfit: outcome.as_ref().err() };
    Ok(serde_json::to_string(&verdict)?)
}

fn as_text(file: &Path, outcome: &Result<Fit, Misfit>) -> String {
    let file = file.display();
    match outcome {
        Ok(fit) => {
            let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            format!(
                "{file}: fits\n  {} {}\n  handles {}\n  imports {}",
                fit.name,
                fit.version,
                list(&fit.types),
                list(&fit.imports)
            )
        }
        Err(misfit) => format!("{file}: would not be loaded\n  at {}: {}", misfit.stage, misfit.reason),
    }
}

/// The seam to the host's loading pipeline. A fault is one of the configuration.
fn check_file(_file: &Path, _config: Option<&PathBuf>) -> anyhow::Result<Result<Fit, Misfit>> {
    bail!("not joined to the loading pipeline yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misfit_names_the_file_the_stage_and_the_reason() {
        let misfit = Misfit { stage: "grants".to_owned(), reason: "it imports `topics`".to_owned() };
        let text = as_text(Path::new("a.wasm"), &Err(misfit));
        assert_eq!(text, "a.wasm: would not be loaded\n  at grants: it imports `topics`");
    }

    #[test]
    fn json_has_the_verdict_on_one_line() {
        let fit = Fit { name: "a".into(), version: "1.0.0".into(), types: vec!["ping".into()], imports: vec![] };
        let line = as_json(Path::new("a.wasm"), &Ok(fit)).expect("written");
        assert_eq!(line, r#"{"file":"a.wasm","fits":true,"name":"a","version":"1.0.0","types":["ping"],"imports":[]}"#);
    }
}
