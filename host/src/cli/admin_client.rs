//! Asks a running host on its admin listener: where that is, with which token, and in which words a
//! failure is told.
//!
//! The settings are read for their addresses and folders alone. Settings that are wrong hold nobody up who
//! has to revoke a token now: then the defaults count.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    auth::operator::{Secret, token_file},
    config::{ServerConfig, check, raw::Sources},
};

/// An answer may wait for a component to be compiled, and for those ahead of it.
const PATIENCE: Duration = Duration::from_secs(300);

/// For a connection: the listener is on this machine or on its own network.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// Holds a token.
const TOKEN_VARIABLE: &str = "SWITCHBOARD_ADMIN_TOKEN";

/// Holds the listener's address.
pub(crate) const URL_VARIABLE: &str = "SWITCHBOARD_ADMIN_URL";

/// The data folder, for commands that read no settings.
const DATA_DIR_VARIABLE: &str = "SWITCHBOARD_DATA_DIR";

/// Where a host on its defaults is.
const DEFAULT_URL: &str = "http://127.0.0.1:9090";
const DEFAULT_DATA_DIR: &str = ".switchboard";

/// Which host is asked, and as whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct AdminArgs {
    /// The host's admin address [default: `$SWITCHBOARD_ADMIN_URL`, else `server.admin_listen` of the settings]
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// A file with a token [default: `$SWITCHBOARD_ADMIN_TOKEN`, else `admin.token` in the data folder]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The data folder of a host on this machine [default: `$SWITCHBOARD_DATA_DIR`, else `server.data_dir`]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The settings file of a host on this machine [default: switchboard.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A host that can be asked.
pub(crate) struct AdminClient {
    url: Url,
    token: Secret,
    client: Client,
}

impl AdminClient {
    /// Finds the host and the token, without asking yet.
    pub fn new(args: &AdminArgs) -> anyhow::Result<Self> {
        let settings = settings(args.config.clone());
        let url = match args.admin.clone().or_else(|| variable(URL_VARIABLE)) {
            Some(url) => url,
            None => settings.as_ref().map_or(DEFAULT_URL.to_owned(), |server| address_of(server.admin_listen)),
        };
        let token = token(args, settings.as_ref())?;
        // No proxy, since the listener is on this machine or on its own network.
        let client = Client::builder().no_proxy().connect_timeout(CONNECT_PATIENCE).build();
        Ok(Self { url: checked(&url)?, token, client: client.context("cannot make HTTP requests")? })
    }

    /// A request to be completed and sent. The path is given in its parts, which may hold anything.
    pub fn request(&self, method: Method, path: &[&str]) -> anyhow::Result<RequestBuilder> {
        let mut url = self.url.clone();
        url.path_segments_mut().map_err(|()| anyhow::anyhow!("the address has no path"))?.pop_if_empty().extend(path);
        Ok(self.client.request(method, url).bearer_auth(self.token.text()))
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<T> {
        self.ask(self.request(Method::GET, path)?).await
    }

    /// A request with parameters behind the `?`.
    pub fn get_with(&self, path: &[&str], query: &[(&str, String)]) -> anyhow::Result<RequestBuilder> {
        self.with_query(Method::GET, path, query)
    }

    /// The same for any method.
    pub fn with_query(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
    ) -> anyhow::Result<RequestBuilder> {
        let mut request = self.request(method.clone(), path)?.build()?;
        request.url_mut().query_pairs_mut().extend_pairs(query);
        Ok(RequestBuilder::from_parts(self.client.clone(), request))
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl serde::Serialize) -> anyhow::Result<T> {
        self.ask(self.request(Method::POST, path)?.json(body)).await
    }

    /// Sends a request and reads the answer, or the host's own words about why there is none.
    pub async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let answer = self.send(request.timeout(PATIENCE)).await?;
        let text = answer.text().await.with_context(|| format!("the answer of {} was cut off", self.url))?;
        serde_json::from_str(&text).with_context(|| format!("the answer of {} is not that of a Switchboard", self.url))
    }

    /// Sends a request whose answer is read as it comes.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.send().await.map_err(reqwest::Error::without_url).with_context(|| {
            format!(
                "no host answers at {}: start it, or name its admin address (`server.admin_listen`) with --admin",
                self.url
            )
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        bail!(refusal(status.as_u16(), &answer.text().await.unwrap_or_default()))
    }
}

/// What a refusal says to people.
#[derive(Deserialize)]
struct Refusal {
    code: String,
    error: String,
    help: Option<String>,
    stage: Option<String>,
    reason: Option<String>,
}

fn refusal(status: u16, body: &str) -> String {
    match serde_json::from_str::<Refusal>(body) {
        // As `plugin check` says it.
        Ok(Refusal { stage: Some(stage), reason: Some(reason), .. }) => {
            format!("the component would not be loaded\n  at {stage}: {reason}")
        }
        Ok(Refusal { code, error, help, .. }) => {
            let help = help.map(|help| format!("\n{help}")).unwrap_or_default();
            format!("{error} ({code}){help}")
        }
        Err(_) => format!("the answer was {status}; is this the admin address of a Switchboard?"),
    }
}

fn settings(file: Option<PathBuf>) -> Option<ServerConfig> {
    check::load(&Sources { file, ..Sources::from_environment() }).ok().map(|checked| checked.config.server)
}

