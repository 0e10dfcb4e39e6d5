//! `switchboard config`: what is wrong with the settings, which are in force, and which there are.
//!
//! It goes through the same check as the start of the host and every reload.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::{
    config::{
        check::{self, Checked},
        document,
        effective::Effective,
        fault::{Faults, Origin},
        raw::Sources,
    },
    telemetry,
};

/// Check and show the settings.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell everything that is wrong with the settings, each with its place. Exits with 1 if anything is.
    Check(Input),
    /// Print every setting in force, and where its value came from. Shows no secret.
    Show(Input),
    /// Print the reference of all settings, or of all metrics, in Markdown.
    Reference {
        #[arg(value_enum, default_value_t = Subject::Settings)]
        subject: Subject,
    },
}

#[derive(Debug, Args)]
struct Input {
    /// The settings file [default: switchboard.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer with one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Subject {
    Settings,
    Metrics,
}

/// Runs the command.
///
/// # Errors
///
/// When standard output cannot be written to.
pub(crate) fn run(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    match args.command {
        Command::Check(input) => check_settings(input, &mut out, &mut err),
        Command::Show(input) => show_settings(input, &mut out, &mut err),
        Command::Reference { subject: Subject::Settings } => {
            out.write_all(document::page().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Reference { subject: Subject::Metrics } => {
            out.write_all(telemetry::metrics_page().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check_settings(input: Input, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut checked = match load(input.config) {
        Ok(checked) => checked,
        Err(faults) => return tell_faults(&faults, input.json, out, err),
    };
    let missing = missing_secrets(&checked);
    checked.warnings.extend(missing);
    if input.json {
        writeln!(out, "{}", json!({ "ok": true, "faults": [], "warnings": checked.warnings }))?;
        return Ok(ExitCode::SUCCESS);
    }
    tell_warnings(&checked, err)?;
    writeln!(out, "No faults. {}", tally(&checked))?;
    Ok(ExitCode::SUCCESS)
}

/// What cannot be read here may be there where the server runs.
fn missing_secrets(checked: &Checked) -> Vec<String> {
    let plugins = checked.config.plugins.iter();
    let secrets = plugins.flat_map(|(plugin, section)| section.secrets.iter().map(move |secret| (plugin, secret)));
    let told = secrets.filter_map(|(plugin, (name, secret))| {
        let fault = secret.read().err()?;
        Some(format!("plugins.{plugin}.secrets.{name}: {fault}; the plugin does not load without it"))
    });
    told.collect()
}

fn show_settings(input: Input, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let checked = match load(input.config) {
        Ok(checked) => checked,
        Err(faults) => return tell_faults(&faults, input.json, out, err),
    };
    if input.json {
        let settings: Vec<_> = checked.effective.iter().map(Effective::to_json).collect();
        writeln!(out, "{}", json!({ "settings": settings, "warnings": checked.warnings }))?;
        return Ok(ExitCode::SUCCESS);
    }
    tell_warnings(&checked, err)?;
    for effective in &checked.effective {
        writeln!(out, "{:<72} # {}", assignment(effective), effective.origin)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn load(file: Option<PathBuf>) -> Result<Checked, Faults> {
    let mut sources = Sources::from_environment();
    sources.file = file;
    check::load(&sources)
}

fn tell_faults(faults: &Faults, json: bool, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    if json {
        let faults: Vec<_> = faults.0.iter().map(crate::config::fault::Fault::to_json).collect();
        writeln!(out, "{}", json!({ "ok": false, "faults": faults }))?;
    } else {
        writeln!(err, "{faults}")?;
        let noun = if faults.0.len() == 1 { "fault" } else { "faults" };
        writeln!(err, "{} {noun}.", faults.0.len())?;
    }
    Ok(ExitCode::FAILURE)
}

fn tell_warnings(checked: &Checked, err: &mut impl Write) -> io::Result<()> {
    checked.warnings.iter().try_for_each(|warning| writeln!(err, "warning: {warning}"))
}

/// How many settings came from where.
fn tally(checked: &Checked) -> String {
    let count = |wanted: fn(&Origin) -> bool| checked.effective.iter().filter(|e| wanted(&e.origin)).count();
    let from_file = count(|origin| matches!(origin, Origin::File { .. }));
    let from_environment = count(|origin| matches!(origin, Origin::Environment(_)));
    let defaults = count(|origin| *origin == Origin::Default);
    format!("Settings from the file: {from_file}, from the environment: {from_environment}, defaults: {defaults}.")
}

/// A line of TOML, so that what is shown can be written to a file.
fn assignment(effective: &Effective) -> String {
    let value = toml::Value::try_from(&effective.value).map_or_else(|_| effective.value.to_string(), |v| v.to_string());
    format!("{} = {value}", effective.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_on(
        text: &str,
        json: bool,
        command: fn(Input, &mut Vec<u8>, &mut Vec<u8>) -> anyhow::Result<ExitCode>,
    ) -> (ExitCode, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("switchboard.toml");
        std::fs::write(&file, text).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = command(Input { config: Some(file), json }, &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    const GOOD: &str =
        "[limits]\nmax_in_flight = 7\n[plugins.agent]\nsettings = { api_key = \"s3cret\", model = \"small\" }\n";
    const BAD: &str = "[limits]\nmax_in_flight = 0\nmax_in_fligth = 1\n";

    #[test]
    fn what_is_shown_is_toml_that_means_the_same_and_holds_no_secret() {
        let (code, out, _) = run_on(GOOD, false, show_settings);
        assert_eq!(code, ExitCode::SUCCESS);
        assert!(
            out.lines()
                .any(|line| line.starts_with("limits.max_in_flight = 7 ") && line.contains("switchboard.toml:2:17")),
            "{out}"
        );
        assert!(
            out.lines().any(|line| line.starts_with("limits.max_connections = 10000 ") && line.ends_with("# default")),
            "{out}"
        );
        assert!(!out.contains("s3cret") && out.contains("small"), "{out}");
        let again = check::check(&Sources::default(), Some(out.as_bytes())).unwrap();
        assert_eq!(again.config.limits.max_in_flight, 7);
    }

    #[test]
    fn faults_go_to_standard_error_for_people_and_to_standard_output_as_json() {
        let (code, out, err) = run_on(BAD, false, check_settings);
        assert_eq!((code, out.as_str()), (ExitCode::FAILURE, ""));
        assert!(
            err.contains(":2:17: limits.max_in_flight: is 0") && err.contains("did you mean `max_in_flight`?"),
            "{err}"
        );
        assert!(err.ends_with("2 faults.\n"), "{err}");
        let (code, out, err) = run_on(BAD, true, show_settings);
        assert_eq!((code, err.as_str()), (ExitCode::FAILURE, ""));
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(answer["ok"], false);
        assert_eq!(answer["faults"][0]["line"], 2);
        assert_eq!(answer["faults"][1]["setting"], "limits.max_in_fligth");
    }

    #[test]
    fn a_file_without_faults_is_called_so() {
        let (code, out, _) = run_on(GOOD, false, check_settings);
        assert_eq!(code, ExitCode::SUCCESS);
        assert!(out.starts_with("No faults. Settings from the file: 2, "), "{out}");
        let (_, out, _) = run_on(GOOD, true, check_settings);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["ok"], true);
    }
}