/// From this machine, a host that listens on all its addresses is at the loopback one.
fn address_of(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

fn checked(url: &str) -> anyhow::Result<Url> {
    let help = || format!("{url} is no address of an admin listener; it looks like {DEFAULT_URL}");
    let parsed: Url = url.parse().with_context(help)?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.cannot_be_a_base() {
        bail!(help());
    }
    Ok(parsed)
}

/// The first place that names one counts, even if what is there is wrong.
fn token(args: &AdminArgs, settings: Option<&ServerConfig>) -> anyhow::Result<Secret> {
    if let Some(file) = &args.token_file {
        return read(file)?.with_context(|| format!("there is no file {}", file.display()));
    }
    if let Some(text) = variable(TOKEN_VARIABLE).filter(|_| args.data_dir.is_none()) {
        return Secret::parse(text.trim()).with_context(|| format!("{TOKEN_VARIABLE} holds no token: {FORM}"));
    }
    let folder = args.data_dir.clone().or_else(|| variable(DATA_DIR_VARIABLE).map(PathBuf::from));
    let folder = folder.or_else(|| settings.map(|server| server.data_dir.clone()));
    let file = token_file(&folder.unwrap_or_else(|| DEFAULT_DATA_DIR.into()));
    read(&file)?.with_context(|| {
        format!(
            "there is no token for the admin listener: --token-file was not given, {TOKEN_VARIABLE} is not set, and \
             there is no file {}. A host leaves one there at its first start: name its data folder with --data-dir, \
             or ask its operator for a token (`switchboard admin token create`)",
            file.display()
        )
    })
}

const FORM: &str = "a token is one word that begins with `sba_`";

/// `None` if there is no such file.
fn read(file: &Path) -> anyhow::Result<Option<Secret>> {
    match fs::read_to_string(file) {
        Ok(text) => {
            let token = Secret::parse(text.trim());
            token.map(Some).with_context(|| format!("{} holds no token: {FORM}", file.display()))
        }
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault).with_context(|| format!("the token in {} cannot be read", file.display())),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(data_dir: &Path) -> AdminArgs {
        AdminArgs { admin: None, token_file: None, data_dir: Some(data_dir.to_owned()), config: None }
    }

    #[test]
    fn the_token_of_the_data_folder_is_found_and_a_named_file_counts_first() {
        let folder = tempfile::tempdir().unwrap();
        let (local, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        fs::write(folder.path().join("admin.token"), format!("{}\n", local.text())).unwrap();
        assert_eq!(token(&args(folder.path()), None).unwrap(), local);
        let file = folder.path().join("other");
        let named = AdminArgs { token_file: Some(file.clone()), ..args(folder.path()) };
        assert!(token(&named, None).unwrap_err().to_string().contains("other"));
        fs::write(&file, other.text()).unwrap();
        assert_eq!(token(&named, None).unwrap(), other);
        fs::write(&file, "eyJhbGciOi.J9.x").unwrap();
        assert!(token(&named, None).unwrap_err().to_string().contains("sba_"));
    }

    #[test]
    fn without_a_token_every_place_is_named_where_one_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let fault = token(&args(folder.path()), None).unwrap_err().to_string();
        for part in ["--token-file", "SWITCHBOARD_ADMIN_TOKEN", "admin.token", "--data-dir", "admin token create"] {
            assert!(fault.contains(part), "{part} is not in {fault}");
        }
    }

    #[test]
    fn addresses_are_completed_or_refused_by_name() {
        let token = Secret::random().unwrap();
        let client =
            |url: &str| AdminClient { url: checked(url).unwrap(), token: token.clone(), client: Client::new() };
        let path = |url: &str, path: &[&str]| {
            client(url).request(Method::GET, path).unwrap().build().unwrap().url().as_str().to_owned()
        };
        assert_eq!(path("http://h:1", &["revocations"]), "http://h:1/revocations");
        assert_eq!(path("http://h:1/below/", &["a/../b"]), "http://h:1/below/a%2F..%2Fb");
        for wrong in ["ftp://h", "127.0.0.1:9090", "nonsense", "data:x"] {
            assert!(checked(wrong).unwrap_err().to_string().contains(wrong), "{wrong}");
        }
        assert_eq!(address_of("0.0.0.0:7".parse().unwrap()), "http://127.0.0.1:7");
        assert_eq!(address_of("[::]:7".parse().unwrap()), "http://[::1]:7");
        assert_eq!(address_of("10.0.0.7:7".parse().unwrap()), "http://10.0.0.7:7");
    }

    #[test]
    fn a_refusal_is_told_with_what_to_do_and_a_misfit_as_the_check_tells_it() {
        let told = refusal(409, r#"{"code":"OPERATION_CONFLICT","error":"there is no canary","help":"deploy one"}"#);
        assert_eq!(told, "there is no canary (OPERATION_CONFLICT)\ndeploy one");
        let unfit = r#"{"code":"COMPONENT_UNFIT","error":"x","stage":"grants","reason":"it imports `topics`"}"#;
        assert_eq!(refusal(422, unfit), "the component would not be loaded\n  at grants: it imports `topics`");
        assert!(refusal(502, "<html>").contains("502"));
    }
}
